-- I15: a file that an event reported has that event, with its size; and no change of a file was reported twice in a row. The id of
-- an event about files ends with a hash of the trigger, the file, its version and the kind of the change.
select 'without its event' as problem, s.trigger_id, s.path, s.event_id
from file_seen s left join event e on e.id = s.event_id
where s.event_id is not null
  and s.seen_at > db_now() - make_interval(days => (select keep_days from partitioned_table where name = 'event') - 1)
  and (e.id is null or (e.payload ? 'size' and (e.payload ->> 'size')::numeric <> s.size))
union all
select 'reported twice', trigger_id, path, id
from (
    select id, trigger_id, payload ->> 'path' as path, payload ->> 'kind' as kind, substr(id::text, 15) as cause,
           lag(substr(id::text, 15)) over (partition by trigger_id, payload ->> 'host', payload ->> 'path' order by id) as cause_before
    from event where source = 'file_watch' and payload ? 'path'
) e
where cause = cause_before
  -- Without reported deletions, the same file may be created twice.
  and (kind <> 'created' or exists (
      select from trigger t where t.id = e.trigger_id and coalesce(t.config -> 'on', '["deleted"]') ? 'deleted'))
