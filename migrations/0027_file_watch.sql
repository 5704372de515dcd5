-- File watches store their position here: which version of which file is accounted for. A sensor that restarts, or takes over,
-- continues from these rows, and an event is written in the same transaction as the row of its file.

create table file_watch (
    trigger_id bigint not null constraint file_watch_trigger_fk references trigger on delete cascade,
    -- The host whose disk this position describes. Empty: any one host that has the path.
    host text not null,
    -- The sensor that watches now. Until the lease expires, no other sensor does.
    sensor_id uuid,
    sensor_host text,
    lease_until timestamptz,
    -- The configuration that the rows of file_seen belong to. Null: the next scan only records what it finds.
    config jsonb,
    scanned_at timestamptz,
    last_error text,
    constraint file_watch_pkey primary key (trigger_id, host)
) with (fillfactor = 50);

create table file_seen (
    trigger_id bigint not null,
    host text not null,
    -- Relative to the watched directory.
    path text not null,
    device bigint not null,
    inode bigint not null,
    size bigint not null,
    mtime_ns bigint not null,
    -- The event that reported this version. Null: it was only recorded.
    event_id uuid,
    seen_at timestamptz not null,
    constraint file_seen_pkey primary key (trigger_id, host, path),
    constraint file_seen_watch_fk foreign key (trigger_id, host) references file_watch on delete cascade
);

-- What changes while a trigger is disabled is not reported later. Ending the lease here makes sure of that, whichever sensor
-- notices when.
create function file_watch_changed() returns trigger language plpgsql as $$
begin
    if new.kind <> 'file_watch' then
        delete from file_watch where trigger_id = new.id;
    elsif not new.enabled or not (select enabled from pack where id = new.pack_id) then
        update file_watch set sensor_id = null, lease_until = null, config = null, last_error = null where trigger_id = new.id;
    end if;
    return null;
end $$;

create trigger file_watch_changed after update on trigger for each row
    when (old.kind = 'file_watch' and old.version <> new.version) execute function file_watch_changed();
