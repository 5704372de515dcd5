-- I3: an event and a rule that had to look at it give one enforcement, and a rule that was not in force gives none.
-- Which definition was in force says `rule_history`. A rule that changed within 5 s of the decision is left out: which of the
-- two committed first cannot be seen from their times. So are rules of packs that were switched since. Whether a condition
-- holds is not decided here again: as many enforcements are there as the decision counted.
with looked as (
    select e.id as event_id, e.trigger_id, e.received_at, d.decided_at
    from event e join event_decision d on d.event_id = e.id
),
force as (
    select l.event_id, h.rule_id, h.ref, h.created_at, l.received_at,
           h.enabled and not h.deleted and h.trigger_id = l.trigger_id as in_force,
           coalesce(h.condition, 'null') = 'null' as unconditional
    from looked l
    join lateral (
        select distinct on (rule_id) * from rule_history
        where changed_at <= l.decided_at order by rule_id, version desc, deleted desc
    ) h on true
    join rule r on r.id = h.rule_id
    join pack p on p.id = r.pack_id and p.enabled and p.updated_at < l.decided_at - interval '5 seconds'
    where not exists (
        select from rule_history c
        where c.rule_id = h.rule_id and c.changed_at between l.decided_at - interval '5 seconds' and l.decided_at + interval '5 seconds'
    )
)
select 'missing' as what, f.event_id, f.ref as rule_ref, 0 as enforcements
from force f
where f.in_force and f.unconditional and f.created_at <= f.received_at
  and not exists (select from enforcement n where n.event_id = f.event_id and n.rule_id = f.rule_id)
union all
select 'not in force', f.event_id, f.ref, 1
from force f join enforcement n on n.event_id = f.event_id and n.rule_id = f.rule_id
where not f.in_force or f.created_at > f.received_at
union all
select 'doubled', event_id, rule_ref, count(*)::integer
from enforcement group by event_id, rule_id, rule_ref having count(*) > 1
union all
select 'not as counted', event_id, null, coalesce(n.enforcements, 0)
from event_decision d left join (select event_id, count(*)::integer as enforcements from enforcement group by event_id) n using (event_id)
where d.matched <> coalesce(n.enforcements, 0)
