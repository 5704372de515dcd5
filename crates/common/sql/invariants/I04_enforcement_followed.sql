-- I4: an enforcement has its one execution, or says why it has none.
select n.id as enforcement_id, n.rule_ref, n.status, n.reason, count(x.id) as executions
from enforcement n left join execution x on x.enforcement_id = n.id
group by n.id, n.rule_ref, n.status, n.reason
having (n.status = 'created' and count(x.id) <> 1) or (n.status <> 'created' and (count(x.id) > 0 or n.reason is null))
