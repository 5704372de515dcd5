-- Versions are raised by the database, so that a change by psql counts as much as one through the API.

-- A changed row gets the next version; a row that a person changed is no longer managed by its pack's file.
-- Whoever loads a pack says so with `set local attune.loading = 'on'`.
create function definition_stamp() returns trigger language plpgsql as $$
declare
    loading constant boolean not null := coalesce(current_setting('attune.loading', true), '') = 'on';
    beside constant text[] := array['enabled', 'managed', 'version', 'created_at', 'updated_at'];
begin
    if tg_op = 'INSERT' then
        if to_jsonb(new) ? 'managed' then
            new.managed := loading;
        end if;
        new.version := 1;
        return new;
    end if;
    new.version := old.version + 1;
    new.created_at := old.created_at;
    new.updated_at := db_now();
    if to_jsonb(new) ? 'managed' then
        new.managed := old.managed and (loading or to_jsonb(new) - beside = to_jsonb(old) - beside);
    end if;
    return new;
end $$;

-- Raises the counter once a statement, and only when a row really changed.
create function definitions_count() returns trigger language plpgsql as $$
declare
    changed boolean;
begin
    if tg_op = 'INSERT' then
        changed := exists (select from new_rows);
    elsif tg_op = 'DELETE' then
        changed := exists (select from old_rows);
    else
        changed := exists (select from new_rows n join old_rows o using (id) where n.version <> o.version);
    end if;
    if changed then
        update definitions set version = version + 1;
    end if;
    return null;
end $$;

do $$
declare
    name text;
begin
    foreach name in array array['pack', 'runtime', 'trigger', 'action', 'rule', 'secret'] loop
        execute format('create trigger a_stamp_insert before insert on %I for each row execute function definition_stamp()', name);
        execute format('create trigger a_stamp_update before update on %I for each row when (old.* is distinct from new.*) execute function definition_stamp()', name);
        execute format('create trigger z_count_insert after insert on %I referencing new table as new_rows for each statement execute function definitions_count()', name);
        execute format('create trigger z_count_update after update on %I referencing new table as new_rows old table as old_rows for each statement execute function definitions_count()', name);
        execute format('create trigger z_count_delete after delete on %I referencing old table as old_rows for each statement execute function definitions_count()', name);
    end loop;
end $$;

create function rule_remember() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        insert into rule_history (rule_id, version, ref, trigger_id, action_id, condition, action_params, enabled, deleted, created_at)
        values (old.id, old.version, old.ref, old.trigger_id, old.action_id, old.condition, old.action_params, false, true, old.created_at);
    else
        insert into rule_history (rule_id, version, ref, trigger_id, action_id, condition, action_params, enabled, deleted, created_at)
        values (new.id, new.version, new.ref, new.trigger_id, new.action_id, new.condition, new.action_params, new.enabled, false, new.created_at);
    end if;
    return null;
end $$;

create trigger rule_remember_write after insert or delete on rule for each row execute function rule_remember();
create trigger rule_remember_update after update on rule for each row when (old.* is distinct from new.*) execute function rule_remember();

-- A pack that is switched off or on switches its triggers and rules: they get a new version, and timers are planned again.
create function pack_switched() returns trigger language plpgsql as $$
begin
    update trigger set version = version + 1 where pack_id = new.id;
    update rule set version = version + 1 where pack_id = new.id;
    return null;
end $$;

create trigger pack_switched after update on pack for each row when (old.enabled <> new.enabled) execute function pack_switched();

-- The timers that a sensor still has to plan again. Written by the transaction that changes a definition, taken by whichever sensor comes first.
create table timer_change (
    trigger_id bigint primary key constraint timer_change_trigger_fk references trigger on delete cascade
);

create function timer_changed() returns trigger language plpgsql as $$
begin
    insert into timer_change (trigger_id)
        select id from new_rows where kind = 'timer'
        union
        -- No longer a timer: its row has to go.
        select timer.trigger_id from timer join new_rows on new_rows.id = timer.trigger_id and new_rows.kind <> 'timer'
        on conflict do nothing;
    return null;
end $$;

create trigger timer_changed_insert after insert on trigger referencing new table as new_rows for each statement execute function timer_changed();
create trigger timer_changed_update after update on trigger referencing new table as new_rows for each statement execute function timer_changed();
