-- I2: of every interval timer, each due instant of each span is an event or was counted as missed: due = events + missed.
-- A span begins after `from_at` and reaches to its end, or to the newest instant that is settled. Of the days whose events
-- retention has dropped nothing is known any more: an old span is looked at from the first day that is there, and left
-- out when a gap reaches over that day's beginning.
with kept as (
    select date_trunc('day', id_time(id), 'UTC') - interval '1 microsecond' as since from event order by id limit 1
),
span as (
    select s.trigger_id, s.generation, coalesce(s.to_at, m.settled_at, s.from_at) >= kept.since and s.from_at < least(kept.since, db_now() - interval '1 day') as cut,
           case when s.from_at < db_now() - interval '1 day' then greatest(s.from_at, kept.since) else s.from_at end as from_at, coalesce(s.to_at, m.settled_at, s.from_at) as to_at, s.config,
           1000000 * (coalesce((s.config ->> 'seconds')::numeric, 0) + 60 * coalesce((s.config ->> 'minutes')::numeric, 0)
                      + 3600 * coalesce((s.config ->> 'hours')::numeric, 0)) as period,
           case when coalesce(s.config ->> 'anchor', 'epoch') = 'epoch' then 0
                else extract(epoch from (s.config ->> 'anchor')::timestamptz) * 1000000 end as anchor
    from timer_span s left join timer m using (trigger_id) left join kept on true
    where s.config ->> 'type' = 'interval'
      and (s.to_at is not null or (m.generation = s.generation and m.recovery is null))
),
bounded as (
    select *,
           extract(epoch from greatest(from_at, (config ->> 'start_at')::timestamptz - interval '1 microsecond')) * 1000000 as low,
           extract(epoch from least(to_at, (config ->> 'end_at')::timestamptz)) * 1000000 as high
    from span
),
counted as (
    select trigger_id, generation, from_at, to_at,
           greatest(0, floor((high - anchor) / period) - floor((low - anchor) / period)) as due,
           (select count(*) from event e
            where e.trigger_id = b.trigger_id and e.source = 'timer' and e.scheduled_at > b.from_at and e.scheduled_at <= b.to_at) as events,
           (select coalesce(sum(g.missed), 0) from timer_gap g
            where g.trigger_id = b.trigger_id and g.generation = b.generation and (b.cut is not true or g.from_at > b.from_at)) as missed
    from bounded b
    where b.cut is not true or not exists (
        select from timer_gap g
        where g.trigger_id = b.trigger_id and g.generation = b.generation and g.from_at <= b.from_at and g.to_at > b.from_at
    )
)
select * from counted where due <> events + missed
