-- I16: an execution that ended while a rule subscribed to `core.execution_finished` has exactly one event, and such an event has
-- the end of its execution. Left out are executions that ended within 5 s of a change of the subscription, because which of the
-- two committed first cannot be seen from their times, and those whose events retention may have removed.
with listening as (
    select h.rule_id, h.version, h.changed_at, greatest(t.updated_at, tp.updated_at, rp.updated_at) as switched_at
    from trigger t
    join pack tp on tp.id = t.pack_id and tp.enabled
    join rule_history h on h.trigger_id = t.id and h.enabled and not h.deleted
    join rule r on r.id = h.rule_id
    join pack rp on rp.id = r.pack_id and rp.enabled
    where t.ref = 'core.execution_finished' and t.kind = 'system' and t.enabled
),
reported as (
    select id, (payload ->> 'execution_id')::uuid as execution_id
    from event where trigger_ref = 'core.execution_finished' and source = 'system'
)
select 'missing' as what, x.id as execution_id, null::uuid as event_id
from execution x
where x.finished_at > db_now() - make_interval(days => (select keep_days - 1 from partitioned_table where name = 'event'))
  and exists (
      select from listening l
      where l.changed_at < x.finished_at - interval '5 seconds' and l.switched_at < x.finished_at - interval '5 seconds'
        and not exists (
            select from rule_history c
            where c.rule_id = l.rule_id and (c.version > l.version or c.deleted) and c.changed_at < x.finished_at + interval '5 seconds'
        )
  )
  and not exists (select from event e where e.id = system_event_id(x.finished_at, 'core.execution_finished', x.id::text))
union all
select 'doubled', execution_id, null from reported group by execution_id having count(*) > 1
union all
select 'not its end', x.id, e.id
from reported e join execution x on x.id = e.execution_id
where e.id is distinct from system_event_id(x.finished_at, 'core.execution_finished', x.id::text)
