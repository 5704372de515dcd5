-- Slots of concurrency keys.
--
-- The row in execution_queue *is* the slot: whatever takes the row away frees it, in its own transaction, so no slot can
-- leak. A key is `rule:<id>[:<text>]` or `action:<id>[:<text>]`. An execution first stands in its rule's line; when it holds
-- the rule's slot, in the action's; then it is ready.
--
-- Order of locks, which keeps all of this free of deadlocks: rows of execution_queue before keys, never a wait for such a row
-- while a key is held (`skip locked`); of keys first those of rates, then of rules, then of actions, each sorted.
-- A key is locked by its place among 1,024, so that no transaction needs more locks than the server has.

-- Those that hold a slot, and the lines. All three are empty as long as nobody uses policies.
create index execution_queue_rule_slot on execution_queue (rule_key) where rule_key is not null and waits_for is distinct from rule_key;
create index execution_queue_action_slot on execution_queue (action_key) where action_key is not null and waits_for is null;
create index execution_queue_line on execution_queue (waits_for, execution_id) where waits_for is not null;

-- When a rule with a rate limit started something. Only as long as its window.
create table rate_start (
    rule_id bigint not null,
    enforcement_id uuid not null,
    at timestamptz not null,
    primary key (rule_id, enforcement_id)
);
create index rate_start_window on rate_start (rule_id, at);

create function slot_lock(keys text[]) returns void language plpgsql as $$
begin
    perform pg_advisory_xact_lock(7000 + kind, place)
    from (
        select distinct array_position(array['rate', 'rule', 'action'], split_part(key, ':', 1)) as kind, hashtext(key) & 1023 as place
        from unnest(keys) as key where key is not null order by kind, place
    ) as sorted;
end $$;

-- The limit as it is now: a policy that was changed counts for those that wait, one that was removed limits nothing.
create function slot_limit(key text) returns integer language sql stable as $$
    select coalesce(
        case split_part(key, ':', 1)
            when 'rule' then (select (concurrency ->> 'limit')::numeric::integer from rule where id = split_part(key, ':', 2)::bigint)
            when 'action' then (select (concurrency ->> 'limit')::numeric::integer from action where id = split_part(key, ':', 2)::bigint)
        end, 1000000)
$$;

-- Does what comes take the place of what was before?
create function slot_replaces(key text) returns boolean language sql stable as $$
    select coalesce(
        case split_part(key, ':', 1)
            when 'rule' then (select concurrency ->> 'overflow' from rule where id = split_part(key, ':', 2)::bigint)
            when 'action' then (select concurrency ->> 'overflow' from action where id = split_part(key, ':', 2)::bigint)
        end = 'cancel_previous', false)
$$;

create function slots_held(of text) returns integer language sql stable as $$
    select case split_part(of, ':', 1)
        when 'rule' then (select count(*) from execution_queue where rule_key = of and waits_for is distinct from rule_key)::integer
        else (select count(*) from execution_queue where action_key = of and waits_for is null)::integer
    end
$$;

-- The keys that have lines, each read from the index with one look, however long its line is.
create function slot_lines() returns setof text language sql stable as $$
    with recursive line as (
        select min(waits_for) as key from execution_queue where waits_for is not null
        union all
        select (select min(waits_for) from execution_queue where waits_for > line.key) from line where line.key is not null
    )
    select key from line where key is not null
$$;

-- Locks keys until the transaction ends and says how they stand. A window of seconds makes a key one of a rate.
create function slot_state(keys text[], windows integer[]) returns table (key text, held integer, queued boolean) language plpgsql as $$
begin
    perform slot_lock(keys);
    -- A statement of its own, so that it sees what those before committed.
    return query
        select g.key,
               case when g.seconds is null then slots_held(g.key)
                    else (select count(*)::integer from rate_start s
                          where s.rule_id = split_part(g.key, ':', 2)::bigint and s.at > db_now() - make_interval(secs => g.seconds)) end,
               g.seconds is null and exists (select from execution_queue q where q.waits_for = g.key)
        from unnest(keys, windows) as g (key, seconds);
end $$;

-- The next of a line, as many as there are free slots. They are locked; whom somebody cancels just now is left out.
create function slot_next(of text) returns setof uuid language sql volatile as $$
    select execution_id from execution_queue where waits_for = of
    order by execution_id limit greatest(slot_limit(of) - slots_held(of), 0) for update skip locked
$$;

-- Gives free slots of these keys to the next in their lines, and returns the pools that have something to do.
create function slot_pass_on(keys text[]) returns text[] language plpgsql as $$
declare
    actions text[] := array(select k from unnest(keys) as k where k like 'action:%');
    of_key text;
    moved uuid[];
    in_between uuid[] := '{}';
    started uuid[] := '{}';
    pools text[];
    low uuid;
    high uuid;
begin
    perform slot_lock(array(select k from unnest(keys) as k where k like 'rule:%'));
    for of_key in select distinct k from unnest(keys) as k where k like 'rule:%' loop
        moved := array(select slot_next(of_key));
        in_between := in_between || moved;
        update execution_queue set waits_for = action_key where execution_id = any(moved);
    end loop;
    if in_between <> '{}' then
        actions := actions || array(select action_key from execution_queue where execution_id = any(in_between) and action_key is not null);
        started := array(select execution_id from execution_queue where execution_id = any(in_between) and waits_for is null);
    end if;
    perform slot_lock(actions);
    for of_key in select distinct k from unnest(actions) as k loop
        moved := array(select slot_next(of_key));
        started := started || moved;
        update execution_queue set waits_for = null where execution_id = any(moved);
    end loop;
    if started = '{}' then
        return '{}';
    end if;
    with ready as (
        update execution_queue set ready = true, run_at = greatest(run_at, db_now()) where execution_id = any(started) returning pool
    )
    select array_agg(distinct pool) into pools from ready;
    select (array_agg(s order by s))[1], (array_agg(s order by s desc))[1] into low, high from unnest(started) as s;
    update execution set status = 'scheduled', scheduled_at = db_now() where id = any(started) and id between low and high;
    return pools;
end $$;

create function slot_freed() returns trigger language plpgsql as $$
declare
    keys text[];
begin
    -- About 8 µs a statement for everybody who does not use policies.
    if exists (select from gone where rule_key is not null or action_key is not null) then
        select array_agg(distinct key) into keys
        from gone, unnest(array[gone.rule_key, gone.action_key]) as key where key is not null;
        perform slot_pass_on(keys);
    end if;
    return null;
end $$;

create trigger slot_freed after delete on execution_queue
    referencing old table as gone for each statement execute function slot_freed();
