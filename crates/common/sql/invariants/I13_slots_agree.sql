-- I13: no key has more slots taken than its policy allows, and nobody waits for one that is free. A policy that was changed
-- since the oldest of them was queued is left out: a lowered limit takes nobody's slot away.
with line as materialized (
    select key, min(q.run_at) as since
    from execution_queue q, unnest(array[q.rule_key, q.action_key]) as key
    where key is not null group by key
),
changed as (
    select 'rule:' || id as owner, updated_at from rule union all select 'action:' || id, updated_at from action
)
select l.key, slots_held(l.key) as held, slot_limit(l.key) as most, exists (select from execution_queue q where q.waits_for = l.key) as queued
from line l join changed c on c.owner = split_part(l.key, ':', 1) || ':' || split_part(l.key, ':', 2) and c.updated_at < l.since
where slots_held(l.key) > slot_limit(l.key)
   or (slots_held(l.key) < slot_limit(l.key) and exists (select from execution_queue q where q.waits_for = l.key))
