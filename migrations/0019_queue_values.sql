-- A value that no claim can read, written with psql, stopped every claim of its pool. Such values are refused from now on, and
-- existing ones become the defaults.
update execution_queue set
    on_lost = case when on_lost in ('fail', 'requeue') then on_lost else 'fail' end,
    attempt = least(greatest(attempt, 0), 1000000),
    attempts_max = greatest(attempts_max, 1),
    timeout_seconds = least(greatest(timeout_seconds, 1), 604800)
where on_lost not in ('fail', 'requeue')
    or attempt not between 0 and 1000000
    or attempts_max < 1
    or timeout_seconds not between 1 and 604800;
alter table execution_queue
    add constraint execution_queue_on_lost_known check (on_lost in ('fail', 'requeue')),
    add constraint execution_queue_attempt_range check (attempt between 0 and 1000000),
    add constraint execution_queue_attempts_max_range check (attempts_max >= 1),
    add constraint execution_queue_timeout_range check (timeout_seconds between 1 and 604800);
