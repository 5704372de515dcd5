-- I6: no attempt has two accepted ends. An attempt that was given up has a row of its own; the execution's result then
-- belongs to a later one.
select e.id, e.status, e.attempt, a.outcome
from execution e join execution_attempt a on a.execution_id = e.id and a.attempt = e.attempt and a.outcome is not null
where e.status in ('succeeded', 'failed', 'timed_out') or (e.status = 'lost' and a.outcome <> 'lost')
