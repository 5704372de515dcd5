-- A claim also returns the content of the pack that the execution was created with. The statement is that of 0021 otherwise.
drop function execution_claim(text, uuid, bigint, interval, boolean);
create function execution_claim(_pool text, _worker uuid, _most bigint, _lease interval, _careful boolean default false)
    returns table (id uuid, attempt integer, action_ref text, rule_ref text, event_id uuid, parameters jsonb, trace_id uuid,
                   timeout_seconds integer, attempts_max integer, retry jsonb, on_lost text, waited_seconds float8, definitions_version bigint,
                   slot_keys text[], pack_hash text)
    language plpgsql as $$
declare
    _taken execution_queue[];
    _ids uuid[];
    _low uuid;
    _high uuid;
    _claimed bigint;
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
        where e.id = any(_ids) and e.id between _low and _high and e.status = 'scheduled'
        returning e.id, e.attempt, e.action_ref, e.rule_ref, e.event_id, e.parameters, e.trace_id,
                  (_taken[array_position(_ids, e.id)]).timeout_seconds, (_taken[array_position(_ids, e.id)]).attempts_max,
                  (_taken[array_position(_ids, e.id)]).retry, (_taken[array_position(_ids, e.id)]).on_lost,
                  extract(epoch from e.started_at - (_taken[array_position(_ids, e.id)]).run_at)::float8,
                  (select version from definitions),
                  array_remove(array[(_taken[array_position(_ids, e.id)]).rule_key, (_taken[array_position(_ids, e.id)]).action_key], null),
                  e.pack_hash;
    get diagnostics _claimed = row_count;
    if _claimed < cardinality(_ids) then
        update execution_queue q
        set ready = true, attempt = q.attempt - 1, worker_id = null, lease_until = null, deadline_at = null, run_at = 'infinity'
        where q.execution_id = any(_ids) and not exists (
            select from execution e where e.id = q.execution_id and e.id between _low and _high
                and e.status = 'running' and e.worker_id = _worker and e.attempt = q.attempt);
    end if;
end $$;
