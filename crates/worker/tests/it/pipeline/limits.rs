//! A concurrency limit of 1 holds whatever happens to the worker of the slot holder.

use crate::support::{DEADLINE, Server, TestWorker, ended, exists};
use attune_common::testing::{Database, eventually};
use attune_domain::{ExecutionId, execution::ExecutionStatus};
use nix::sys::signal::Signal;
use std::time::Duration;
use tokio::time::Instant;

/// The first run writes its pid and continues until it is killed. The second records whether the first still exists.
const LIFE: &str = r#"trap "" TERM
    if mkdir "$D/first" 2>/dev/null; then
        echo $$ > "$D/pid"
        while :; do echo 1 >> "$D/signs"; sleep 0.02; done
    fi
    kill -0 "$(cat "$D/pid")" 2>/dev/null && echo > "$D/overlap"
    echo 2 >> "$D/signs"; echo $$ > "$D/second""#;

/// Two executions of one key. The first one runs.
async fn two(test: &TestWorker, policy: &str) -> [ExecutionId; 2] {
    let policy = format!("concurrency = '{{\"limit\": 1}}'{policy}");
    let action = test.action("life", LIFE, &policy).await;
    let (first, second) = (test.start_limited(action, 3).await, test.start_limited(action, 3).await);
    assert!(test.is(second, "status = 'waiting'").await);
    [first, second]
}

async fn lives_do_not_overlap(test: &TestWorker) {
    test.pid("second").await;
    assert!(!test.file("overlap").exists(), "both lived at once");
    let signs = std::fs::read_to_string(test.file("signs")).unwrap();
    let mut lives: Vec<&str> = signs.lines().collect();
    lives.dedup();
    assert_eq!(lives, ["1", "2"], "one life after the other");
    let held = "select count(*) from slot_hold";
    assert_eq!(test.database.count(held).await, 0);
}

/// With `on_lost: fail`, which keeps running without the database unless it holds a slot.
#[tokio::test]
async fn a_slot_holder_of_a_frozen_worker_is_dead_before_its_slot_is_free() {
    let test = TestWorker::new().await;
    let [first, second] = two(&test, "").await;
    let frozen = test.worker();
    let pid = test.pid("pid").await;
    frozen.signal(Signal::SIGSTOP);
    let _other = test.worker();
    // The supervisor kills it before it may be rescued.
    let leases = "select count(*) from execution_queue where lease_until > db_now()";
    ended(pid, DEADLINE).await;
    assert!(test.database.count(leases).await > 0, "it died before its lease ended");
    test.rescued(first, ExecutionStatus::Lost).await;
    assert!(
        test.is(first, "status = 'lost' and error like '%keeps its concurrency slot%'")
            .await
    );
    frozen.signal(Signal::SIGCONT);
    test.becomes(second, "status = 'succeeded' and attempt = 1").await;
    lives_do_not_overlap(&test).await;
    let recorded = format!(
        "select count(*) from execution_attempt where execution_id = '{}' and began_at < over_at and over_at < ended_at and slot_keys is not null",
        first.0
    );
    assert_eq!(test.database.count(&recorded).await, 1, "its life is recorded");
    test.database.close().await;
}

/// The supervisor cannot kill it either, so the slot outlives the rescue, and also the attempt of a `requeue`.
#[tokio::test]
async fn a_slot_outlives_the_rescue_while_its_worker_and_supervisor_are_frozen() {
    for (policy, to) in [
        ("", ExecutionStatus::Lost),
        (", on_lost = 'requeue'", ExecutionStatus::Scheduled),
    ] {
        let test = TestWorker::new().await;
        let [first, second] = two(&test, policy).await;
        let frozen = test.worker();
        let pid = test.pid("pid").await;
        frozen.signal_with_supervisor(Signal::SIGSTOP);
        let _other = test.worker();
        test.rescued(first, to).await;
        let rescued_at = Instant::now();
        assert!(exists(pid));
        // A lease term later the other worker, which polls every second, has started neither.
        eventually("a lease to go by", DEADLINE, async || {
            (rescued_at.elapsed() > Duration::from_secs(2)).then_some(())
        })
        .await;
        assert!(test.is(second, "status = 'waiting'").await);
        assert!(exists(pid) && test.is(first, "attempt = 1").await);
        frozen.signal_with_supervisor(Signal::SIGCONT);
        let last = if to == ExecutionStatus::Lost { second } else { first };
        test.becomes(last, "status = 'succeeded'").await;
        lives_do_not_overlap(&test).await;
        test.database.close().await;
    }
}

/// Its connection has closed, so the slot is free at once.
#[tokio::test]
async fn the_rescue_of_a_killed_worker_frees_its_slot() {
    let test = TestWorker::new().await;
    let [first, second] = two(&test, "").await;
    let killed = test.worker();
    let pid = test.pid("pid").await;
    killed.signal(Signal::SIGKILL);
    ended(pid, DEADLINE).await;
    test.rescued(first, ExecutionStatus::Lost).await;
    assert!(test.is(first, "error = 'gone'").await);
    assert!(test.is(second, "status = 'scheduled'").await);
    let _other = test.worker();
    lives_do_not_overlap(&test).await;
    test.database.close().await;
}

/// The worker cannot distinguish between a stopped database and a broken connection.
#[tokio::test]
async fn without_the_database_slot_holders_end_with_their_lease_and_others_keep_running() {
    let server = Server::start().await;
    let mut test = TestWorker::on(Database::on(&server.postgres).await).await;
    let [first, second] = two(&test, "").await;
    let free = test
        .run("wait", super::UNTIL_GO.replace("$D/pid", "$D/free").as_str(), "", 1)
        .await;
    let _worker = test.worker_with(&[("ATTUNE__WORKER__LEASE_SECONDS", "6")]);
    let (pid, waiting) = (test.pid("pid").await, test.pid("free").await);
    let lease_ends = Instant::now() + Duration::from_secs(6);
    let stopped = server.stop().await;
    ended(pid, lease_ends.saturating_duration_since(Instant::now())).await;
    assert!(exists(waiting));
    let server = stopped.start().await;
    test.reconnect(&server).await;
    test.becomes(first, "status = 'lost' and error = 'lease_lost'").await;
    test.becomes(second, "status = 'succeeded'").await;
    test.touch("go");
    test.becomes(free, "status = 'succeeded' and attempt = 1").await;
    lives_do_not_overlap(&test).await;
}
