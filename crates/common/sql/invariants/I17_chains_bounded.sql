-- I17: a rule runs at most twice in a chain of executions, and a chain leads through at most 31 of them.
select x.id as execution_id, x.rule_ref, x.chain
from execution x left join rule r on r.ref = x.rule_ref
where cardinality(x.chain) > 31 or cardinality(array_positions(x.chain, r.id)) > 1
