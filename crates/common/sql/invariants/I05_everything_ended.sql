-- I5: after the drain, no execution is left open. (While work comes in, some always are.)
select id, action_ref, status, attempt, created_at
from execution
where status in ('waiting', 'scheduled', 'running', 'canceling')
