//! A limit of one at a time holds, whatever happens to the worker that has the slot.

use crate::support::{DEADLINE, Server, Site, ended, exists};
use attune_common::testing::{Database, eventually};
use attune_domain::{ExecutionId, execution::ExecutionStatus};
use nix::sys::signal::Signal;
use std::time::Duration;
use tokio::time::Instant;

/// The first life writes its pid and goes on until it is killed. The second says whether the first is still there, and waits.
const LIFE: &str = r#"trap "" TERM
    if mkdir "$D/first" 2>/dev/null; then
        echo $$ > "$D/pid"
        while :; do echo 1 >> "$D/signs"; sleep 0.02; done
    fi
    kill -0 "$(cat "$D/pid")" 2>/dev/null && echo > "$D/overlap"
    echo 2 >> "$D/signs"; echo $$ > "$D/second""#;

/// Two executions of one key, of which the first runs.
async fn two(site: &Site, policy: &str) -> [ExecutionId; 2] {
    let policy = format!("concurrency = '{{\"limit\": 1}}'{policy}");
    let action = site.action("life", LIFE, &policy).await;
    let (first, second) = (site.start_limited(action, 3).await, site.start_limited(action, 3).await);
    assert!(site.is(second, "status = 'waiting'").await);
    [first, second]
}

async fn lives_do_not_overlap(site: &Site) {
    site.pid("second").await;
    assert!(!site.file("overlap").exists(), "both lived at once");
    let signs = std::fs::read_to_string(site.file("signs")).unwrap();
    let mut lives: Vec<&str> = signs.lines().collect();
    lives.dedup();
    assert_eq!(lives, ["1", "2"], "one life after the other");
    let held = "select count(*) from slot_hold";
    assert_eq!(site.database.count(held).await, 0);
}

/// `on_lost: fail`, which runs on while the database is away when it holds no slot.
#[tokio::test]
async fn what_holds_a_slot_is_dead_before_its_slot_is_free_though_its_worker_is_frozen() {
    let site = Site::new().await;
    let [first, second] = two(&site, "").await;
    let frozen = site.worker();
    let pid = site.pid("pid").await;
    frozen.signal(Signal::SIGSTOP);
    let _other = site.worker();
    // By the supervisor, before anybody may rescue it.
    let leases = "select count(*) from execution_queue where lease_until > db_now()";
    ended(pid, DEADLINE).await;
    assert!(site.database.count(leases).await > 0, "it died before its lease ended");
    site.rescued(first, ExecutionStatus::Lost).await;
    assert!(
        site.is(first, "status = 'lost' and error like '%keeps its concurrency slot%'")
            .await
    );
    frozen.signal(Signal::SIGCONT);
    site.becomes(second, "status = 'succeeded' and attempt = 1").await;
    lives_do_not_overlap(&site).await;
    let known = format!(
        "select count(*) from execution_attempt where execution_id = '{}' and began_at < over_at and over_at < ended_at and slot_keys is not null",
        first.0
    );
    assert_eq!(site.database.count(&known).await, 1, "its life is recorded");
    site.database.close().await;
}

/// The supervisor cannot kill it either: the slot outlives the rescue, and also the attempt of a `requeue`.
#[tokio::test]
async fn a_slot_outlives_the_rescue_while_its_worker_and_supervisor_are_frozen() {
    for (policy, to) in [
        ("", ExecutionStatus::Lost),
        (", on_lost = 'requeue'", ExecutionStatus::Scheduled),
    ] {
        let site = Site::new().await;
        let [first, second] = two(&site, policy).await;
        let frozen = site.worker();
        let pid = site.pid("pid").await;
        frozen.signal_with_supervisor(Signal::SIGSTOP);
        let _other = site.worker();
        site.rescued(first, to).await;
        let rescued_at = Instant::now();
        assert!(exists(pid));
        // A lease later the other worker, which looks every second, has started neither.
        eventually("a lease to go by", DEADLINE, async || {
            (rescued_at.elapsed() > Duration::from_secs(2)).then_some(())
        })
        .await;
        assert!(site.is(second, "status = 'waiting'").await);
        assert!(exists(pid) && site.is(first, "attempt = 1").await);
        frozen.signal_with_supervisor(Signal::SIGCONT);
        let last = if to == ExecutionStatus::Lost { second } else { first };
        site.becomes(last, "status = 'succeeded'").await;
        lives_do_not_overlap(&site).await;
        site.database.close().await;
    }
}

/// Its connection has ended: nothing is waited for.
#[tokio::test]
async fn the_slot_of_a_killed_worker_is_free_with_its_rescue() {
    let site = Site::new().await;
    let [first, second] = two(&site, "").await;
    let killed = site.worker();
    let pid = site.pid("pid").await;
    killed.signal(Signal::SIGKILL);
    ended(pid, DEADLINE).await;
    site.rescued(first, ExecutionStatus::Lost).await;
    assert!(site.is(first, "error = 'gone'").await);
    assert!(site.is(second, "status = 'scheduled'").await);
    let _other = site.worker();
    lives_do_not_overlap(&site).await;
    site.database.close().await;
}

/// The worker cannot know whether the database is away or only its own way to it.
#[tokio::test]
async fn without_the_database_what_holds_a_slot_ends_with_its_lease_and_the_rest_runs_on() {
    let server = Server::start().await;
    let mut site = Site::on(Database::on(&server.postgres).await).await;
    let [first, second] = two(&site, "").await;
    let free = site
        .run("wait", super::UNTIL_GO.replace("$D/pid", "$D/free").as_str(), "", 1)
        .await;
    let _worker = site.worker_with(&[("ATTUNE__WORKER__LEASE_SECONDS", "6")]);
    let (pid, waiting) = (site.pid("pid").await, site.pid("free").await);
    let lease_ends = Instant::now() + Duration::from_secs(6);
    let stopped = server.stop().await;
    ended(pid, lease_ends.saturating_duration_since(Instant::now())).await;
    assert!(exists(waiting));
    let server = stopped.start().await;
    site.reconnect(&server).await;
    site.becomes(first, "status = 'lost' and error = 'lease_lost'").await;
    site.becomes(second, "status = 'succeeded'").await;
    site.make("go");
    site.becomes(free, "status = 'succeeded' and attempt = 1").await;
    lives_do_not_overlap(&site).await;
}
