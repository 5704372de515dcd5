-- What lists of executions need without reading results: the end of the output, and the reruns of a trace.

-- Written with the result. Executions that ended before have none, unless the result is small enough to be read instead.
alter table execution add column output_tail text;

-- A rerun has an id of its own time, so the millisecond of its event does not find it. Partial: reruns are rare.
create index execution_rerun on execution (trace_id, id) where rerun_of is not null;
