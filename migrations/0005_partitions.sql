-- A partition a day, made a week ahead, plus a default that catches what lies outside. A row in the default is worth an alert.

create table partitioned_table (
    name text primary key,
    storage text not null default '',
    keep_days integer not null,
    -- The queue whose rows mean that a partition still holds pending work.
    queue text,
    queue_key text
);
-- Executions and what belongs to them are written again while they run: leave room on the page.
insert into partitioned_table (name, storage, keep_days, queue, queue_key) values
    ('event', '', 30, 'event_queue', 'event_id'),
    ('event_decision', '', 30, 'event_queue', 'event_id'),
    ('enforcement', '', 90, 'execution_queue', 'execution_id'),
    ('execution', 'with (fillfactor = 50)', 90, 'execution_queue', 'execution_id'),
    ('execution_attempt', '', 90, 'execution_queue', 'execution_id'),
    ('execution_log', '', 14, 'execution_queue', 'execution_id');

create function partition_key(parent text) returns text language sql stable
    as $$ select a.attname::text from pg_partitioned_table p join pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0] where p.partrelid = parent::regclass $$;

-- Makes one day's partition of one table, unless it is there. Rows of that day that the default holds move over in the same
-- transaction: PostgreSQL would refuse the partition otherwise.
create function partition_create(parent text, day date) returns boolean language plpgsql as $$
declare
    child constant text := parent || '_' || to_char(day, 'YYYYMMDD');
    low constant uuid := id_floor(day::timestamp at time zone 'UTC');
    high constant uuid := id_floor((day + 1)::timestamp at time zone 'UTC');
    key constant text := partition_key(parent);
    options constant text not null := (select storage from partitioned_table where name = parent);
begin
    if to_regclass(child) is not null then
        return false;
    end if;
    execute format('create table %I (like %I including defaults including constraints) %s', child, parent, options);
    execute format('with moved as (delete from %I where %I >= %L and %I < %L returning *) insert into %I select * from moved',
                   parent || '_default', key, low, key, high, child);
    execute format('alter table %I attach partition %I for values from (%L) to (%L)', parent, child, low, high);
    return true;
end $$;

-- Every partition that should exist from now on. Safe to repeat, safe from anywhere.
create function partition_upkeep() returns integer language plpgsql as $$
declare
    today constant date := (db_now() at time zone 'UTC')::date;
    made integer := 0;
    parent text;
    ahead integer;
begin
    for parent in select name from partitioned_table order by name loop
        for ahead in -1..7 loop
            if partition_create(parent, today + ahead) then
                made := made + 1;
            end if;
        end loop;
    end loop;
    return made;
end $$;

-- Drops what is older than its table keeps, and deletes the same from the default. A partition with pending work stays.
create function partition_expire() returns table (dropped text, removed bigint) language plpgsql as $$
declare
    parent record;
    child record;
    cut_off uuid;
    pending boolean;
begin
    for parent in select * from partitioned_table order by name loop
        cut_off := id_floor(date_trunc('day', db_now() - make_interval(days => parent.keep_days), 'UTC'));
        for child in
            select c.relname::text as name, substring(c.relname from '\d{8}$')::date as day
            from pg_inherits i join pg_class c on c.oid = i.inhrelid
            where i.inhparent = parent.name::regclass and c.relname ~ '_\d{8}$'
        loop
            continue when id_floor((child.day + 1)::timestamp at time zone 'UTC') > cut_off;
            execute format('select exists (select from %I where %I >= %L and %I < %L)', parent.queue, parent.queue_key,
                           id_floor(child.day::timestamp at time zone 'UTC'), parent.queue_key,
                           id_floor((child.day + 1)::timestamp at time zone 'UTC')) into pending;
            continue when pending;
            dropped := child.name;
            execute format('select count(*) from %I', child.name) into removed;
            execute format('drop table %I', child.name);
            return next;
        end loop;
        execute format('delete from %I d where d.%I < %L and not exists (select from %I q where q.%I = d.%I)',
                       parent.name || '_default', partition_key(parent.name), cut_off, parent.queue, parent.queue_key, partition_key(parent.name));
        get diagnostics removed = row_count;
        if removed > 0 then
            dropped := parent.name || '_default';
            return next;
        end if;
    end loop;
end $$;

do $$
declare
    parent text;
begin
    for parent in select name from partitioned_table loop
        execute format('create table %I partition of %I default', parent || '_default', parent);
    end loop;
    perform partition_upkeep();
end $$;
