-- I11: attempts are 1 to n without a hole, and the next one starts after the one before was given up.
select e.id, e.action_ref, e.attempt, a.given_up, a.latest_end
from execution e
left join lateral (
    select count(*) filter (where outcome is not null) as given_up, max(ended_at) filter (where outcome is not null) as latest_end
    from execution_attempt where execution_id = e.id and attempt < e.attempt
) a on true
where e.attempt > 1 and (a.given_up <> e.attempt - 1 or a.latest_end > e.started_at)
