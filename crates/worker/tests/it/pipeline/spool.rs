//! Results while the database is unavailable.

use super::UNTIL_GO;
use crate::support::{DEADLINE, Server, TestWorker};
use attune_common::{
    store::{
        execution_queue::AttemptKey,
        rescue::{self, Rescue, Scope},
    },
    testing::{Database, eventually},
};
use attune_domain::{ExecutionId, execution::ExecutionStatus};
use nix::sys::signal::Signal;
use std::{fs, time::Duration};

async fn running(server: &Server) -> (TestWorker, ExecutionId) {
    let test = TestWorker::on(Database::on(&server.postgres).await).await;
    let id = test.run("wait", UNTIL_GO, "", 1).await;
    (test, id)
}

#[tokio::test]
async fn a_spooled_result_is_written_when_the_database_returns() {
    let server = Server::start().await;
    let (mut test, id) = running(&server).await;
    let worker = test.worker();
    test.read("pid").await;
    assert_eq!(test.spooled(), 0);
    let stopped = server.stop().await;
    test.touch("go");
    test.spool_holds(1).await;
    let server = stopped.start().await;
    test.reconnect(&server).await;
    test.becomes(id, "status = 'succeeded' and attempt = 1").await;
    test.spool_holds(0).await;
    drop(worker);
}

#[tokio::test]
async fn a_starting_worker_writes_the_results_of_its_predecessor() {
    let server = Server::start().await;
    let (mut test, id) = running(&server).await;
    let late = test
        .run("late", r#"until [ -e "$D/go" ]; do sleep 0.05; done"#, "", 1)
        .await;
    let worker = test.worker();
    test.read("pid").await;
    test.becomes(late, "status = 'running'").await;
    let stopped = server.stop().await;
    test.touch("go");
    test.spool_holds(2).await;
    drop(worker);
    // A file of another database, and a damaged one.
    let other = uuid::Uuid::now_v7();
    let foreign = format!(
        r#"{{"end": {{"held": {{"id": "{other}", "attempt": 1}}, "status": "succeeded", "result": null, "error": null, "exit_code": 0}}, "again": null}}"#
    );
    fs::write(test.file("spool").join(format!("{other}-1.json")), foreign).unwrap();
    fs::write(test.file("spool/broken.json"), "{").unwrap();
    let server = stopped.start().await;
    test.reconnect(&server).await;
    // One of them was rescued meanwhile.
    let rescue = Rescue {
        held: AttemptKey { id: late, attempt: 1 },
        to: ExecutionStatus::Lost,
        reason: "gone".to_owned(),
    };
    test.database
        .execute("update execution_queue set lease_until = '-infinity'")
        .await;
    let found = rescue::find(&test.database.pool, Scope::Dead, Duration::ZERO, Duration::ZERO, 10)
        .await
        .unwrap();
    assert_eq!(found.len(), 2);
    let rescued = rescue::resolve(&test.database.pool, &[rescue], Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(rescued, [late]);
    let _worker = test.worker();
    test.becomes(id, "status = 'succeeded' and result ->> 'exit_code' = '0'")
        .await;
    // The one of the other database stays.
    test.spool_holds(1).await;
    assert!(test.is(late, "status = 'lost'").await);
    let late_results = "select count(*) from execution_attempt where outcome = 'lost' and late_outcome = 'succeeded'";
    assert_eq!(test.database.count(late_results).await, 1);
    assert!(test.file("spool/broken.unreadable").exists());
    drop(server);
}

/// `attune check` compares the lifetimes of slot holders, also if their worker died before the result was written.
#[tokio::test]
async fn the_lifetime_of_a_slot_holder_is_recorded_from_the_spool_of_a_dead_worker() {
    let server = Server::start().await;
    let mut test = TestWorker::on(Database::on(&server.postgres).await).await;
    let action = test.action("wait", UNTIL_GO, r#"concurrency = '{"limit": 1}'"#).await;
    let id = test.start_limited(action, 1).await;
    let worker = test.worker_with(&[("ATTUNE__WORKER__LEASE_SECONDS", "60")]);
    test.read("pid").await;
    let stopped = server.stop().await;
    test.touch("go");
    test.spool_holds(1).await;
    drop(worker);
    let server = stopped.start().await;
    test.reconnect(&server).await;
    let _next = test.worker();
    test.becomes(id, "status = 'succeeded' and attempt = 1").await;
    let recorded = format!(
        "select count(*) from execution_attempt a join execution e on e.id = a.execution_id
         where e.id = '{}' and e.started_at <= a.began_at and a.began_at < a.over_at and a.over_at <= e.finished_at and a.slot_keys is not null",
        id.0
    );
    let is_recorded = async || (test.database.count(&recorded).await == 1).then_some(());
    eventually("the lifetime to be recorded", DEADLINE, is_recorded).await;
    drop(server);
}

#[tokio::test]
async fn a_worker_does_not_wait_for_a_frozen_database() {
    let server = Server::start().await;
    let (test, id) = running(&server).await;
    let worker = test.worker();
    test.read("pid").await;
    server.signal(Signal::SIGSTOP);
    test.touch("go");
    test.spool_holds(1).await;
    // Neither side hangs: the worker exits without an answer.
    worker.signal(Signal::SIGTERM);
    worker.ends_within(Duration::from_secs(20)).await;
    server.signal(Signal::SIGCONT);
    let _worker = test.worker();
    test.becomes(id, "status = 'succeeded' and attempt = 1").await;
    test.spool_holds(0).await;
}

#[tokio::test]
async fn an_unwritable_spool_loses_no_result() {
    let server = Server::start().await;
    let (mut test, id) = running(&server).await;
    let worker = test.worker();
    test.read("pid").await;
    // With the journal, which is then not written either.
    fs::remove_dir_all(test.file("spool")).unwrap();
    test.touch("spool");
    let stopped = server.stop().await;
    test.touch("go");
    worker.wait_for_log("failed to write results to the spool").await;
    let server = stopped.start().await;
    test.reconnect(&server).await;
    test.becomes(id, "status = 'succeeded' and attempt = 1").await;
}
