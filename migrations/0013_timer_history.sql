-- Every change of a timer is kept until a sensor has applied it. A sensor that was away finds more than the last state:
-- a timer that was disabled and enabled again, or had another schedule for a while, is settled span by span.

create table timer_history (
    trigger_id bigint not null constraint timer_history_trigger_fk references trigger on delete cascade,
    version bigint not null,
    -- The trigger and its pack were enabled, and no sensor was told to stop the timer.
    enabled boolean not null,
    is_timer boolean not null,
    config jsonb not null,
    changed_at timestamptz not null,
    primary key (trigger_id, version)
);

-- Runs after the whole statement, so that `stopped_version` is known where the same statement sets it.
create or replace function timer_changed() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        -- A transaction that switches the pack does not see these rows: wait for it, so that they are not recorded as enabled.
        perform from pack where id in (select pack_id from new_rows where kind = 'timer') order by id for share;
        -- A trigger that is made again with the id of a deleted one has no past.
        delete from timer_span s using new_rows n where s.trigger_id = n.id;
    end if;
    insert into timer_history as h (trigger_id, version, enabled, is_timer, config, changed_at)
        select n.id, n.version, n.enabled and p.enabled and m.stopped_version is distinct from n.version, n.kind = 'timer', n.config,
               case when tg_op = 'INSERT' then db_now() else n.updated_at end
        from new_rows n join pack p on p.id = n.pack_id left join timer m on m.trigger_id = n.id
        where n.kind = 'timer' or m.trigger_id is not null or exists (select from timer_history before where before.trigger_id = n.id)
        on conflict (trigger_id, version) do update
            set enabled = excluded.enabled, is_timer = excluded.is_timer, config = excluded.config, changed_at = excluded.changed_at;
    insert into timer_change (trigger_id)
        select id from new_rows where kind = 'timer'
        union
        -- No longer a timer: its row has to go.
        select h.trigger_id from timer_history h join new_rows n on n.id = h.trigger_id and n.kind <> 'timer'
        on conflict do nothing;
    return null;
end $$;
