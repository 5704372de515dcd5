//! Leases: renewal, loss, and recovery of claims.

use super::UNTIL_GO;
use crate::support::{DEADLINE, Server, TestWorker, ended, exists};
use attune_common::{
    bus::InProcessBus,
    config::Config,
    service::{Context, Tasks},
    store::{
        adoption,
        execution_queue::{self, AttemptKey, Claimed},
        rescue::{self, Rescue},
    },
    testing::{Database, eventually},
};
use attune_domain::execution::ExecutionStatus;
use attune_worker::lease::{Leases, StopReason};
use nix::sys::signal::Signal;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

const DEAF: &str = r#"trap "" TERM; echo $$ > "$D/deaf-$ATTUNE_ATTEMPT"; while :; do sleep 0.05; done"#;

#[tokio::test]
async fn requeueable_actions_die_before_their_lease_ends_and_others_keep_running() {
    let server = Server::start().await;
    let mut test = TestWorker::on(Database::on(&server.postgres).await).await;
    let again = test.run("deaf", DEAF, "on_lost = 'requeue'", 3).await;
    let once = test.run("wait", UNTIL_GO, "", 1).await;
    let _worker = test.worker_with(&[("ATTUNE__WORKER__LEASE_SECONDS", "6")]);
    let (deaf, waiting) = (test.pid("deaf-1").await, test.pid("pid").await);
    let lease_ends = Instant::now() + Duration::from_secs(6);
    let stopped = server.stop().await;
    ended(deaf, lease_ends.saturating_duration_since(Instant::now())).await;
    assert!(exists(waiting));
    let server = stopped.start().await;
    test.reconnect(&server).await;
    test.becomes(again, "status = 'running' and attempt = 2").await;
    test.pid("deaf-2").await;
    test.touch("go");
    test.becomes(once, "status = 'succeeded' and attempt = 1").await;
}

/// The supervisor enforces the lease while the worker is frozen.
#[tokio::test]
async fn a_suspended_worker_loses_requeueable_actions_and_keeps_others() {
    let test = TestWorker::new().await;
    let again = test.run("deaf", DEAF, "on_lost = 'requeue'", 3).await;
    let once = test.run("wait", UNTIL_GO, "", 1).await;
    let worker = test.worker_with(&[("ATTUNE__WORKER__LEASE_SECONDS", "3")]);
    let (deaf, waiting) = (test.pid("deaf-1").await, test.pid("pid").await);
    worker.signal(Signal::SIGSTOP);
    let leases = "select count(*) from execution_queue where lease_until > db_now()";
    ended(deaf, DEADLINE).await;
    assert!(test.database.count(leases).await > 0, "it died before the leases ended");
    eventually("the leases to end", DEADLINE, async || {
        (test.database.count(leases).await == 0).then_some(())
    })
    .await;
    assert!(exists(waiting), "it may not start elsewhere, so it keeps running");
    test.touch("go");
    ended(waiting, DEADLINE).await;
    worker.signal(Signal::SIGCONT);
    test.becomes(once, "status = 'succeeded' and attempt = 1").await;
    test.becomes(again, "status = 'running' and attempt = 2").await;
    test.database.close().await;
}

/// Not even if the first worker is frozen for two lease terms.
#[tokio::test]
async fn attempts_of_one_execution_never_overlap() {
    const LIFE: &str = r#"trap "" TERM; echo $$ > "$D/life-$ATTUNE_ATTEMPT"
        while [ ! -e "$D/go" ]; do echo "$ATTUNE_ATTEMPT" >> "$D/signs"; sleep 0.02; done"#;
    let test = TestWorker::new().await;
    let id = test.run("live", LIFE, "on_lost = 'requeue'", 3).await;
    let frozen = test.worker();
    let first = test.pid("life-1").await;
    frozen.signal(Signal::SIGSTOP);
    let stopped_at = Instant::now();
    let _other = test.worker();
    let rescue = Rescue {
        held: AttemptKey { id, attempt: 1 },
        to: ExecutionStatus::Scheduled,
        reason: "gone".to_owned(),
    };
    // Without a grace period, as soon as the lease has ended.
    eventually("its rescue", DEADLINE, async || {
        let batch = std::slice::from_ref(&rescue);
        let rescued = rescue::resolve(&test.database.pool, batch, Duration::ZERO)
            .await
            .unwrap();
        (rescued == [id]).then_some(())
    })
    .await;
    test.pid("life-2").await;
    assert!(!exists(first));
    eventually("two leases to go by", DEADLINE, async || {
        (stopped_at.elapsed() > Duration::from_secs(4)).then_some(())
    })
    .await;
    frozen.signal(Signal::SIGCONT);
    let fenced =
        "select count(*) from execution_attempt where attempt = 1 and outcome = 'lost' and late_outcome is not null";
    eventually("the late result of the first attempt", DEADLINE, async || {
        (test.database.count(fenced).await == 1).then_some(())
    })
    .await;
    test.touch("go");
    test.becomes(id, "status = 'succeeded' and attempt = 2").await;
    let signs = std::fs::read_to_string(test.file("signs")).unwrap();
    let mut lives: Vec<&str> = signs.lines().collect();
    lives.dedup();
    assert_eq!(lives, ["1", "2"], "one life after the other");
    test.database.close().await;
}

#[tokio::test]
async fn a_lost_lease_kills_at_once_and_stores_the_result_as_late() {
    let test = TestWorker::new().await;
    let id = test.run("deaf", DEAF, "", 1).await;
    let _worker = test.worker_with(&[("ATTUNE__WORKER__KILL_GRACE_SECONDS", "60")]);
    let deaf = test.pid("deaf-1").await;
    test.database
        .execute("update execution_queue set lease_until = '-infinity'")
        .await;
    let rescue = Rescue {
        held: AttemptKey { id, attempt: 1 },
        to: ExecutionStatus::Lost,
        reason: "gone".to_owned(),
    };
    let rescued = rescue::resolve(&test.database.pool, &[rescue], Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(rescued, [id]);
    ended(deaf, Duration::from_secs(5)).await;
    let late = "select count(*) from execution_attempt where outcome = 'lost' and late_outcome = 'lost'";
    eventually("its result to be stored as late", DEADLINE, async || {
        (test.database.count(late).await == 1).then_some(())
    })
    .await;
    assert!(
        test.is(id, "status = 'lost' and error = 'gone' and result is null")
            .await
    );
    test.database.close().await;
}

#[tokio::test]
async fn renewals_do_not_wait_for_an_exhausted_pool() {
    let test = TestWorker::new().await;
    let id = test.run("noop", ":", "", 1).await;
    let mut config = Config::default();
    config.worker.lease_seconds = 2;
    let tasks = Tasks::default();
    let pool = attune_common::store::db::pool(&test.database.url, "starved", 1).unwrap();
    let context = Context::new(Arc::new(config), pool.clone(), Arc::new(InProcessBus::new()), &tasks);
    let leases = Leases::new(&context);
    let requested_at = attune_common::clock::since_boot();
    let claim = execution_queue::claim(&pool, "default", context.instance, 1, leases.term())
        .await
        .unwrap();
    let held = leases.add(&claim.executions[0], requested_at);
    let _all_there_is = pool.acquire().await.unwrap();
    context.spawn("leases", leases.clone().run());
    let lease = format!(
        "select (extract(epoch from lease_until) * 1000)::bigint from execution_queue where execution_id = '{}'",
        id.0
    );
    let first = test.database.count(&lease).await;
    // Longer than the lease of the claim.
    eventually("several renewals", DEADLINE, async || {
        (test.database.count(&lease).await > first + 2500).then_some(())
    })
    .await;
    // Claiming a later attempt kills an earlier one that still runs.
    assert_eq!(held.stop_reason(), None);
    leases.add(
        &Claimed {
            attempt: 2,
            ..claim.executions[0].clone()
        },
        requested_at,
    );
    assert_eq!(held.stop_reason(), Some(StopReason::LeaseLost));
    leases.end();
    tasks.finish().await;
    test.database.close().await;
}

/// A claimed execution would only lose an attempt. Here the database refuses renewals but not claims.
#[tokio::test]
async fn a_worker_that_cannot_renew_does_not_claim_until_it_can() {
    const FAILED: &str = "failed to renew leases";
    let test = TestWorker::new().await;
    let first = test.run("wait", UNTIL_GO, "", 1).await;
    let worker = test.worker();
    test.pid("pid").await;
    test.database
        .execute(
            "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'not now'; end $$;
             create trigger refuse before update on execution_queue for each row
             when (old.lease_until < new.lease_until) execute function refuse();",
        )
        .await;
    worker.wait_for_log(FAILED).await;
    let second = test.run("second", ":", "", 1).await;
    // The worker polls every second, and retries the renewal every half second or sooner.
    let failed = worker.log_count(FAILED);
    eventually("further renewals to fail", DEADLINE, async || {
        (worker.log_count(FAILED) > failed + 3).then_some(())
    })
    .await;
    assert!(test.is(second, "status = 'scheduled'").await);
    test.database.execute("drop trigger refuse on execution_queue").await;
    test.becomes(second, "status = 'succeeded' and attempt = 1").await;
    test.touch("go");
    test.becomes(first, "status = 'succeeded' and attempt = 1").await;
    test.database.close().await;
}

/// The execution is claimed and has not started, so only this worker can start it.
#[tokio::test]
async fn a_worker_waits_for_an_action_it_cannot_read() {
    let test = TestWorker::new().await;
    let id = test.run("once", r#"echo started >> "$D/starts""#, "", 1).await;
    let lock = test.hold("lock table action in access exclusive mode").await;
    // A lease of two seconds, a third of it for each try.
    let worker = test.worker();
    eventually("four tries to fail", DEADLINE, async || {
        (worker.log_count("failed to read what an execution needs") > 3).then_some(())
    })
    .await;
    assert!(test.is(id, "status = 'running' and attempt = 1").await);
    lock.rollback().await.unwrap();
    test.becomes(id, "status = 'succeeded' and attempt = 1").await;
    assert_eq!(test.read("starts").await, "started");
    test.database.close().await;
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_recovered() {
    let test = TestWorker::new().await;
    // The first claim is committed after the worker has stopped waiting for it, which the server does not notice.
    test.database
        .execute(
            "create sequence claims;
             create function late() returns trigger language plpgsql as $$
             begin
               if nextval('claims') = 1 then
                 perform set_config('client_connection_check_interval', '0', true), pg_sleep(10);
               end if;
               return null;
             end $$;
             create constraint trigger late after update on execution_queue deferrable initially deferred
             for each row when (old.ready and not new.ready) execute function late();",
        )
        .await;
    let id = test.run("once", r#"echo started >> "$D/starts""#, "", 1).await;
    let next = test.run("wait", UNTIL_GO, "", 1).await;
    let worker = test.worker_with(&[("ATTUNE__WORKER__LEASE_SECONDS", "30"), ("ATTUNE__WORKER__SLOTS", "1")]);
    worker.wait_for_log("failed to claim executions").await;
    assert!(test.is(id, "status = 'scheduled'").await);
    // The next execution occupies the only slot.
    test.becomes(next, "status = 'running'").await;
    test.becomes(id, "status = 'succeeded' and attempt = 1").await;
    worker.wait_for_log("recovering a claim whose answer was lost").await;
    assert_eq!(test.read("starts").await, "started");
    assert!(test.is(next, "status = 'running'").await);
    test.touch("go");
    test.becomes(next, "status = 'succeeded'").await;
    test.database.close().await;
}

#[tokio::test]
async fn a_worker_recovers_only_its_own_untracked_claims() {
    let test = TestWorker::new().await;
    let id = test.run("noop", ":", "", 1).await;
    let (pool, term) = (&test.database.pool, Duration::from_secs(2));
    let [me, other] = [(); 2].map(|()| uuid::Uuid::now_v7());
    execution_queue::claim(pool, "default", me, 5, term).await.unwrap();
    let known = [AttemptKey { id, attempt: 1 }];
    assert!(adoption::adopt(pool, me, &known, term).await.unwrap().is_empty());
    assert!(adoption::adopt(pool, other, &[], term).await.unwrap().is_empty());
    let adopted = adoption::adopt(pool, me, &[], term).await.unwrap();
    assert_eq!((adopted.len(), adopted[0].id, adopted[0].attempt), (1, id, 1));
    test.database.close().await;
}
