//! The backlog of each pool, in one query.

use attune_common::{
    store::backlog::{self, Backlog},
    testing::Database,
};

/// `quick` has a live worker, `slow` one whose heartbeat is too old.
const QUEUE: &str = "
    insert into service_instance (id, kind, host, pid, version, detail, heartbeat_at) values
        (gen_random_uuid(), 'worker', 'h', 1, '0', '{\"pool\": \"quick\"}', now() - interval '8 seconds'),
        (gen_random_uuid(), 'worker', 'h', 1, '0', '{\"pool\": \"slow\"}', now() - interval '12 seconds');
    insert into execution_queue (execution_id, pool, run_at, timeout_seconds, ready, action_key, waits_for)
        select gen_random_uuid(), pool, now() - age, 1, ready, key, key from (values
            ('quick', interval '60 seconds', true, null), ('quick', '0', true, null), ('quick', '-60 seconds', true, null),
            ('quick', '90 seconds', false, null), ('quick', '90 seconds', false, 'a:1'),
            ('slow', '60 seconds', true, null), ('slow', '2 seconds', true, null),
            ('idle', '90 seconds', false, null)) as given (pool, age, ready, key)";

#[tokio::test]
async fn the_backlog_counts_waiting_and_running_executions_and_workers() {
    let database = Database::new().await;
    database.execute(QUEUE).await;
    let pools = backlog::of_pools(&database.pool).await.unwrap();
    let counts = |of: &Backlog| {
        (
            of.pool.clone(),
            [of.ready, of.waiting, of.running, of.overdue],
            of.is_unserved(),
        )
    };
    assert_eq!(
        pools.iter().map(counts).collect::<Vec<_>>(),
        [
            ("idle".to_owned(), [0, 0, 1, 0], false),
            ("quick".to_owned(), [3, 1, 1, 1], false),
            ("slow".to_owned(), [2, 0, 0, 1], true),
        ]
    );
    let oldest: Vec<bool> = pools.iter().map(|of| of.oldest_seconds >= 60.0).collect();
    assert_eq!(oldest, [false, true, true]);
    database.close().await;
}
