-- I8: an action whose `on_lost` is `fail` is never started again after its worker was lost.
select e.id, e.action_ref, e.attempt, a.attempt as lost_attempt
from execution e
join execution_attempt a on a.execution_id = e.id and a.outcome = 'lost' and a.attempt < e.attempt
join action d on d.ref = e.action_ref and d.on_lost = 'fail' and d.updated_at < e.created_at
