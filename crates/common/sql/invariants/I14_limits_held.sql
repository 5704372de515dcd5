-- I14: of each concurrency key, no more attempts lived at once than its limit allows: from the instant at which the supervisor
-- started them to the one at which it saw that nothing of them was left. Attempts that began before their policy was last
-- changed are left out, and so are those whose end nobody recorded (their worker was killed).
with life as materialized (
    select key, a.execution_id, a.attempt, a.began_at, a.over_at
    from execution_attempt a, unnest(a.slot_keys) as key
    where a.began_at is not null and a.over_at > a.began_at
),
changed as (
    select 'rule:' || id as owner, updated_at from rule union all select 'action:' || id, updated_at from action
),
bounded as materialized (
    select k.key, slot_limit(k.key) as most, c.updated_at
    from (select distinct key from life) k join changed c on c.owner = split_part(k.key, ':', 1) || ':' || split_part(k.key, ':', 2)
),
moment as (
    select key, most, execution_id, attempt, step, at,
           sum(step) over (partition by key order by at, step, execution_id, attempt rows unbounded preceding) as lives
    from bounded join life using (key), lateral (values (began_at, 1), (over_at, -1)) as m (at, step)
    where began_at > updated_at
)
select key, most, lives, at, execution_id, attempt from moment where step = 1 and lives > most
