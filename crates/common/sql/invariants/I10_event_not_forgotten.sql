-- I10: an event waits for its decision, or was decided: exactly one of the two.
select e.id, e.trigger_ref, q.event_id is not null as queued, d.event_id is not null as decided
from event e
left join event_queue q on q.event_id = e.id
left join event_decision d on d.event_id = e.id
where (q.event_id is null) = (d.event_id is null)
