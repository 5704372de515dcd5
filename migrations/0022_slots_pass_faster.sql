-- Slots of concurrency keys cost less. The meaning of each function is unchanged (0007, 0011).
--
-- In PL/pgSQL, because PostgreSQL plans the body of an SQL function again at each call, and each slot that is passed on took
-- about ten such calls. Plans are kept as long as a session lives and may be made while the queue is empty, so they must not
-- read whole tables.
create or replace function slot_limit(key text) returns integer language plpgsql stable as $$
declare
    _policy jsonb;
begin
    if split_part(key, ':', 1) = 'rule' then
        select concurrency into _policy from rule where id = split_part(key, ':', 2)::bigint;
    else
        select concurrency into _policy from action where id = split_part(key, ':', 2)::bigint;
    end if;
    return case
        when _policy is null or _policy = 'null' then 1000000
        when jsonb_typeof(_policy -> 'limit') = 'number' then least((_policy ->> 'limit')::numeric, 1000000)::integer
        else 0
    end;
end $$;

create or replace function slots_held(of text) returns integer language plpgsql stable set enable_seqscan = off as $$
begin
    if split_part(of, ':', 1) = 'rule' then
        return (select count(*) from (
            select execution_id from execution_queue where rule_key = of and waits_for is distinct from rule_key
            union select execution_id from slot_hold where rule_key = of) held);
    end if;
    return (select count(*) from (
        select execution_id from execution_queue where action_key = of and waits_for is null
        union select execution_id from slot_hold where action_key = of) held);
end $$;

create or replace function slot_next(of text) returns setof uuid language plpgsql volatile set enable_seqscan = off as $$
declare
    _free integer := slot_limit(of) - slots_held(of);
begin
    if _free > 0 then
        return query
            select line.execution_id from (
                select execution_id from execution_queue where waits_for = of order by execution_id for update skip locked
            ) line
            where execution_try_lock(line.execution_id) limit _free;
    end if;
end $$;

-- The next of a line without regard to locks in the history: locking each row there costs more than the rest.
create function slot_first(of text) returns setof uuid language plpgsql volatile set enable_seqscan = off as $$
declare
    _free integer := slot_limit(of) - slots_held(of);
begin
    if _free > 0 then
        return query
            select execution_id from execution_queue where waits_for = of order by execution_id limit _free for update skip locked;
    end if;
end $$;

-- The next of these lines, with their history rows locked all at once. A line whose next is locked by a foreign session is asked
-- again, for the next that is not.
create function slots_next(keys text[]) returns uuid[] language plpgsql as $$
declare
    _next uuid[];
    _locked uuid[];
    _low uuid;
    _high uuid;
    _passed_over text[];
begin
    _next := array(select slot_first(k) from unnest(keys) as k);
    if _next = '{}' then
        return _next;
    end if;
    select (array_agg(n order by n))[1], (array_agg(n order by n desc))[1] into _low, _high from unnest(_next) as n;
    _locked := array(select id from execution where id = any(_next) and id between _low and _high for update skip locked);
    if cardinality(_locked) = cardinality(_next) then
        return _next;
    end if;
    _passed_over := array(select distinct waits_for from execution_queue where execution_id = any(_next) and execution_id <> all(_locked));
    return array(
        select execution_id from execution_queue where execution_id = any(_locked) and waits_for <> all(_passed_over)
        union all
        select slot_next(k) from unnest(_passed_over) as k);
end $$;

-- As before, with one update for all keys of a kind instead of one for each key. Lines of two keys have no row in common.
create or replace function slot_pass_on(keys text[]) returns text[] language plpgsql as $$
declare
    _rules text[] := array(select distinct k from unnest(keys) as k where k like 'rule:%');
    _actions text[] := array(select distinct k from unnest(keys) as k where k like 'action:%');
    _moved uuid[];
    _in_line text[];
    _started uuid[] := '{}';
    _pools text[];
    _low uuid;
    _high uuid;
begin
    if _rules <> '{}' then
        perform slot_lock(_rules);
        _moved := slots_next(_rules);
        with moved as (
            update execution_queue
            set waits_for = action_key, ready = action_key is null,
                run_at = case when action_key is null then greatest(run_at, db_now()) else run_at end
            where execution_id = any(_moved)
            returning execution_id, action_key
        )
        select coalesce(array_agg(action_key) filter (where action_key is not null), '{}'),
               coalesce(array_agg(execution_id) filter (where action_key is null), '{}')
        into _in_line, _started from moved;
        _actions := array(select distinct k from unnest(_actions || _in_line) as k);
    end if;
    if _actions <> '{}' then
        perform slot_lock(_actions);
        _moved := slots_next(_actions);
        if _moved <> '{}' then
            update execution_queue set waits_for = null, ready = true, run_at = greatest(run_at, db_now())
            where execution_id = any(_moved);
            _started := _started || _moved;
        end if;
    end if;
    if _started = '{}' then
        return '{}';
    end if;
    select array_agg(distinct pool) into _pools from execution_queue where execution_id = any(_started);
    select (array_agg(s order by s))[1], (array_agg(s order by s desc))[1] into _low, _high from unnest(_started) as s;
    update execution set status = 'scheduled', scheduled_at = db_now() where id = any(_started) and id between _low and _high;
    return _pools;
end $$;
