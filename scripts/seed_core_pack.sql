-- The core pack, for a database that Attune has migrated:
--
--     psql "$URL" -v ON_ERROR_STOP=1 -f scripts/seed_core_pack.sql
--
-- It creates the same rows as Attune does from packs/core at startup (a test compares the two), and may be repeated. A
-- definition that a person edited since it was loaded stays as it is, `enabled` never changes, and the list at the end
-- reports the result for each definition.

\set ON_ERROR_STOP on
\set QUIET on

begin;

-- Marks the pack as the author of these rows, instead of a person.
set local attune.loading = 'on';
set local client_min_messages = warning;

do $$
begin
    if to_regclass('definitions') is null then
        raise exception 'this database has no Attune tables' using hint = 'Run `attune migrate` first, or name another database.';
    end if;
    -- No definition changes until the end: every change locks this row.
    perform version from definitions for update;
end $$;

-- 1. The content of the pack ----------------------------------------------------------------------------------------

create temporary table seed_pack (ref text, label text, description text, pack_version text) on commit drop;
insert into seed_pack values
    ('core', 'Core', 'Timers, the shell, and the smallest useful actions. Built into Attune and loaded at start.', '0.1.0');

create temporary table seed_runtime (ref text, label text, kind text, command text[], file_command text[], description text) on commit drop;
insert into seed_runtime values
    ('core.shell', 'Shell', 'process', array['/bin/sh', '-c'], array['/bin/sh'],
     'Runs the action''s entry point as a POSIX shell script. Parameters arrive as JSON on standard input and as environment '
     || 'variables under their own names; the shell never parses their values.'),
    ('core.native', 'Native', 'native', array[]::text[], array[]::text[],
     'Runs actions that are built into the worker, without a process. The entry point is the built-in''s name.'),
    ('core.node', 'JavaScript', 'node', array[]::text[], array[]::text[],
     'Runs the exported function `run` of a JavaScript module with the parameters as its argument. What it returns '
     || 'is the result. A module without such a function runs as a script. Needs Node.js.'),
    ('core.python', 'Python', 'python', array[]::text[], array[]::text[],
     'Runs a function `run` of a Python program with the parameters as its arguments. What it returns is the '
     || 'result. A program without such a function runs as a script.');

create temporary table seed_trigger (ref text, label text, description text, kind text, config jsonb, payload_schema jsonb) on commit drop;
insert into seed_trigger values
    ('core.timer_10s', 'Every 10 seconds', 'Fires every 10 seconds, at :00, :10, :20 and so on.',
     'timer', '{"type": "interval", "seconds": 10}', null),
    ('core.timer_1m', 'Every minute', 'Fires every minute, on the minute.',
     'timer', '{"type": "interval", "minutes": 1}', null),
    ('core.timer_hourly', 'Every hour', 'Fires at the start of every hour (UTC).',
     'timer', '{"type": "cron", "expression": "0 0 * * * *"}', null);

update seed_trigger set payload_schema = '{
    "type": "object",
    "required": ["type", "fired_at", "interval_seconds"],
    "properties": {
        "type": {"const": "interval"},
        "fired_at": {"type": "string", "format": "date-time",
            "description": "When the event was created."},
        "scheduled_at": {"type": "string", "format": "date-time",
            "description": "The scheduled instant of this occurrence. Absent when the trigger was fired manually."},
        "interval_seconds": {"type": "integer",
            "description": "The distance between two occurrences."},
        "late_ms": {"type": "integer",
            "description": "The delay of the event after scheduled_at, in milliseconds. Absent together with scheduled_at."},
        "missed_count": {"type": "integer",
            "description": "The number of missed occurrences before this one. Absent when none was missed."},
        "first_missed_at": {"type": "string", "format": "date-time",
            "description": "The first of the missed occurrences."}
    }
}' where config->>'type' = 'interval';

update seed_trigger set payload_schema = '{
    "type": "object",
    "required": ["type", "fired_at", "expression", "timezone", "local_time"],
    "properties": {
        "type": {"const": "cron"},
        "fired_at": {"type": "string", "format": "date-time",
            "description": "When the event was created."},
        "scheduled_at": {"type": "string", "format": "date-time",
            "description": "The instant of the schedule that the event stands for. Absent when the trigger was fired by hand."},
        "expression": {"type": "string",
            "description": "The cron expression, as it is written in the trigger."},
        "timezone": {"type": "string",
            "description": "The zone in which the expression is read."},
        "local_time": {"type": "string", "format": "date-time",
            "description": "The instant of the schedule, or of the firing by hand, in that zone."},
        "late_ms": {"type": "integer",
            "description": "The delay of the event after scheduled_at, in milliseconds. Absent together with scheduled_at."},
        "missed_count": {"type": "integer",
            "description": "The number of missed occurrences before this one. Absent when none was missed."},
        "first_missed_at": {"type": "string", "format": "date-time",
            "description": "The first of the missed occurrences."}
    }
}' where config->>'type' = 'cron';

-- Events from Attune itself.
insert into seed_trigger values
    ('core.execution_finished', 'Execution finished',
     'An execution has ended, in whatever way: see `status`.', 'system', '{}',
     '{
        "type": "object",
        "required": ["execution_id", "event_id", "action_ref", "rule_ref", "status", "error", "exit_code", "attempt", "started_at", "finished_at", "duration_ms", "trace_id", "output_tail", "consecutive_failures"],
        "properties": {
            "execution_id": {"type": "string", "description": "The execution."},
            "event_id": {"type": ["string", "null"], "description": "The event that started it. Null for a manual execution."},
            "action_ref": {"type": "string", "description": "The action that ran."},
            "rule_ref": {"type": ["string", "null"], "description": "The rule that started it. Null for a manual execution."},
            "status": {"type": "string", "enum": ["succeeded", "failed", "timed_out", "canceled", "lost", "skipped"]},
            "error": {"type": ["string", "null"], "description": "Why it did not succeed; at most 2000 characters."},
            "exit_code": {"type": ["integer", "null"], "description": "The exit code of its process, if it had one."},
            "attempt": {"type": "integer", "description": "The number of the last attempt; 0 if it never started."},
            "started_at": {"type": ["string", "null"], "format": "date-time", "description": "When the last attempt started."},
            "finished_at": {"type": "string", "format": "date-time", "description": "When it ended."},
            "duration_ms": {"type": ["integer", "null"], "description": "From the start of the last attempt to the end, in milliseconds."},
            "trace_id": {"type": "string", "description": "The trace of the execution."},
            "output_tail": {"type": ["string", "null"], "description": "The end of its output, at most 1 KiB; of its standard error, if it did not succeed and wrote any."},
            "consecutive_failures": {"type": "integer", "description": "How many executions of the rule have failed in a row, this one included; of the action, for an execution without a rule. Counted while a rule uses this trigger."}
        }
     }'),
    ('core.timer_missed', 'Timer missed occurrences',
     'Occurrences of a timer did not become events.', 'system', '{}',
     '{
        "type": "object",
        "required": ["trigger_ref", "missed", "reason", "from_at", "to_at", "detected_at"],
        "properties": {
            "trigger_ref": {"type": "string", "description": "The timer."},
            "missed": {"type": "integer", "description": "The number of occurrences."},
            "reason": {"type": "string", "description": "Why they were missed."},
            "from_at": {"type": "string", "format": "date-time", "description": "The first of them."},
            "to_at": {"type": "string", "format": "date-time", "description": "The last of them."},
            "detected_at": {"type": "string", "format": "date-time", "description": "When a sensor found out."}
        }
     }'),
    ('core.timer_failed', 'Timer failed',
     'The next occurrence of a timer could not be computed, so that it does not fire.', 'system', '{}',
     '{
        "type": "object",
        "required": ["trigger_ref", "error", "failed_at"],
        "properties": {
            "trigger_ref": {"type": "string", "description": "The timer."},
            "error": {"type": "string", "description": "What is wrong with its configuration."},
            "failed_at": {"type": "string", "format": "date-time", "description": "When a sensor found out."}
        }
     }'),
    ('core.webhook_rejected', 'Webhook request rejected',
     'A request to a webhook was rejected. At most one event in a minute for each webhook and reason.', 'system', '{}',
     '{
        "type": "object",
        "required": ["request_id", "trigger_ref", "reason", "detail", "address", "method", "received_at"],
        "properties": {
            "request_id": {"type": "string", "description": "The first such request of the minute, in the inbox of the webhook."},
            "trigger_ref": {"type": "string", "description": "The webhook."},
            "reason": {"type": "string", "description": "Why it was rejected."},
            "detail": {"type": ["string", "null"], "description": "More about the reason."},
            "address": {"type": ["string", "null"], "description": "The address of the client."},
            "method": {"type": "string", "description": "The HTTP method."},
            "received_at": {"type": "string", "format": "date-time", "description": "When it was received."}
        }
     }'),
    ('core.event_quarantined', 'Event quarantined',
     'The decision of an event failed repeatedly, so that it waits for a user.', 'system', '{}',
     '{
        "type": "object",
        "required": ["event_id", "trigger_ref", "tries", "error", "quarantined_at"],
        "properties": {
            "event_id": {"type": "string", "description": "The event."},
            "trigger_ref": {"type": ["string", "null"], "description": "Its trigger."},
            "tries": {"type": "integer", "description": "How often the decision was tried."},
            "error": {"type": ["string", "null"], "description": "Why it failed."},
            "quarantined_at": {"type": "string", "format": "date-time", "description": "When it was quarantined."}
        }
     }'),
    ('core.worker_lost', 'Worker lost',
     'A worker disappeared without shutting down: it did not renew its heartbeat for the duration of a lease.', 'system', '{}',
     '{
        "type": "object",
        "required": ["worker_id", "host", "pid", "pool", "version", "started_at", "heartbeat_at", "lost_at"],
        "properties": {
            "worker_id": {"type": "string", "description": "The instance of the worker."},
            "host": {"type": "string", "description": "Its host."},
            "pid": {"type": "integer", "description": "Its process id."},
            "pool": {"type": ["string", "null"], "description": "The pool that it served."},
            "version": {"type": "string", "description": "Its version."},
            "started_at": {"type": "string", "format": "date-time", "description": "When it started."},
            "heartbeat_at": {"type": "string", "format": "date-time", "description": "Its last heartbeat."},
            "lost_at": {"type": "string", "format": "date-time", "description": "When an executor found out."}
        }
     }'),
    ('core.pool_unserved', 'Pool without a worker',
     'A pool has executions that have been ready for more than ten seconds, and no worker.', 'system', '{}',
     '{
        "type": "object",
        "required": ["pool", "executions", "since"],
        "properties": {
            "pool": {"type": "string", "description": "The pool."},
            "executions": {"type": "integer", "description": "How many of its executions are overdue."},
            "since": {"type": "string", "format": "date-time", "description": "When an executor found out."}
        }
     }'),
    ('core.rule_failed', 'Rule failed',
     'A rule could not be evaluated for an event, so that its action did not run.', 'system', '{}',
     '{
        "type": "object",
        "required": ["enforcement_id", "event_id", "rule_ref", "reason", "failed_at"],
        "properties": {
            "enforcement_id": {"type": "string", "description": "The failed enforcement."},
            "event_id": {"type": "string", "description": "The event."},
            "rule_ref": {"type": "string", "description": "The rule."},
            "reason": {"type": "string", "description": "Why it failed: an error in its condition or templates, parameters that its action does not accept, a disabled action."},
            "failed_at": {"type": "string", "format": "date-time", "description": "When it failed."}
        }
     }'),
    ('core.definition_changed', 'Definition changed',
     'A pack, runtime, trigger, action, rule or secret was created, updated or deleted.', 'system', '{}',
     '{
        "type": "object",
        "required": ["kind", "ref", "version", "change", "changed_at"],
        "properties": {
            "kind": {"type": "string", "enum": ["pack", "runtime", "trigger", "action", "rule", "secret"]},
            "ref": {"type": "string", "description": "The definition."},
            "version": {"type": "integer", "description": "Its version."},
            "change": {"type": "string", "enum": ["created", "updated", "deleted"]},
            "changed_at": {"type": "string", "format": "date-time", "description": "When it changed."}
        }
     }'),
    ('core.service_started', 'Service started',
     'A service has started and registered with the database.', 'system', '{}',
     '{
        "type": "object",
        "required": ["service_id", "kind", "host", "pid", "version", "started_at"],
        "properties": {
            "service_id": {"type": "string", "description": "The instance."},
            "kind": {"type": "string", "enum": ["api", "sensor", "executor", "worker"]},
            "host": {"type": "string", "description": "Its host."},
            "pid": {"type": "integer", "description": "Its process id."},
            "version": {"type": "string", "description": "Its version."},
            "started_at": {"type": "string", "format": "date-time", "description": "When it started."}
        }
     }');

create temporary table seed_action (
    ref text, runtime_ref text, label text, timeout_seconds integer, description text, entry_point text,
    parameters_schema jsonb, output_schema jsonb
) on commit drop;
insert into seed_action values
    ('core.echo', 'core.shell', 'Echo', 60, 'Prints a message.',
     $sh$printf '%s\n' "$message"$sh$,
     '{
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "message": {"type": "string", "default": "Hello World", "maxLength": 16384, "description": "The text to print."}
        }
     }',
     '{
        "type": "object",
        "required": ["stdout", "stderr", "exit_code"],
        "properties": {
            "stdout": {"type": "string", "description": "The message and a line break."},
            "stderr": {"type": "string"},
            "exit_code": {"type": "integer", "const": 0}
        }
     }'),
    ('core.sleep', 'core.shell', 'Sleep', 3660, 'Waits for a number of seconds. Stops at once when it is canceled.',
     $sh$exec sleep "$seconds"$sh$,
     '{
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "seconds": {"type": "number", "default": 1, "minimum": 0, "maximum": 3600,
                "description": "The duration in seconds. Fractions are allowed."}
        }
     }',
     '{
        "type": "object",
        "required": ["stdout", "stderr", "exit_code"],
        "properties": {
            "stdout": {"type": "string"},
            "stderr": {"type": "string"},
            "exit_code": {"type": "integer", "const": 0}
        }
     }'),
    ('core.noop', 'core.native', 'Do nothing', 60,
     'Succeeds at once, inside the worker and without a process. Use it to try out rules and to measure Attune itself.',
     'noop',
     '{"type": "object"}',
     '{"type": "object", "additionalProperties": false}'),
    ('core.http', 'core.native', 'HTTP request', 3600,
     'Sends one HTTP request from the worker, without a process. What it may reach is limited: see '
     || 'worker.http.allow_private.',
     'http',
     '{
         "type": "object",
         "additionalProperties": false,
         "required": [
             "url"
         ],
         "properties": {
             "method": {
                 "type": "string",
                 "enum": [
                     "GET",
                     "HEAD",
                     "POST",
                     "PUT",
                     "PATCH",
                     "DELETE",
                     "OPTIONS"
                 ],
                 "default": "GET"
             },
             "url": {
                 "type": "string",
                 "pattern": "^https?://",
                 "maxLength": 8192,
                 "description": "Without a user and a password; see `auth`."
             },
             "query": {
                 "type": "object",
                 "default": {},
                 "description": "Added to the query of the URL. A list gives a name several values; null leaves it out."
             },
             "headers": {
                 "type": "object",
                 "additionalProperties": {
                     "secret": true
                 },
                 "default": {},
                 "description": "Each value may contain a secret. A redirect to another server (scheme, host or port) gets only Accept, Accept-Language, Content-Type and User-Agent."
             },
             "body": {
                 "type": "string",
                 "description": "The body as it is. Only one of `body`, `json` and `form`."
             },
             "json": {
                 "description": "The body as JSON."
             },
             "form": {
                 "type": "object",
                 "additionalProperties": {
                     "secret": true
                 },
                 "description": "The body as a form. Each value may contain a secret."
             },
             "auth": {
                 "type": "object",
                 "secret": true,
                 "additionalProperties": false,
                 "description": "Either `basic` or `bearer`.",
                 "properties": {
                     "basic": {
                         "type": "object",
                         "additionalProperties": false,
                         "required": [
                             "username"
                         ],
                         "properties": {
                             "username": {
                                 "type": "string"
                             },
                             "password": {
                                 "type": "string",
                                 "default": ""
                             }
                         }
                     },
                     "bearer": {
                         "type": "string"
                     }
                 }
             },
             "timeout_seconds": {
                 "type": "number",
                 "default": 30,
                 "exclusiveMinimum": 0,
                 "maximum": 3600,
                 "description": "For the response with its body, with all redirects and retries."
             },
             "redirects": {
                 "type": "integer",
                 "default": 5,
                 "minimum": 0,
                 "maximum": 10,
                 "description": "The most redirects to follow. With 0, the redirect is the response."
             },
             "verify": {
                 "type": "boolean",
                 "default": true,
                 "description": "Whether the certificate of the server must be valid."
             },
             "expect_status": {
                 "type": "array",
                 "default": [
                     "2xx"
                 ],
                 "minItems": 1,
                 "items": {
                     "type": [
                         "integer",
                         "string"
                     ]
                 },
                 "description": "Statuses that succeed, such as 204 or \"2xx\"."
             },
             "retries": {
                 "type": "integer",
                 "default": 0,
                 "minimum": 0,
                 "maximum": 10,
                 "description": "How often it is sent again after 429 or 503: after the pause in Retry-After, otherwise after 1, 2, 4 … seconds, if that is within `timeout_seconds`."
             }
         }
     }',
     '{
         "type": "object",
         "required": [
             "status_code",
             "headers",
             "elapsed_ms"
         ],
         "properties": {
             "status_code": {
                 "type": "integer"
             },
             "headers": {
                 "type": "object",
                 "description": "Names in lower case. A header that occurs several times is a list."
             },
             "json": {
                 "description": "The body, if its content type is JSON."
             },
             "body": {
                 "type": "string",
                 "description": "The body as text, if it is not JSON."
             },
             "body_base64": {
                 "type": "string",
                 "description": "The body, if it is not text."
             },
             "elapsed_ms": {
                 "type": "integer"
             }
         }
     }');

-- 2. Create what is missing, update what no person edited -----------------------------------------------------------

-- What was created or updated; the rest is unchanged or left alone.
create temporary table seed_written (ref text, outcome text) on commit drop;

with written as (
    insert into pack as p (ref, label, description, pack_version)
    select ref, label, description, pack_version from seed_pack
    on conflict (ref) do update
        set label = excluded.label, description = excluded.description, pack_version = excluded.pack_version
        where p.managed and (p.label, p.description, p.pack_version)
            is distinct from (excluded.label, excluded.description, excluded.pack_version)
    returning ref, version
)
insert into seed_written select ref, case version when 1 then 'created' else 'updated' end from written;

with written as (
    insert into runtime as r (ref, pack_id, label, description, kind, command, file_command)
    select s.ref, pack.id, s.label, s.description, s.kind, s.command, s.file_command
    from seed_runtime s join pack on pack.ref = 'core'
    on conflict (ref) do update
        set pack_id = excluded.pack_id, label = excluded.label, description = excluded.description,
            kind = excluded.kind, command = excluded.command, file_command = excluded.file_command
        where r.managed and (r.pack_id, r.label, r.description, r.kind, r.command, r.file_command)
            is distinct from (excluded.pack_id, excluded.label, excluded.description, excluded.kind, excluded.command,
                              excluded.file_command)
    returning ref, version
)
insert into seed_written select ref, case version when 1 then 'created' else 'updated' end from written;

with written as (
    insert into trigger as t (ref, pack_id, label, description, kind, config, payload_schema)
    select s.ref, pack.id, s.label, s.description, s.kind, s.config, s.payload_schema
    from seed_trigger s join pack on pack.ref = 'core'
    on conflict (ref) do update
        set pack_id = excluded.pack_id, label = excluded.label, description = excluded.description,
            kind = excluded.kind, config = excluded.config, payload_schema = excluded.payload_schema
        where t.managed and (t.pack_id, t.label, t.description, t.kind, t.config, t.payload_schema)
            is distinct from (excluded.pack_id, excluded.label, excluded.description, excluded.kind, excluded.config,
                              excluded.payload_schema)
    returning ref, version
)
insert into seed_written select ref, case version when 1 then 'created' else 'updated' end from written;

with written as (
    insert into action as a (ref, pack_id, runtime_id, label, description, entry_point, parameters_schema, output_schema,
                             output_format, pool, timeout_seconds, on_lost, retry)
    select s.ref, pack.id, runtime.id, s.label, s.description, s.entry_point, s.parameters_schema, s.output_schema,
           'text', 'default', s.timeout_seconds, 'fail', null
    from seed_action s join pack on pack.ref = 'core' join runtime on runtime.ref = s.runtime_ref
    on conflict (ref) do update
        set pack_id = excluded.pack_id, runtime_id = excluded.runtime_id, label = excluded.label,
            description = excluded.description, entry_point = excluded.entry_point,
            parameters_schema = excluded.parameters_schema, output_schema = excluded.output_schema,
            output_format = excluded.output_format, pool = excluded.pool,
            timeout_seconds = excluded.timeout_seconds, on_lost = excluded.on_lost, retry = excluded.retry
        where a.managed and
            (a.pack_id, a.runtime_id, a.label, a.description, a.entry_point, a.parameters_schema, a.output_schema,
             a.output_format, a.pool, a.timeout_seconds, a.on_lost, a.retry)
            is distinct from
            (excluded.pack_id, excluded.runtime_id, excluded.label, excluded.description, excluded.entry_point,
             excluded.parameters_schema, excluded.output_schema, excluded.output_format, excluded.pool,
             excluded.timeout_seconds, excluded.on_lost, excluded.retry)
    returning ref, version
)
insert into seed_written select ref, case version when 1 then 'created' else 'updated' end from written;

-- 3. Report ----------------------------------------------------------------------------------------------------------

with there (kind, place, ref, differs) as (
    select 'pack', 1, p.ref, (p.label, p.description, p.pack_version) is distinct from (s.label, s.description, s.pack_version)
    from pack p join seed_pack s using (ref)
    union all
    select 'runtime', 2, r.ref, (r.label, r.description, r.kind, r.command, r.file_command)
               is distinct from (s.label, s.description, s.kind, s.command, s.file_command)
    from runtime r join seed_runtime s using (ref)
    union all
    select 'trigger', 3, t.ref, (t.label, t.description, t.kind, t.config, t.payload_schema)
        is distinct from (s.label, s.description, s.kind, s.config, s.payload_schema)
    from trigger t join seed_trigger s using (ref)
    union all
    select 'action', 4, a.ref,
        (r.ref, a.label, a.description, a.entry_point, a.parameters_schema, a.output_schema,
         a.output_format, a.pool, a.timeout_seconds, a.on_lost, a.retry)
        is distinct from
        (s.runtime_ref, s.label, s.description, s.entry_point, s.parameters_schema, s.output_schema,
         'text', 'default', s.timeout_seconds, 'fail', null)
    from action a join seed_action s using (ref) join runtime r on r.id = a.runtime_id
)
select there.kind, there.ref as definition,
       coalesce(seed_written.outcome, case when differs then 'left alone: a person edited it' else 'unchanged' end) as outcome
from there left join seed_written using (ref)
order by place, ref;

commit;
