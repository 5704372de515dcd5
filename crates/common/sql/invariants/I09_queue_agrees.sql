-- I9: an execution has a queue row as long as it is pending, of the same attempt, and no longer.
select coalesce(e.id, q.execution_id) as execution_id, e.status, e.attempt, q.attempt as queue_attempt, q.ready
from execution e full join execution_queue q on q.execution_id = e.id
where case
    when e.id is null then true
    when e.status in ('scheduled', 'waiting') then q.execution_id is null or q.attempt <> e.attempt or q.ready <> (e.status = 'scheduled')
    when e.status in ('running', 'canceling') then q.execution_id is null or q.attempt <> e.attempt or q.ready
    else q.execution_id is not null
end
