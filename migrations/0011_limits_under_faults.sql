-- Concurrency limits that hold under faults, and rows that a foreign session keeps locked.

-- When an attempt that held slots really began and ended, as the worker's supervisor recorded it. `attune check` looks for
-- overlaps (I14). Null for everything without a concurrency key.
alter table execution_attempt
    add column slot_keys text[],
    add column began_at timestamptz,
    add column over_at timestamptz;

-- Slots that outlive a rescue. A worker that has not renewed its lease but is still connected is frozen and may still run
-- the action, so its slots stay taken until it has confirmed the end, or its connection has ended, or `until_at`.
create table slot_hold (
    execution_id uuid not null,
    attempt integer not null,
    worker_id uuid not null,
    pool text not null,
    rule_key text,
    action_key text,
    since timestamptz not null default db_now(),
    until_at timestamptz not null,
    primary key (execution_id, attempt)
);
create index slot_hold_rule on slot_hold (rule_key) where rule_key is not null;
create index slot_hold_action on slot_hold (action_key) where action_key is not null;

-- Leases of executions whose queue row a foreign session has locked: their worker prolongs them here.
create table lease_extension (
    execution_id uuid not null,
    attempt integer not null,
    lease_until timestamptz not null,
    primary key (execution_id, attempt)
);

-- A worker holds this advisory lock in its session as long as its process exists. A process that was killed has no session,
-- a frozen one has.
create function worker_lock(_worker uuid) returns bigint language sql immutable as $$ select hashtextextended(_worker::text, 11) $$;

create function worker_is_connected(_worker uuid) returns boolean language sql stable as $$
    select exists (
        select from pg_locks
        where locktype = 'advisory' and granted and objsubid = 1
          and database = (select oid from pg_database where datname = current_database())
          and (classid::bigint << 32) | objid::bigint = worker_lock(_worker)
    )
$$;

-- Locks the row of the history, unless another session has it.
create function execution_try_lock(_id uuid) returns boolean language plpgsql as $$
begin
    perform from execution where id = _id for update skip locked;
    return found;
end $$;

-- Locks the row of the queue. True also when there is none.
create function execution_queue_try_lock(_id uuid) returns boolean language plpgsql as $$
begin
    perform from execution_queue where execution_id = _id for update skip locked;
    return found or not exists (select from execution_queue where execution_id = _id);
end $$;

-- As before; a policy that cannot be read (written with psql) lets nobody start, instead of failing the transaction that
-- frees a slot, or of limiting nothing.
create or replace function slot_limit(key text) returns integer language sql stable as $$
    select coalesce(
        (select case
             when policy is null or policy = 'null' then null
             when jsonb_typeof(policy -> 'limit') = 'number' then least((policy ->> 'limit')::numeric, 1000000)::integer
             else 0
         end
         from (select case split_part(key, ':', 1)
             when 'rule' then (select concurrency from rule where id = split_part(key, ':', 2)::bigint)
             when 'action' then (select concurrency from action where id = split_part(key, ':', 2)::bigint)
         end as policy) found),
        1000000)
$$;

-- As before, and the slots that outlive a rescue. One execution counts once.
create or replace function slots_held(of text) returns integer language sql stable as $$
    select case split_part(of, ':', 1)
        when 'rule' then (select count(*) from (
            select execution_id from execution_queue where rule_key = of and waits_for is distinct from rule_key
            union select execution_id from slot_hold where rule_key = of) held)::integer
        else (select count(*) from (
            select execution_id from execution_queue where action_key = of and waits_for is null
            union select execution_id from slot_hold where action_key = of) held)::integer
    end
$$;

-- As before. An execution whose history row is locked is passed over too: the slot must not wait for a foreign session.
create or replace function slot_next(of text) returns setof uuid language sql volatile as $$
    select line.execution_id from (
        select execution_id from execution_queue where waits_for = of order by execution_id for update skip locked
    ) line
    where execution_try_lock(line.execution_id) limit greatest(slot_limit(of) - slots_held(of), 0)
$$;

-- Passes on the slots of holds that have ended. Whoever deletes them has locked the rows of the queue.
create function slot_hold_ended() returns trigger language plpgsql as $$
declare
    keys text[];
begin
    -- What is to start again may do so now.
    update execution_queue q set run_at = db_now()
    from gone where q.execution_id = gone.execution_id and q.attempt = gone.attempt and q.ready and q.run_at > db_now();
    select array_agg(distinct key) into keys from gone, unnest(array[rule_key, action_key]) as key where key is not null;
    if keys is not null then
        perform slot_pass_on(keys);
    end if;
    return null;
end $$;

create trigger slot_hold_ended after delete on slot_hold
    referencing old table as gone for each statement execute function slot_hold_ended();

-- T3, as in 0009, and the keys whose slots the execution holds. `_careful`: passes over what is locked in the history as well;
-- asked for after a claim that had to wait for a foreign session's lock.
drop function execution_claim(text, uuid, bigint, interval);
create function execution_claim(_pool text, _worker uuid, _most bigint, _lease interval, _careful boolean default false)
    returns table (id uuid, attempt integer, action_ref text, rule_ref text, event_id uuid, parameters jsonb, trace_id uuid,
                   timeout_seconds integer, attempts_max integer, retry jsonb, on_lost text, waited_seconds float8, definitions_version bigint,
                   slot_keys text[])
    language plpgsql as $$
declare
    _taken execution_queue[];
    _ids uuid[];
    _low uuid;
    _high uuid;
begin
    if _careful then
        with picked as materialized (
            select next.execution_id from (
                select execution_id from execution_queue
                where pool = _pool and ready and run_at <= db_now()
                order by priority desc, run_at, execution_id for update skip locked
            ) next
            where execution_try_lock(next.execution_id) limit _most
        ),
        held as (
            update execution_queue q
            set ready = false, attempt = q.attempt + 1, worker_id = _worker, lease_until = db_now() + _lease,
                deadline_at = db_now() + make_interval(secs => q.timeout_seconds)
            where q.execution_id = any(array(select execution_id from picked))
            returning q.execution_id, q as entry
        )
        select array_agg(entry order by execution_id), array_agg(execution_id order by execution_id) into _taken, _ids from held;
    else
        with picked as materialized (
            select execution_id from execution_queue
            where pool = _pool and ready and run_at <= db_now()
            order by priority desc, run_at, execution_id limit _most for update skip locked
        ),
        held as (
            update execution_queue q
            set ready = false, attempt = q.attempt + 1, worker_id = _worker, lease_until = db_now() + _lease,
                deadline_at = db_now() + make_interval(secs => q.timeout_seconds)
            where q.execution_id = any(array(select execution_id from picked))
            returning q.execution_id, q as entry
        )
        select array_agg(entry order by execution_id), array_agg(execution_id order by execution_id) into _taken, _ids from held;
    end if;
    if _ids is null then
        return;
    end if;
    _low := _ids[1];
    _high := _ids[cardinality(_ids)];
    return query
        update execution e
        set status = 'running', attempt = (_taken[array_position(_ids, e.id)]).attempt, worker_id = _worker, started_at = db_now()
        where e.id = any(_ids) and e.id between _low and _high
        returning e.id, e.attempt, e.action_ref, e.rule_ref, e.event_id, e.parameters, e.trace_id,
                  (_taken[array_position(_ids, e.id)]).timeout_seconds, (_taken[array_position(_ids, e.id)]).attempts_max,
                  (_taken[array_position(_ids, e.id)]).retry, (_taken[array_position(_ids, e.id)]).on_lost,
                  extract(epoch from e.started_at - (_taken[array_position(_ids, e.id)]).run_at)::float8,
                  (select version from definitions),
                  array_remove(array[(_taken[array_position(_ids, e.id)]).rule_key, (_taken[array_position(_ids, e.id)]).action_key], null);
end $$;
