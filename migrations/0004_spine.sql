-- The spine: event → enforcement → execution, each by day partitions of its id, and the narrow hot queues beside them.
-- No foreign keys to definitions: history outlives them, so occurrences also carry the refs.

-- The smallest id of an instant. Ids begin with 48 bits of Unix milliseconds.
create function id_floor(at timestamptz) returns uuid
    language sql immutable parallel safe
    as $$ select (lpad(to_hex(floor(extract(epoch from at) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid $$;

-- The instant in an id.
create function id_time(id uuid) returns timestamptz
    language sql immutable parallel safe
    as $$ select to_timestamp(('x' || lpad(left(replace(id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint / 1000.0) $$;

create table event (
    id uuid not null,
    trigger_id bigint not null,
    trigger_ref text not null,
    source text not null constraint event_source_known check (source in ('timer', 'webhook', 'file_watch', 'api', 'manual')),
    payload jsonb not null,
    scheduled_at timestamptz,
    received_at timestamptz not null default db_now(),
    trace_id uuid not null,
    primary key (id)
) partition by range (id);
create index event_trigger on event (trigger_id, id);

-- The sign that an event was decided. Insert-only.
create table event_decision (
    event_id uuid not null,
    decided_at timestamptz not null default db_now(),
    definitions_version bigint not null,
    rules integer not null,
    matched integer not null,
    primary key (event_id)
) partition by range (event_id);

-- Ids share the event's time, so those of one event lie in one millisecond of the primary key: no index on event_id.
create table enforcement (
    id uuid not null,
    event_id uuid not null,
    rule_id bigint not null,
    rule_ref text not null,
    rule_version bigint not null,
    status text not null constraint enforcement_status_known check (status in ('created', 'failed', 'skipped', 'throttled')),
    reason text constraint enforcement_reason_given check (status = 'created' or reason is not null),
    parameters jsonb,
    created_at timestamptz not null default db_now(),
    primary key (id)
) partition by range (id);
create index enforcement_rule on enforcement (rule_ref, id);

create table execution (
    id uuid not null,
    enforcement_id uuid,
    event_id uuid,
    rule_ref text,
    action_ref text not null,
    pool text not null,
    parameters jsonb not null,
    status text not null constraint execution_status_known
        check (status in ('waiting', 'scheduled', 'running', 'canceling', 'succeeded', 'failed', 'timed_out', 'canceled', 'lost', 'skipped')),
    attempt integer not null default 0,
    worker_id uuid,
    result jsonb,
    error text,
    exit_code integer,
    created_at timestamptz not null default db_now(),
    scheduled_at timestamptz not null,
    started_at timestamptz,
    finished_at timestamptz,
    rerun_of uuid,
    trace_id uuid not null,
    primary key (id)
) partition by range (id);
-- None of these columns changes after the insert, so the updates of a run stay heap-only.
create index execution_rule on execution (rule_ref, id) where rule_ref is not null;
create index execution_action on execution (action_ref, id);

-- A row only when there is more to tell than the execution says.
create table execution_attempt (
    execution_id uuid not null,
    attempt integer not null,
    worker_id uuid,
    started_at timestamptz,
    ended_at timestamptz not null default db_now(),
    outcome text,
    late_outcome text,
    detail jsonb,
    primary key (execution_id, attempt)
) partition by range (execution_id);

create table execution_log (
    execution_id uuid not null,
    attempt integer not null,
    seq integer not null,
    stream text not null constraint execution_log_stream_known check (stream in ('stdout', 'stderr')),
    chunk text not null,
    at timestamptz not null default db_now(),
    primary key (execution_id, attempt, seq)
) partition by range (execution_id);

-- The second check of the legal pairs; the first is `domain::execution::after`, and a test compares the two.
-- The condition is evaluated without a function call; the function runs only to refuse.
create function execution_refuse() returns trigger language plpgsql as $$
begin
    raise exception 'execution % cannot go from % to %', old.id, old.status, new.status
        using errcode = 'check_violation', constraint = 'execution_guard';
end $$;

create trigger execution_guard before update on execution for each row
    when (old.status is distinct from new.status and not (
        (old.status = 'waiting' and new.status in ('scheduled', 'skipped', 'canceled'))
        or (old.status = 'scheduled' and new.status in ('running', 'canceled'))
        or (old.status = 'running' and new.status in ('scheduled', 'canceling', 'succeeded', 'failed', 'timed_out', 'lost'))
        or (old.status = 'canceling' and new.status in ('canceled', 'succeeded', 'failed', 'timed_out'))
    ))
    execute function execution_refuse();

-- Pending work. Narrow rows, half-full pages, vacuumed by a small fixed threshold.
create table event_queue (
    event_id uuid primary key,
    tries smallint not null default 0,
    run_at timestamptz not null default db_now(),
    lease_until timestamptz,
    quarantined_at timestamptz,
    last_error text
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000);

create table execution_queue (
    execution_id uuid primary key,
    pool text not null,
    priority smallint not null default 0,
    run_at timestamptz not null,
    -- May be claimed. The only indexed column that changes, and not on renewal.
    ready boolean not null default true,
    attempt integer not null default 0,
    worker_id uuid,
    lease_until timestamptz,
    deadline_at timestamptz,
    cancel_requested boolean not null default false,
    -- The policies as they were when it was queued.
    on_lost text not null default 'fail',
    attempts_max integer not null default 1,
    timeout_seconds integer not null,
    retry jsonb,
    -- The keys of policies under which it takes a slot, as long as this row is here; see 0007_slots.sql.
    rule_key text,
    action_key text,
    -- Not yet: it stands in the line of this one of the two.
    waits_for text constraint execution_queue_waits check (waits_for is null or (not ready and waits_for in (rule_key, action_key)))
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000);
create index execution_queue_ready on execution_queue (pool, priority desc, run_at, execution_id) where ready;

-- What comes from outside with a key of its own.
create table event_dedup (
    trigger_id bigint not null,
    key bytea not null,
    event_id uuid not null,
    created_at timestamptz not null default db_now(),
    expires_at timestamptz not null,
    primary key (trigger_id, key)
);
create index event_dedup_expiry on event_dedup (expires_at);

create table idempotency (
    caller text not null,
    route text not null,
    key text not null,
    body_hash bytea not null,
    response jsonb not null,
    created_at timestamptz not null default db_now(),
    expires_at timestamptz not null,
    primary key (caller, route, key)
);
create index idempotency_expiry on idempotency (expires_at);

create table service_instance (
    id uuid primary key,
    kind text not null constraint service_instance_kind_known check (kind in ('sensor', 'executor', 'worker', 'api')),
    host text not null,
    pid integer not null,
    version text not null,
    started_at timestamptz not null default db_now(),
    heartbeat_at timestamptz not null default db_now(),
    detail jsonb not null default '{}'
);
