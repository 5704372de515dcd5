-- I7: a result belongs to the execution's current attempt, and only an execution that has ended has one.
select e.id, e.status, e.attempt, a.attempt as other_attempt
from execution e left join execution_attempt a on a.execution_id = e.id and a.attempt > e.attempt
where a.attempt is not null
   or (e.result is not null and e.status in ('waiting', 'scheduled', 'running', 'canceling'))
   or (e.finished_at is not null) <> (e.status not in ('waiting', 'scheduled', 'running', 'canceling'))
