-- I12: what a caller was promised under a key of its own is there.
select 'event_dedup' as what, d.event_id as id
from event_dedup d
where d.created_at > db_now() - interval '7 days' and not exists (select from event e where e.id = d.event_id)
union all
select 'idempotency', (i.response ->> 'event_id')::uuid
from idempotency i
where i.response ? 'event_id' and not exists (select from event e where e.id = (i.response ->> 'event_id')::uuid)
union all
select 'idempotency', (i.response ->> 'execution_id')::uuid
from idempotency i
where i.response ? 'execution_id' and not exists (select from execution x where x.id = (i.response ->> 'execution_id')::uuid)
