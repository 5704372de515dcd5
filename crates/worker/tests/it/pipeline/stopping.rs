//! A worker that is asked to stop.

use super::UNTIL_GO;
use crate::support::{Server, Site, exists};
use attune_common::store::Transaction;
use attune_common::testing::Database;
use nix::sys::signal::Signal;
use std::time::Duration;

const TIDY: &str = r#"trap "" TERM; echo $$ > "$D/again-$ATTUNE_ATTEMPT"; while :; do sleep 0.05; done"#;

#[tokio::test]
async fn what_ends_in_time_is_reported_and_the_rest_is_given_back_or_lost() {
    let site = Site::new().await;
    let short = site
        .run("short", r#"echo > "$D/short"; sleep 0.5; echo bye"#, "", 1)
        .await;
    let once = site.run("wait", UNTIL_GO, "", 1).await;
    let again = site.run("again", TIDY, "on_lost = 'requeue'", 3).await;
    let worker = site.worker_with(&[("ATTUNE__WORKER__DRAIN_SECONDS", "2")]);
    site.read("short").await;
    let pids = [site.pid("pid").await, site.pid("again-1").await];
    worker.signal(Signal::SIGTERM);
    worker.ends_within(Duration::from_secs(6)).await;
    assert!(!pids.into_iter().any(exists));
    assert!(
        site.is(short, r"status = 'succeeded' and result ->> 'stdout' = E'bye\n'")
            .await
    );
    assert!(site.is(once, "status = 'lost' and error = 'worker_stopped'").await);
    assert!(site.is(again, "status = 'scheduled' and attempt = 1").await);
    let queue = format!(
        "select count(*) from execution_queue where execution_id = '{}' and ready and worker_id is null and lease_until is null",
        again.0
    );
    assert_eq!(site.database.count(&queue).await, 1);
    assert_eq!(site.database.count("select count(*) from execution_queue").await, 1);
    // Whoever comes next goes on with it at once.
    let _next = site.worker();
    site.pid("again-2").await;
    site.database.close().await;
}

#[tokio::test]
async fn it_ends_in_time_although_the_database_is_away() {
    let server = Server::start().await;
    let mut site = Site::on(Database::on(&server.postgres).await).await;
    let once = site.run("wait", UNTIL_GO, "", 1).await;
    let again = site.run("again", TIDY, "on_lost = 'requeue'", 3).await;
    let more = [
        ("ATTUNE__WORKER__DRAIN_SECONDS", "1"),
        ("ATTUNE__WORKER__LEASE_SECONDS", "30"),
    ];
    let worker = site.worker_with(&more);
    site.pid("pid").await;
    site.pid("again-1").await;
    let stopped = server.stop().await;
    worker.signal(Signal::SIGTERM);
    worker.ends_within(Duration::from_secs(10)).await;
    assert_eq!(site.spooled(), 2);
    let server = stopped.start().await;
    site.reconnect(&server).await;
    let _next = site.worker();
    site.becomes(once, "status = 'lost' and error = 'worker_stopped'").await;
    site.becomes(again, "status = 'running' and attempt = 2").await;
    site.spool_holds(0).await;
}

#[tokio::test]
async fn a_cancel_that_comes_while_it_stops_wins() {
    let site = Site::new().await;
    let id = site.run("wait", TIDY, "", 1).await;
    // So long a lease that the worker does not hear of the cancel before it stops.
    let more = [
        ("ATTUNE__WORKER__DRAIN_SECONDS", "1"),
        ("ATTUNE__WORKER__LEASE_SECONDS", "60"),
    ];
    let worker = site.worker_with(&more);
    site.pid("again-1").await;
    let mut tx = Transaction::begin(&site.database.pool).await.unwrap();
    let to = attune_common::store::execution::cancel(&mut tx, id).await.unwrap();
    tx.commit().await.unwrap();
    assert!(to.is_some_and(|to| to.is_ok()));
    worker.signal(Signal::SIGTERM);
    worker.ends_within(Duration::from_secs(6)).await;
    assert!(site.is(id, "status = 'canceled'").await);
    assert_eq!(site.database.count("select count(*) from execution_queue").await, 0);
    site.database.close().await;
}
