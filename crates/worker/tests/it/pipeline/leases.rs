//! How long an execution stays with its worker.

use super::UNTIL_GO;
use crate::support::{DEADLINE, Server, Site, ended, exists};
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
async fn what_may_start_elsewhere_dies_before_its_lease_ends_and_the_rest_runs_on() {
    let server = Server::start().await;
    let mut site = Site::on(Database::on(&server.postgres).await).await;
    let again = site.run("deaf", DEAF, "on_lost = 'requeue'", 3).await;
    let once = site.run("wait", UNTIL_GO, "", 1).await;
    let _worker = site.worker_with(&[("ATTUNE__WORKER__LEASE_SECONDS", "6")]);
    let (deaf, waiting) = (site.pid("deaf-1").await, site.pid("pid").await);
    let lease_ends = Instant::now() + Duration::from_secs(6);
    let stopped = server.stop().await;
    ended(deaf, lease_ends.saturating_duration_since(Instant::now())).await;
    assert!(exists(waiting));
    let server = stopped.start().await;
    site.reconnect(&server).await;
    site.becomes(again, "status = 'running' and attempt = 2").await;
    site.pid("deaf-2").await;
    site.make("go");
    site.becomes(once, "status = 'succeeded' and attempt = 1").await;
}

/// The supervisor knows the lease, too: the worker itself does not move any more.
#[tokio::test]
async fn a_suspended_worker_does_not_let_live_what_may_start_elsewhere_and_what_nobody_rescued_is_accepted() {
    let site = Site::new().await;
    let again = site.run("deaf", DEAF, "on_lost = 'requeue'", 3).await;
    let once = site.run("wait", UNTIL_GO, "", 1).await;
    let worker = site.worker_with(&[("ATTUNE__WORKER__LEASE_SECONDS", "3")]);
    let (deaf, waiting) = (site.pid("deaf-1").await, site.pid("pid").await);
    worker.signal(Signal::SIGSTOP);
    let leases = "select count(*) from execution_queue where lease_until > db_now()";
    ended(deaf, DEADLINE).await;
    assert!(site.database.count(leases).await > 0, "it died before the leases ended");
    eventually("the leases to end", DEADLINE, async || {
        (site.database.count(leases).await == 0).then_some(())
    })
    .await;
    assert!(exists(waiting), "nobody else may start it: it runs on");
    site.make("go");
    ended(waiting, DEADLINE).await;
    worker.signal(Signal::SIGCONT);
    site.becomes(once, "status = 'succeeded' and attempt = 1").await;
    site.becomes(again, "status = 'running' and attempt = 2").await;
    site.database.close().await;
}

/// Two lives of one execution never overlap, though its first worker stands still for two leases.
#[tokio::test]
async fn the_first_life_is_over_before_the_second_begins() {
    const LIFE: &str = r#"trap "" TERM; echo $$ > "$D/life-$ATTUNE_ATTEMPT"
        while [ ! -e "$D/go" ]; do echo "$ATTUNE_ATTEMPT" >> "$D/signs"; sleep 0.02; done"#;
    let site = Site::new().await;
    let id = site.run("live", LIFE, "on_lost = 'requeue'", 3).await;
    let frozen = site.worker();
    let first = site.pid("life-1").await;
    frozen.signal(Signal::SIGSTOP);
    let stopped_at = Instant::now();
    let _other = site.worker();
    let rescue = Rescue {
        held: AttemptKey { id, attempt: 1 },
        to: ExecutionStatus::Scheduled,
        reason: "gone".to_owned(),
    };
    // With no patience at all, at the first instant at which anybody may.
    eventually("its rescue", DEADLINE, async || {
        let wanted = std::slice::from_ref(&rescue);
        let rescued = rescue::resolve(&site.database.pool, wanted, Duration::ZERO)
            .await
            .unwrap();
        (rescued == [id]).then_some(())
    })
    .await;
    site.pid("life-2").await;
    assert!(!exists(first));
    eventually("two leases to go by", DEADLINE, async || {
        (stopped_at.elapsed() > Duration::from_secs(4)).then_some(())
    })
    .await;
    frozen.signal(Signal::SIGCONT);
    let fenced =
        "select count(*) from execution_attempt where attempt = 1 and outcome = 'lost' and late_outcome is not null";
    eventually("the first one's late word", DEADLINE, async || {
        (site.database.count(fenced).await == 1).then_some(())
    })
    .await;
    site.make("go");
    site.becomes(id, "status = 'succeeded' and attempt = 2").await;
    let signs = std::fs::read_to_string(site.file("signs")).unwrap();
    let mut lives: Vec<&str> = signs.lines().collect();
    lives.dedup();
    assert_eq!(lives, ["1", "2"], "one life after the other");
    site.database.close().await;
}

#[tokio::test]
async fn a_lost_lease_kills_at_once_and_its_result_is_kept_as_late() {
    let site = Site::new().await;
    let id = site.run("deaf", DEAF, "", 1).await;
    let _worker = site.worker_with(&[("ATTUNE__WORKER__KILL_GRACE_SECONDS", "60")]);
    let deaf = site.pid("deaf-1").await;
    site.database
        .execute("update execution_queue set lease_until = '-infinity'")
        .await;
    let rescue = Rescue {
        held: AttemptKey { id, attempt: 1 },
        to: ExecutionStatus::Lost,
        reason: "gone".to_owned(),
    };
    let rescued = rescue::resolve(&site.database.pool, &[rescue], Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(rescued, [id]);
    ended(deaf, Duration::from_secs(5)).await;
    let late = "select count(*) from execution_attempt where outcome = 'lost' and late_outcome = 'lost'";
    eventually("its result to be kept as late", DEADLINE, async || {
        (site.database.count(late).await == 1).then_some(())
    })
    .await;
    assert!(
        site.is(id, "status = 'lost' and error = 'gone' and result is null")
            .await
    );
    site.database.close().await;
}

#[tokio::test]
async fn renewals_do_not_wait_for_a_pool_that_others_have_emptied() {
    let site = Site::new().await;
    let id = site.run("noop", ":", "", 1).await;
    let mut config = Config::default();
    config.worker.lease_seconds = 2;
    let tasks = Tasks::default();
    let pool = attune_common::store::db::pool(&site.database.url, "starved", 1).unwrap();
    let context = Context::new(Arc::new(config), pool.clone(), Arc::new(InProcessBus::new()), &tasks);
    let leases = Leases::new(&context);
    let asked = attune_common::clock::since_boot();
    let claim = execution_queue::claim(&pool, "default", context.instance, 1, leases.term())
        .await
        .unwrap();
    let held = leases.hold(&claim.executions[0], asked);
    let _all_there_is = pool.acquire().await.unwrap();
    context.spawn("leases", leases.clone().run());
    let lease = format!(
        "select (extract(epoch from lease_until) * 1000)::bigint from execution_queue where execution_id = '{}'",
        id.0
    );
    let first = site.database.count(&lease).await;
    // Longer than the lease that the claim gave.
    eventually("several renewals", DEADLINE, async || {
        (site.database.count(&lease).await > first + 2500).then_some(())
    })
    .await;
    // Whatever still runs of an earlier attempt is killed when a later one is claimed.
    assert_eq!(held.stop_reason(), None);
    leases.hold(
        &Claimed {
            attempt: 2,
            ..claim.executions[0].clone()
        },
        asked,
    );
    assert_eq!(held.stop_reason(), Some(StopReason::LeaseLost));
    leases.end();
    tasks.finish().await;
    site.database.close().await;
}

/// What it took would only lose an attempt. Here the database refuses renewals, and claims would go well.
#[tokio::test]
async fn a_worker_that_cannot_renew_does_not_claim_until_it_can() {
    const FAILED: &str = "leases could not be renewed";
    let site = Site::new().await;
    let first = site.run("wait", UNTIL_GO, "", 1).await;
    let worker = site.worker();
    site.pid("pid").await;
    site.database
        .execute(
            "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'not now'; end $$;
             create trigger refuse before update on execution_queue for each row
             when (old.lease_until < new.lease_until) execute function refuse();",
        )
        .await;
    worker.says(FAILED).await;
    let second = site.run("second", ":", "", 1).await;
    // The worker looks for work each second, and renews in half a second or not.
    let failed = worker.said(FAILED);
    eventually("further renewals to fail", DEADLINE, async || {
        (worker.said(FAILED) > failed + 3).then_some(())
    })
    .await;
    assert!(site.is(second, "status = 'scheduled'").await);
    site.database.execute("drop trigger refuse on execution_queue").await;
    site.becomes(second, "status = 'succeeded' and attempt = 1").await;
    site.make("go");
    site.becomes(first, "status = 'succeeded' and attempt = 1").await;
    site.database.close().await;
}

/// It was claimed and has not started: nobody else may start it, so its worker waits for what it has to know.
#[tokio::test]
async fn an_action_that_cannot_be_read_for_longer_than_a_lease_is_waited_for() {
    let site = Site::new().await;
    let id = site.run("once", r#"echo started >> "$D/starts""#, "", 1).await;
    let lock = site.hold("lock table action in access exclusive mode").await;
    // A lease of two seconds, and a third of it for each try.
    let worker = site.worker();
    eventually("four tries to fail", DEADLINE, async || {
        (worker.said("an action cannot be read") > 3).then_some(())
    })
    .await;
    assert!(site.is(id, "status = 'running' and attempt = 1").await);
    lock.rollback().await.unwrap();
    site.becomes(id, "status = 'succeeded' and attempt = 1").await;
    assert_eq!(site.read("starts").await, "started");
    site.database.close().await;
}

#[tokio::test]
async fn a_claim_whose_answer_got_lost_is_taken_up() {
    let site = Site::new().await;
    // The first claim is committed after the worker has given up waiting for it, which the server does not notice.
    site.database
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
    let id = site.run("once", r#"echo started >> "$D/starts""#, "", 1).await;
    let next = site.run("wait", UNTIL_GO, "", 1).await;
    let worker = site.worker_with(&[("ATTUNE__WORKER__LEASE_SECONDS", "30"), ("ATTUNE__WORKER__SLOTS", "1")]);
    worker.says("executions cannot be claimed").await;
    assert!(site.is(id, "status = 'scheduled'").await);
    // Although the only slot is taken by the next.
    site.becomes(next, "status = 'running'").await;
    site.becomes(id, "status = 'succeeded' and attempt = 1").await;
    worker.says("taking up a claim whose answer got lost").await;
    assert_eq!(site.read("starts").await, "started");
    assert!(site.is(next, "status = 'running'").await);
    site.make("go");
    site.becomes(next, "status = 'succeeded'").await;
    site.database.close().await;
}

#[tokio::test]
async fn a_worker_takes_up_nothing_that_it_knows_or_that_is_not_its_own() {
    let site = Site::new().await;
    let id = site.run("noop", ":", "", 1).await;
    let (pool, term) = (&site.database.pool, Duration::from_secs(2));
    let [me, other] = [(); 2].map(|()| uuid::Uuid::now_v7());
    execution_queue::claim(pool, "default", me, 5, term).await.unwrap();
    let known = [AttemptKey { id, attempt: 1 }];
    assert!(adoption::adopt(pool, me, &known, term).await.unwrap().is_empty());
    assert!(adoption::adopt(pool, other, &[], term).await.unwrap().is_empty());
    let adopted = adoption::adopt(pool, me, &[], term).await.unwrap();
    assert_eq!((adopted.len(), adopted[0].id, adopted[0].attempt), (1, id, 1));
    site.database.close().await;
}
