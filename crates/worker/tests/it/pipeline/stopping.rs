//! The shutdown of a worker.

use super::UNTIL_GO;
use crate::support::{Server, TestWorker, exists};
use attune_common::store::Transaction;
use attune_common::testing::Database;
use nix::sys::signal::Signal;
use std::time::Duration;

const TIDY: &str = r#"trap "" TERM; echo $$ > "$D/again-$ATTUNE_ATTEMPT"; while :; do sleep 0.05; done"#;

#[tokio::test]
async fn at_shutdown_actions_finish_or_are_requeued_or_lost() {
    let test = TestWorker::new().await;
    let short = test
        .run("short", r#"echo > "$D/short"; sleep 0.5; echo bye"#, "", 1)
        .await;
    let once = test.run("wait", UNTIL_GO, "", 1).await;
    let again = test.run("again", TIDY, "on_lost = 'requeue'", 3).await;
    let worker = test.worker_with(&[("ATTUNE__WORKER__DRAIN_SECONDS", "2")]);
    test.read("short").await;
    let pids = [test.pid("pid").await, test.pid("again-1").await];
    worker.signal(Signal::SIGTERM);
    worker.ends_within(Duration::from_secs(6)).await;
    assert!(!pids.into_iter().any(exists));
    assert!(
        test.is(short, r"status = 'succeeded' and result ->> 'stdout' = E'bye\n'")
            .await
    );
    assert!(test.is(once, "status = 'lost' and error = 'worker_stopped'").await);
    assert!(test.is(again, "status = 'scheduled' and attempt = 1").await);
    let queue = format!(
        "select count(*) from execution_queue where execution_id = '{}' and ready and worker_id is null and lease_until is null",
        again.0
    );
    assert_eq!(test.database.count(&queue).await, 1);
    assert_eq!(test.database.count("select count(*) from execution_queue").await, 1);
    // The next worker starts it at once.
    let _next = test.worker();
    test.pid("again-2").await;
    test.database.close().await;
}

#[tokio::test]
async fn a_worker_shuts_down_in_time_without_the_database() {
    let server = Server::start().await;
    let mut test = TestWorker::on(Database::on(&server.postgres).await).await;
    let once = test.run("wait", UNTIL_GO, "", 1).await;
    let again = test.run("again", TIDY, "on_lost = 'requeue'", 3).await;
    let more = [
        ("ATTUNE__WORKER__DRAIN_SECONDS", "1"),
        ("ATTUNE__WORKER__LEASE_SECONDS", "30"),
    ];
    let worker = test.worker_with(&more);
    test.pid("pid").await;
    test.pid("again-1").await;
    let stopped = server.stop().await;
    worker.signal(Signal::SIGTERM);
    worker.ends_within(Duration::from_secs(10)).await;
    assert_eq!(test.spooled(), 2);
    let server = stopped.start().await;
    test.reconnect(&server).await;
    let _next = test.worker();
    test.becomes(once, "status = 'lost' and error = 'worker_stopped'").await;
    test.becomes(again, "status = 'running' and attempt = 2").await;
    test.spool_holds(0).await;
}

#[tokio::test]
async fn a_cancel_during_shutdown_takes_precedence() {
    let test = TestWorker::new().await;
    let id = test.run("wait", TIDY, "", 1).await;
    // With this lease the worker does not notice the cancel before it shuts down.
    let more = [
        ("ATTUNE__WORKER__DRAIN_SECONDS", "1"),
        ("ATTUNE__WORKER__LEASE_SECONDS", "60"),
    ];
    let worker = test.worker_with(&more);
    test.pid("again-1").await;
    let mut tx = Transaction::begin(&test.database.pool).await.unwrap();
    let to = attune_common::store::execution::cancel(&mut tx, id).await.unwrap();
    tx.commit().await.unwrap();
    assert!(to.is_some_and(|to| to.is_ok()));
    worker.signal(Signal::SIGTERM);
    worker.ends_within(Duration::from_secs(6)).await;
    assert!(test.is(id, "status = 'canceled'").await);
    assert_eq!(test.database.count("select count(*) from execution_queue").await, 0);
    test.database.close().await;
}
