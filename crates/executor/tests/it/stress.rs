//! Two executors, two workers and concurrent cancellations: no limit is exceeded, no execution is forgotten, and no
//! transactions deadlock.

use crate::test_executor::{TestExecutor, ended};
use attune_common::{
    bus::{Bus, InProcessBus},
    service::{Context, Tasks},
    store::{
        Span, Transaction,
        execution::{self, Filter},
        execution_queue::{self, Claimed},
        invariants,
    },
    testing::eventually,
};
use attune_domain::execution::ExecutionStatus;
use attune_executor::{
    decide::{Decider, Round},
    slots,
};
use serde_json::json;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

const EVENTS: u16 = 400;
const RULE_LIMIT: usize = 3;
const HOST_LIMIT: usize = 2;

/// How many executions run now, by key, and their maximum.
#[derive(Debug, Clone, Default)]
struct Running(Arc<Mutex<HashMap<String, (usize, usize)>>>);

impl Running {
    fn keys(claimed: &Claimed) -> [String; 2] {
        let rule = claimed.rule_ref.clone().map(String::from).unwrap_or_default();
        [rule, claimed.parameters["host"].to_string()]
    }

    fn begin(&self, claimed: &Claimed) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in Self::keys(claimed) {
            let (now, most) = running.entry(key).or_default();
            *now += 1;
            *most = (*most).max(*now);
        }
    }

    fn end(&self, claimed: &Claimed) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in Self::keys(claimed) {
            running.entry(key).or_default().0 -= 1;
        }
    }

    fn most(&self, of: &str) -> usize {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(of).map_or(0, |(_, most)| *most)
    }
}

fn sibling(executor: &TestExecutor) -> Context {
    let bus: Arc<dyn Bus> = Arc::new(InProcessBus::new());
    Context::new(
        executor.context.config.clone(),
        executor.database.pool.clone(),
        bus,
        &Tasks::default(),
    )
}

async fn execute(context: Context, running: Running, stop: CancellationToken) {
    let mut held: Vec<Claimed> = Vec::new();
    while !stop.is_cancelled() {
        let lease = Duration::from_secs(30);
        let claim = execution_queue::claim(&context.pool, "default", context.instance, 4, lease).await;
        for claimed in claim.expect("a claim").executions {
            running.begin(&claimed);
            held.push(claimed);
        }
        let ends = held.split_off(held.len() / 2);
        let finished: Vec<_> = ends
            .iter()
            .inspect(|claimed| running.end(claimed))
            .map(|claimed| ended(claimed, ExecutionStatus::Succeeded))
            .collect();
        // After the count above, because the commit passes the slot on.
        execution_queue::finish(&context.pool, &finished)
            .await
            .expect("results");
        if finished.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn decide(context: Context, stop: CancellationToken) {
    let mut decider = Decider::new(&context);
    while !stop.is_cancelled() {
        let round = decider.round(true).await.expect("decisions");
        slots::round(&context).await.expect("a round");
        if round == Round::Drained {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Cancels one in ten pending executions.
async fn cancel(context: Context, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let filter = Filter::default();
        let found = execution::page(&context.pool, &filter, &Span::new(200)).await;
        for execution in found.expect("executions") {
            if !execution.status.is_terminal() && execution.id.0.as_bytes()[15].is_multiple_of(10) {
                let mut tx = Transaction::begin(&context.pool).await.expect("a transaction");
                let canceled = execution::cancel(&mut tx, execution.id).await;
                canceled.expect("no deadlock").expect("the execution is there").ok();
                tx.commit().await.expect("a commit");
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_and_no_execution_is_forgotten() {
    let action = json!({"concurrency": {"limit": HOST_LIMIT, "key": "{{ parameters.host }}"}});
    let rule = json!({"concurrency": {"limit": RULE_LIMIT}, "rate_limit": {"limit": 150, "window_seconds": 86400}});
    let mut executor = TestExecutor::new(action, rule.clone()).await;
    executor
        .set(
            "rule",
            "t.two",
            &json!({"enabled": true, "concurrency": {"limit": RULE_LIMIT}}),
        )
        .await;

    let stop = CancellationToken::new();
    let running = Running::default();
    let tasks = Tasks::default();
    for _ in 0..2 {
        tasks.tracker.spawn(decide(sibling(&executor), stop.clone()));
        tasks
            .tracker
            .spawn(execute(sibling(&executor), running.clone(), stop.clone()));
    }
    tasks.tracker.spawn(cancel(sibling(&executor), stop.clone()));
    for n in 0..EVENTS {
        executor.fire(["a", "b", "c"][usize::from(n % 3)]).await;
    }
    eventually("everything has ended", Duration::from_secs(60), async || {
        let pending = "select (select count(*) from event_queue) + (select count(*) from execution_queue)";
        (executor.database.count(pending).await == 0).then_some(())
    })
    .await;
    stop.cancel();
    tasks.finish().await;

    for (key, limit) in [
        ("t.one", RULE_LIMIT),
        ("t.two", RULE_LIMIT),
        ("\"a\"", HOST_LIMIT),
        ("\"b\"", HOST_LIMIT),
        ("\"c\"", HOST_LIMIT),
    ] {
        let most = running.most(key);
        assert!((1..=limit).contains(&most), "{key}: {most} at once");
    }
    let counts = [
        ("select count(*) from execution", i64::from(EVENTS) + 150),
        (
            "select count(*) from enforcement where status = 'throttled'",
            i64::from(EVENTS) - 150,
        ),
        (
            "select count(*) from execution where status not in ('succeeded', 'canceled')",
            0,
        ),
    ];
    for (sql, expected) in counts {
        assert_eq!(executor.database.count(sql).await, expected, "{sql}");
    }
    assert!(
        executor
            .database
            .count("select count(*) from execution where status = 'succeeded'")
            .await
            > i64::from(EVENTS) / 2
    );
    let mut connection = executor.database.pool.acquire().await.expect("a connection");
    let wrong = invariants::violations(&mut connection).await.expect("the invariants");
    assert!(wrong.is_empty(), "{wrong:#?}");
    drop(connection);
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(executor.database.count(deadlocks).await, 0);
    executor.database.close().await;
}
