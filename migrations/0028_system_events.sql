-- Events from Attune itself: what it observes about its own work becomes an ordinary event of a trigger of the kind `system`.
--
-- The database writes such an event in the statement that writes the fact, whichever program writes it, and only if an enabled
-- rule subscribes. Its id is computed from the fact, so a repeated statement finds it.

-- Not validated: the old constraints allowed less, and a scan would lock `event` for long.
alter table trigger drop constraint trigger_kind_known;
alter table trigger add constraint trigger_kind_known check (kind in ('timer', 'webhook', 'file_watch', 'custom', 'system'));
alter table event drop constraint event_source_known;
alter table event add constraint event_source_known
    check (source in ('timer', 'webhook', 'file_watch', 'api', 'manual', 'system')) not valid;
create index trigger_system on trigger (id) where kind = 'system';

-- The rules whose executions led to an event, oldest first; 0 stands for an execution that no rule started. Null: an external
-- cause. An execution has the chain of its event.
alter table event add column chain bigint[];
alter table execution add column chain bigint[];

-- The refs of system triggers with an enabled rule. Read by every statement that may cause such an event.
alter table definitions add column subscribed text[] not null default '{}';

create function system_subscribed(_trigger text) returns boolean language plpgsql stable as $$
begin
    return exists (select from definitions where _trigger = any(subscribed));
end $$;

-- Time, then a hash of the cause, in the layout of the other ids (`crates/domain/src/id.rs`).
-- In PL/pgSQL, because PostgreSQL plans the body of an SQL function at each call.
create function system_event_id(_at timestamptz, _trigger text, _cause text) returns uuid
    language plpgsql immutable parallel safe as $$
declare
    h constant text := encode(sha256(convert_to('system event ' || _trigger || ' ' || _cause, 'UTF8')), 'hex');
begin
    return lpad(to_hex(floor(extract(epoch from _at) * 1000)::bigint), 12, '0') || '7' || substr(h, 2, 3)
        || to_hex(8 + (('x' || substr(h, 5, 1))::bit(4)::integer & 3)) || substr(h, 6, 15);
end $$;

-- Writes an event. The caller has checked `system_subscribed`.
create function system_event(_trigger text, _at timestamptz, _cause text, _payload jsonb, _chain bigint[] default null)
    returns void language plpgsql as $$
declare
    _id constant uuid := system_event_id(_at, _trigger, _cause);
begin
    insert into event (id, trigger_id, trigger_ref, source, payload, trace_id, chain)
        select _id, t.id, t.ref, 'system', _payload, _id, _chain from trigger t where t.ref = _trigger
        on conflict do nothing;
    if found then
        insert into event_queue (event_id) values (_id) on conflict do nothing;
    end if;
end $$;

-- Changes of definitions: as in 0002, and in addition the subscriptions are kept, and the changes are events.
create or replace function definitions_count() returns trigger language plpgsql as $$
declare
    _changed boolean;
    _changes jsonb;
    _change jsonb;
begin
    if tg_op = 'INSERT' then
        _changed := exists (select from new_rows);
    elsif tg_op = 'DELETE' then
        _changed := exists (select from old_rows);
    else
        _changed := exists (select from new_rows n join old_rows o using (id) where n.version <> o.version);
    end if;
    if not _changed then
        return null;
    end if;
    update definitions set version = version + 1;
    if system_subscribed('core.definition_changed') then
        if tg_op = 'INSERT' then
            _changes := (select jsonb_agg(jsonb_build_object('id', n.id, 'ref', n.ref, 'version', n.version)) from new_rows n);
        elsif tg_op = 'DELETE' then
            _changes := (select jsonb_agg(jsonb_build_object('id', o.id, 'ref', o.ref, 'version', o.version)) from old_rows o);
        else
            _changes := (select jsonb_agg(jsonb_build_object('id', n.id, 'ref', n.ref, 'version', n.version))
                         from new_rows n join old_rows o using (id) where n.version <> o.version);
        end if;
        for _change in select value from jsonb_array_elements(_changes) loop
            perform system_event('core.definition_changed', db_now(),
                concat_ws(' ', tg_table_name, _change ->> 'id', _change ->> 'version', tg_op),
                jsonb_build_object('kind', tg_table_name, 'ref', _change -> 'ref', 'version', _change -> 'version', 'change',
                    case tg_op when 'INSERT' then 'created' when 'DELETE' then 'deleted' else 'updated' end, 'changed_at', db_now()));
        end loop;
    end if;
    -- A statement of its own: it sees what was committed while the update of the counter waited.
    update definitions d set subscribed = s.refs
    from (
        select coalesce(array_agg(distinct t.ref::text), '{}') as refs
        from trigger t
        join pack tp on tp.id = t.pack_id and tp.enabled
        join rule r on r.trigger_id = t.id and r.enabled
        join pack rp on rp.id = r.pack_id and rp.enabled
        where t.kind = 'system' and t.enabled
    ) s
    where d.subscribed is distinct from s.refs;
    return null;
end $$;

-- Failures in a row, by rule, or by action for executions without a rule. A success removes the row. Counted only while a rule
-- subscribes to `core.execution_finished`.
create table failure_streak (
    subject text primary key,
    failures integer not null,
    since timestamptz not null default db_now()
) with (fillfactor = 50);

create function failure_streak_forget() returns trigger language plpgsql as $$
begin
    delete from failure_streak where subject = tg_table_name || ' ' || old.ref;
    return null;
end $$;
create trigger failure_streak_forget after delete on rule for each row execute function failure_streak_forget();
create trigger failure_streak_forget after delete on action for each row execute function failure_streak_forget();

-- The last characters of a text, at most 1 KiB.
create function text_end(_text text) returns text language plpgsql immutable parallel safe as $$
begin
    return case when octet_length(right(_text, 1024)) <= 1024 then right(_text, 1024) else right(_text, 256) end;
end $$;

-- Once for each statement: a call for each row costs a finish about a tenth more, even without a subscriber.
create function execution_finished() returns trigger language plpgsql as $$
declare
    _e record;
    _failures integer;
    _ids uuid[] := '{}';
    _counts integer[] := '{}';
begin
    if not exists (select from definitions where 'core.execution_finished' = any(subscribed)) then
        return null;
    end if;
    -- Only failures, and the first success after them, change a count. The rows are locked in the order of their subjects.
    for _e in
        select n.id, n.status, s.subject
        from new_rows n join old_rows o using (id)
        cross join lateral (select case when n.rule_ref is null then 'action ' || n.action_ref else 'rule ' || n.rule_ref end as subject) s
        where o.status in ('waiting', 'scheduled', 'running', 'canceling')
          and (n.status in ('failed', 'timed_out', 'lost')
               or n.status in ('succeeded', 'canceled', 'skipped')
                  and (exists (select from failure_streak f where f.subject = s.subject)
                       or exists (select from new_rows m where m.status in ('failed', 'timed_out', 'lost')
                                  and m.rule_ref is not distinct from n.rule_ref and m.action_ref = n.action_ref)))
        order by s.subject collate "C", n.id
    loop
        if _e.status in ('failed', 'timed_out', 'lost') then
            insert into failure_streak as f (subject, failures) values (_e.subject, 1)
                on conflict (subject) do update set failures = f.failures + 1
                returning f.failures into _failures;
        else
            if _e.status = 'succeeded' then
                delete from failure_streak where subject = _e.subject;
            end if;
            _failures := coalesce((select failures from failure_streak where subject = _e.subject), 0);
        end if;
        _ids := _ids || _e.id;
        _counts := _counts || _failures;
    end loop;
    with ended as materialized (
        select system_event_id(x.finished_at, 'core.execution_finished', x.id::text) as event_id, x.*
        from (
            select n.id, n.event_id as cause, n.action_ref, n.rule_ref, n.status, n.error, n.exit_code, n.attempt, n.trace_id,
                   n.started_at, coalesce(n.finished_at, db_now()) as finished_at, n.result,
                   coalesce(n.chain, '{}') || coalesce((select id from rule where ref = n.rule_ref), 0) as chain
            from new_rows n join old_rows o using (id)
            where o.status in ('waiting', 'scheduled', 'running', 'canceling')
              and n.status in ('succeeded', 'failed', 'timed_out', 'canceled', 'lost', 'skipped')
        ) x
    ),
    fresh as (
        insert into event (id, trigger_id, trigger_ref, source, payload, trace_id, chain)
        select e.event_id, t.id, t.ref, 'system', jsonb_build_object(
                'execution_id', e.id, 'event_id', e.cause, 'action_ref', e.action_ref, 'rule_ref', e.rule_ref,
                'status', e.status, 'error', left(e.error, 2000), 'exit_code', e.exit_code, 'attempt', e.attempt,
                'started_at', e.started_at, 'finished_at', e.finished_at,
                'duration_ms', round(extract(epoch from e.finished_at - e.started_at) * 1000), 'trace_id', e.trace_id,
                'output_tail', text_end(coalesce(
                    case when e.status <> 'succeeded' then nullif(e.result ->> 'stderr', '') end,
                    nullif(e.result ->> 'stdout', ''), nullif(e.result ->> 'stderr', ''))),
                'consecutive_failures', coalesce(_counts[array_position(_ids, e.id)], 0)),
            e.event_id, e.chain
        from ended e, trigger t where t.ref = 'core.execution_finished'
        order by e.event_id
        on conflict do nothing
        returning id
    )
    insert into event_queue (event_id) select id from fresh order by id on conflict do nothing;
    return null;
end $$;
create trigger execution_finished after update on execution
    referencing old table as old_rows new table as new_rows for each statement execute function execution_finished();

-- The chain of an event of one id. In a plan of its own, which reads one partition.
create function event_chain(_id uuid) returns bigint[] language plpgsql stable as $$
declare
    _chain bigint[];
begin
    execute format('select chain from event where id = %L', _id) into _chain;
    return _chain;
end $$;

create function rule_failed() returns trigger language plpgsql as $$
begin
    if system_subscribed('core.rule_failed') then
        perform system_event('core.rule_failed', new.created_at, new.id::text, jsonb_build_object(
            'enforcement_id', new.id, 'event_id', new.event_id, 'rule_ref', new.rule_ref, 'reason', new.reason,
            'failed_at', new.created_at), coalesce(event_chain(new.event_id), '{}') || new.rule_id);
    end if;
    return null;
end $$;
create trigger rule_failed after insert on enforcement for each row when (new.status = 'failed') execute function rule_failed();

create function timer_missed() returns trigger language plpgsql as $$
begin
    if system_subscribed('core.timer_missed') then
        perform system_event('core.timer_missed', new.created_at, new.id::text, jsonb_build_object(
            'trigger_ref', (select ref from trigger where id = new.trigger_id), 'missed', new.missed, 'reason', new.reason,
            'from_at', new.from_at, 'to_at', new.to_at, 'detected_at', new.created_at));
    end if;
    return null;
end $$;
create trigger timer_missed after insert on timer_gap for each row execute function timer_missed();

create function timer_failed() returns trigger language plpgsql as $$
begin
    if system_subscribed('core.timer_failed') then
        perform system_event('core.timer_failed', db_now(), concat_ws(' ', new.trigger_id, new.generation, new.last_error),
            jsonb_build_object('trigger_ref', (select ref from trigger where id = new.trigger_id), 'error', new.last_error,
                'failed_at', db_now()));
    end if;
    return null;
end $$;
create trigger timer_failed_insert after insert on timer for each row when (new.last_error is not null) execute function timer_failed();
create trigger timer_failed_update after update on timer for each row
    when (new.last_error is not null and new.last_error is distinct from old.last_error) execute function timer_failed();

-- At most one in a minute for each webhook and reason: a client without the secret must not fill the history with events.
create function webhook_rejected() returns trigger language plpgsql as $$
begin
    if system_subscribed('core.webhook_rejected') then
        perform system_event('core.webhook_rejected', date_trunc('minute', new.received_at), concat_ws(' ', new.trigger_id, new.reason),
            jsonb_build_object('request_id', new.id, 'trigger_ref', new.trigger_ref, 'reason', new.reason, 'detail', new.detail,
                'address', new.address, 'method', new.method, 'received_at', new.received_at));
    end if;
    return null;
end $$;
create trigger webhook_rejected after insert on webhook_request for each row
    when (new.verdict = 'rejected') execute function webhook_rejected();

-- Called by the statement that quarantines, because a trigger on the queue would cost every claim. An event about a quarantined
-- event that is quarantined itself causes none.
create function event_quarantined(_event_id uuid, _tries smallint, _error text) returns boolean language plpgsql as $$
declare
    _trigger_ref text;
begin
    if not system_subscribed('core.event_quarantined') then
        return false;
    end if;
    execute format('select trigger_ref from event where id = %L', _event_id) into _trigger_ref;
    if _trigger_ref <> 'core.event_quarantined' then
        perform system_event('core.event_quarantined', db_now(), _event_id || ' ' || _tries, jsonb_build_object(
            'event_id', _event_id, 'trigger_ref', _trigger_ref, 'tries', _tries, 'error', _error, 'quarantined_at', db_now()),
            coalesce(event_chain(_event_id), '{}') || 0::bigint);
    end if;
    return true;
end $$;

create function service_started() returns trigger language plpgsql as $$
begin
    if system_subscribed('core.service_started') then
        perform system_event('core.service_started', new.started_at, new.id::text, jsonb_build_object(
            'service_id', new.id, 'kind', new.kind, 'host', new.host, 'pid', new.pid, 'version', new.version,
            'started_at', new.started_at));
    end if;
    return null;
end $$;
create trigger service_started after insert on service_instance for each row execute function service_started();

-- When an executor found that a worker had not renewed its heartbeat for the duration of a lease. Null again when it does.
alter table service_instance add column lost_at timestamptz;

create function worker_lost() returns trigger language plpgsql as $$
begin
    if system_subscribed('core.worker_lost') then
        perform system_event('core.worker_lost', new.lost_at, new.id::text, jsonb_build_object(
            'worker_id', new.id, 'host', new.host, 'pid', new.pid, 'pool', new.detail -> 'pool', 'version', new.version,
            'started_at', new.started_at, 'heartbeat_at', new.heartbeat_at, 'lost_at', new.lost_at));
    end if;
    return null;
end $$;
create trigger worker_lost after update on service_instance for each row
    when (old.lost_at is null and new.lost_at is not null) execute function worker_lost();

-- The pools with overdue executions and no worker, as the executors found them last.
create table pool_unserved (
    pool text primary key,
    executions bigint not null,
    since timestamptz not null default db_now()
);

create function pool_unserved() returns trigger language plpgsql as $$
begin
    if system_subscribed('core.pool_unserved') then
        perform system_event('core.pool_unserved', new.since, new.pool, jsonb_build_object(
            'pool', new.pool, 'executions', new.executions, 'since', new.since));
    end if;
    return null;
end $$;
create trigger pool_unserved after insert on pool_unserved for each row execute function pool_unserved();

-- `on_failure` of a rule is a rule of its own, `<ref>.on_failure`, which lives and dies with it.
alter table rule
    add column on_failure jsonb constraint rule_on_failure_form check (jsonb_typeof(on_failure) in ('object', 'null')),
    add column owner_rule_id bigint constraint rule_owner_fk references rule on delete cascade;
create unique index rule_owner on rule (owner_rule_id) where owner_rule_id is not null;

create function rule_on_failure() returns trigger language plpgsql as $$
declare
    _trigger bigint;
    _action bigint;
begin
    if new.on_failure is null or new.on_failure = 'null' then
        delete from rule where owner_rule_id = new.id;
        return null;
    end if;
    select id into _trigger from trigger where ref = 'core.execution_finished';
    select id into _action from action where ref = new.on_failure ->> 'action_ref';
    if _trigger is null or _action is null then
        raise exception 'on_failure of the rule % requires the trigger core.execution_finished and an existing action', new.ref
            using errcode = 'foreign_key_violation', constraint = 'rule_on_failure';
    end if;
    insert into rule as o (ref, pack_id, label, trigger_id, action_id, condition, action_params, enabled, owner_rule_id)
    values (new.ref || '.on_failure', new.pack_id, 'On failure of ' || new.ref, _trigger, _action,
        jsonb_build_object('all', jsonb_build_array(
            jsonb_build_object('path', 'event.payload.rule_ref', 'operator', 'equals', 'value', new.ref),
            jsonb_build_object('path', 'event.payload.status', 'operator', 'in', 'value', '["failed", "timed_out", "lost"]'::jsonb))),
        coalesce(new.on_failure -> 'action_params', '{}'), new.enabled, new.id)
    on conflict (ref) do update
        set trigger_id = excluded.trigger_id, action_id = excluded.action_id, condition = excluded.condition,
            action_params = excluded.action_params, enabled = excluded.enabled
        where o.owner_rule_id = excluded.owner_rule_id;
    if not found then
        raise exception 'the rule %.on_failure already exists', new.ref
            using errcode = 'unique_violation', constraint = 'rule_on_failure_unique';
    end if;
    return null;
end $$;
create trigger b_on_failure_insert after insert on rule for each row when (new.on_failure is not null) execute function rule_on_failure();
create trigger b_on_failure_update after update on rule for each row
    when (old.* is distinct from new.* and (old.on_failure is not null or new.on_failure is not null)) execute function rule_on_failure();
