//! After an outage of the database, no living worker loses its work, and the work of a dead worker is rescued in time.

use attune_common::{
    bus::InProcessBus,
    config::Config,
    postgres::{Postgres, Settings},
    service::{Context, Tasks},
    store::{
        PgPool, execution_queue,
        execution_start::{self, ByHand},
    },
    testing::{Database, eventually},
};
use attune_domain::{ActionId, ExecutionId, policy::Gates};
use attune_executor::rescue::LeaseReaper;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;
use std::{fs, path::Path, sync::Arc, time::Duration};
use tokio::time::Instant;
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(3);
const DEADLINE: Duration = Duration::from_secs(30);

fn context(pool: &PgPool) -> Context {
    let mut config = Config::default();
    config.worker.lease_seconds = LEASE.as_secs();
    config.executor.reap_seconds = 1;
    Context::new(
        Arc::new(config),
        pool.clone(),
        Arc::new(InProcessBus::new()),
        &Tasks::default(),
    )
}

/// Two executions of one worker: one that may start again, and one that may not.
async fn claimed(database: &Database) -> Vec<ExecutionId> {
    database
        .execute(
            "insert into pack (ref, label) values ('t', 'Test');
             insert into runtime (ref, pack_id, label, kind) select 't.native', id, 'Native', 'native' from pack;
             insert into action (ref, pack_id, runtime_id, label, entry_point, on_lost)
             select 't.' || on_lost, pack.id, runtime.id, 'Noop', 'noop', on_lost
             from pack, runtime, unnest(array['fail', 'requeue']) as on_lost;",
        )
        .await;
    let mut ids = Vec::new();
    for on_lost in ["fail", "requeue"] {
        let action = database
            .count(&format!("select id from action where on_lost = '{on_lost}'"))
            .await;
        let id = ExecutionId(Uuid::now_v7());
        let start = ByHand {
            id,
            action_id: ActionId(action),
            parameters: &json!({}),
            attempts_max: 3,
            rerun_of: None,
            trace_id: id.0,
            definitions: None,
            gates: &Gates::default(),
        };
        let mut connection = database.pool.acquire().await.unwrap();
        execution_start::start(&mut connection, &[start]).await.unwrap();
        ids.push(id);
    }
    let claim = execution_queue::claim(&database.pool, "default", Uuid::now_v7(), 10, LEASE)
        .await
        .unwrap();
    assert_eq!(claim.executions.len(), 2);
    ids
}

async fn expire(database: &Database, lease_until: &str) {
    database
        .execute(&format!("update execution_queue set lease_until = {lease_until}"))
        .await;
}

const LONG_AGO: &str = "db_now() - interval '1 minute'";

/// Repeats a round until the database responds.
async fn round(reaper: &mut LeaseReaper, context: &Context) -> usize {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match reaper.round(context).await {
            Ok(rescued) => return rescued,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
}

/// Runs rounds until something is rescued, and checks how many executions that are.
async fn after_the_grace_period(reaper: &mut LeaseReaper, context: &Context, expected: usize) {
    let rescued = eventually("something is rescued", LEASE * 2, async || {
        let rescued = round(reaper, context).await;
        (rescued > 0).then_some(rescued)
    })
    .await;
    assert_eq!(rescued, expected);
}

#[tokio::test]
async fn the_work_of_a_dead_worker_is_resolved_once() {
    let database = Database::new().await;
    let [fail, requeue] = claimed(&database).await.try_into().unwrap();
    let context = context(&database.pool);
    let mut reaper = LeaseReaper::new(&context);
    assert_eq!(reaper.round(&context).await.unwrap(), 0);
    // Expired, but not for as long as the reaper waits.
    expire(&database, "db_now() - interval '0.2 s'").await;
    assert_eq!(reaper.round(&context).await.unwrap(), 0);
    expire(&database, LONG_AGO).await;
    assert_eq!(reaper.round(&context).await.unwrap(), 2);
    assert_eq!(reaper.round(&context).await.unwrap(), 0);
    let is = async |id: ExecutionId, condition: &str| {
        let rows = format!("select count(*) from execution where id = '{}' and {condition}", id.0);
        database.count(&rows).await
    };
    assert_eq!(
        is(
            fail,
            "status = 'lost' and finished_at is not null and error like '%vanished%'"
        )
        .await,
        1
    );
    assert_eq!(is(requeue, "status = 'scheduled' and finished_at is null").await, 1);
    assert_eq!(
        database.count("select count(*) from execution_queue where ready").await,
        1
    );
    assert_eq!(database.count("select count(*) from execution_queue").await, 1);
    database.close().await;
}

#[tokio::test]
async fn one_bad_row_does_not_keep_the_others_from_being_rescued() {
    let database = Database::new().await;
    let [fail, requeue] = claimed(&database).await.try_into().unwrap();
    // Changed by SQL: according to its history it never ran, so it cannot become lost.
    database
        .execute(&format!(
            "alter table execution disable trigger execution_guard;
             update execution set status = 'waiting' where id = '{}';
             alter table execution enable trigger execution_guard;",
            fail.0
        ))
        .await;
    expire(&database, LONG_AGO).await;
    let context = context(&database.pool);
    let mut reaper = LeaseReaper::new(&context);
    assert_eq!(reaper.round(&context).await.unwrap(), 1);
    let rescued = format!(
        "select count(*) from execution where id = '{}' and status = 'scheduled'",
        requeue.0
    );
    assert_eq!(database.count(&rescued).await, 1);
    database.close().await;
}

#[tokio::test]
async fn a_restarted_database_starts_a_grace_period() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    let database = Database::on(&first).await;
    claimed(&database).await;
    let context_before = context(&database.pool);
    let mut reaper = LeaseReaper::new(&context_before);
    round(&mut reaper, &context_before).await;
    first.stop().await;
    let second = start(folder.path()).await;
    let again = Instant::now();
    let database = Database::on(&second).await;
    expire(&database, LONG_AGO).await;
    // A reaper that has seen no failure, and one that was started just now.
    let fresh_context = context(&database.pool);
    let mut fresh = LeaseReaper::new(&fresh_context);
    assert_eq!(round(&mut reaper, &context_before).await, 0);
    assert_eq!(round(&mut fresh, &fresh_context).await, 0);
    // The work of a worker that is certainly dead does not wait.
    expire(
        &database,
        "case when on_lost = 'fail' then '-infinity' else lease_until end",
    )
    .await;
    assert_eq!(round(&mut fresh, &fresh_context).await, 1);
    // Nothing is renewed, so the rest is rescued after the grace period.
    after_the_grace_period(&mut reaper, &context_before, 1).await;
    assert!(again.elapsed() >= LEASE);
}

#[tokio::test]
async fn a_frozen_database_starts_a_grace_period() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = start(folder.path()).await;
    let database = Database::on(&postgres).await;
    claimed(&database).await;
    let context = context(&database.pool);
    // The reaper assumes that the server has run for a long time.
    let mut reaper = LeaseReaper::new(&context);
    round(&mut reaper, &context).await;
    expire(&database, "db_now() + interval '1 hour'").await;
    eventually("the grace period of the start ends", DEADLINE, async || {
        let up = "select (extract(epoch from clock_timestamp() - pg_postmaster_start_time()) * 1000)::bigint";
        (database.count(up).await > 7_500).then_some(())
    })
    .await;
    expire(&database, "db_now() + interval '0.5 s'").await;
    signal(&postgres, Signal::SIGSTOP);
    // The round hangs and times out before any lease expires.
    let hung = Instant::now();
    assert!(reaper.round(&context).await.is_err());
    assert!(hung.elapsed() < LEASE);
    eventually("all leases expire", DEADLINE, async || {
        (hung.elapsed() > Duration::from_secs(2)).then_some(())
    })
    .await;
    signal(&postgres, Signal::SIGCONT);
    assert_eq!(round(&mut reaper, &context).await, 0);
    let over = "select count(*) from execution_queue where lease_until < db_now() - interval '1 s'";
    assert_eq!(database.count(over).await, 2);
    assert_eq!(round(&mut reaper, &context).await, 0);
    after_the_grace_period(&mut reaper, &context, 2).await;
}

#[tokio::test]
async fn an_exhausted_pool_is_not_an_outage() {
    let database = Database::new().await;
    claimed(&database).await;
    expire(&database, LONG_AGO).await;
    let starved = attune_common::store::db::pool(&database.url, "starved", 1).unwrap();
    let _only_connection = starved.acquire().await.unwrap();
    let context = context(&starved);
    let mut reaper = LeaseReaper::new(&context);
    assert_eq!(reaper.round(&context).await.unwrap(), 2);
    database.close().await;
}

async fn start(folder: &Path) -> Postgres {
    Postgres::start(&Settings::new(folder), |_| {}).await.unwrap()
}

/// Sends a signal to the postmaster and to all processes that it started.
fn signal(postgres: &Postgres, signal: Signal) {
    let text = fs::read_to_string(postgres.folder().join("postmaster.pid")).unwrap();
    let postmaster: i32 = text.lines().next().unwrap().trim().parse().unwrap();
    let started = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.split(' ').nth(1)?.parse::<i32>().ok());
        parent == Some(postmaster)
    };
    let all = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let children: Vec<i32> = all.filter(started).collect();
    kill(Pid::from_raw(postmaster), signal).unwrap();
    for child in children {
        // It may just have ended.
        let _ = kill(Pid::from_raw(child), signal);
    }
}

#[tokio::test]
async fn requeued_work_starts_again_after_a_long_outage() {
    let database = Database::new().await;
    let ids = claimed(&database).await;
    // A night without power: every deadline has passed, and the owner is certainly gone.
    database
        .execute("update execution_queue set lease_until = '-infinity', deadline_at = db_now() - interval '8 hours'")
        .await;
    let context = context(&database.pool);
    let mut reaper = LeaseReaper::new(&context);
    after_the_grace_period(&mut reaper, &context, 2).await;
    let status = async |id: ExecutionId, status: &str| {
        let sql = format!("select count(*) from execution where id = '{id}' and status = '{status}'");
        database.count(&sql).await == 1
    };
    assert!(status(ids[0], "lost").await, "`fail` never starts twice");
    assert!(status(ids[1], "scheduled").await, "`requeue` starts again");
    database.close().await;
}
