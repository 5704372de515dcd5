-- I1: no two events of one trigger for the same instant.
select trigger_ref, scheduled_at, count(*) as events
from event
where source = 'timer' and scheduled_at is not null
group by trigger_id, trigger_ref, scheduled_at
having count(*) > 1
