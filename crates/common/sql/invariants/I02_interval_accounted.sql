-- I2: of every interval timer, each due instant of each span is an event or was counted as missed: due = events + missed.
-- A span begins after `from_at` and reaches to its end, or to the newest instant that is settled.
with span as (
    select s.trigger_id, s.generation, s.from_at, coalesce(s.to_at, m.settled_at, s.from_at) as to_at, s.config,
           1000000 * (coalesce((s.config ->> 'seconds')::numeric, 0) + 60 * coalesce((s.config ->> 'minutes')::numeric, 0)
                      + 3600 * coalesce((s.config ->> 'hours')::numeric, 0)) as period,
           case when coalesce(s.config ->> 'anchor', 'epoch') = 'epoch' then 0
                else extract(epoch from (s.config ->> 'anchor')::timestamptz) * 1000000 end as anchor
    from timer_span s left join timer m using (trigger_id)
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
            where g.trigger_id = b.trigger_id and g.generation = b.generation) as missed
    from bounded b
)
select * from counted where due <> events + missed
