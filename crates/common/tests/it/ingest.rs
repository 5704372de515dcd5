//! Events from the API.

use attune_common::{
    bus::{InProcessBus, Wake},
    clock,
    config::Config,
    ingest::Ingest,
    service::{Context, Tasks},
    store::{Transaction, ingest::NewEvent},
    testing::{Database, eventually},
};
use attune_domain::{EventId, TriggerId, occurrence::EventSource};
use futures_util::{FutureExt as _, future::join_all};
use serde_json::json;
use std::{sync::Arc, time::Duration};

const SOON: Duration = Duration::from_secs(10);

fn context(database: &Database, tasks: &Tasks) -> Context {
    let bus = Arc::new(InProcessBus::new());
    Context::new(Arc::new(Config::default()), database.pool.clone(), bus, tasks)
}

fn event() -> NewEvent {
    let id = EventId::random(clock::now(), rand::random());
    NewEvent {
        id,
        trigger_id: TriggerId(1),
        trigger_ref: "test.hook".parse().unwrap(),
        source: EventSource::Api,
        payload: json!({}),
        scheduled_at: None,
        trace_id: id.0,
        definitions: None,
        dedup: None,
    }
}

/// Blocks all inserts until it ends.
async fn locked(database: &Database) -> Transaction {
    let mut other = Transaction::begin(&database.pool).await.unwrap();
    sqlx::query("set local idle_in_transaction_session_timeout = 0")
        .execute(&mut *other)
        .await
        .unwrap();
    sqlx::query("lock table event_queue in exclusive mode")
        .execute(&mut *other)
        .await
        .unwrap();
    other
}

const WAITS: &str = "select count(*) from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())";

async fn being_written(database: &Database) {
    let waits = async || (database.count(WAITS).await > 0).then_some(());
    eventually("the event is being written", SOON, waits).await;
}

/// While one batch is written, more events wait than fit into the next batch.
#[tokio::test]
async fn callers_are_refused_together_when_the_database_is_unavailable() {
    let (database, tasks) = (Database::new().await, Tasks::default());
    let other = locked(&database).await;
    let ingest = Ingest::start(&context(&database, &tasks));
    let ((), refused) = tokio::join!(being_written(&database), async {
        let first = ingest.submit(event());
        let others = join_all((0..250).map(|_| ingest.submit(event())));
        // One attempt: each would take five seconds.
        tokio::time::timeout(Duration::from_secs(9), async { tokio::join!(first, others) }).await
    });
    let (first, others) = refused.expect("all are refused with the first try");
    assert!(others.into_iter().chain([first]).all(|answer| answer.is_err()));
    let canceled = async || (database.count(WAITS).await == 0).then_some(());
    eventually("the server has canceled the statement, too", SOON, canceled).await;
    other.rollback().await.unwrap();
    assert!(ingest.submit(event()).await.is_ok());
    assert_eq!(database.count("select count(*) from event").await, 1);
    drop(ingest);
    tasks.finish().await;
    database.close().await;
}

/// A client whose request timed out sends the event again: if it were written anyway, it would exist twice.
#[tokio::test]
async fn an_abandoned_event_is_not_written() {
    let (database, tasks) = (Database::new().await, Tasks::default());
    let other = locked(&database).await;
    let ingest = Ingest::start(&context(&database, &tasks));
    let (first, ()) = tokio::join!(ingest.submit(event()), async {
        being_written(&database).await;
        assert!(
            ingest.submit(event()).now_or_never().is_none(),
            "it waits for the first batch"
        );
        other.rollback().await.unwrap();
    });
    let last = ingest.submit(event()).await;
    assert!(first.is_ok() && last.is_ok());
    assert_eq!(database.count("select count(*) from event").await, 2);
    drop(ingest);
    tasks.finish().await;
    database.close().await;
}

#[tokio::test]
async fn a_wake_follows_the_commit() {
    let (database, tasks) = (Database::new().await, Tasks::default());
    let context = context(&database, &tasks);
    let wakes = context.bus.wakes(Wake::Events);
    wakes.recv().now_or_never().expect("the first poll needs no wake");

    let other = locked(&database).await;
    let event = event();
    let id = event.id;
    let ingest = Ingest::start(&context);
    let (accepted, ()) = tokio::join!(ingest.submit(event), async {
        being_written(&database).await;
        assert!(wakes.recv().now_or_never().is_none(), "no wake before the commit");
        other.rollback().await.unwrap();
    });
    assert_eq!(accepted.unwrap().event_id, id);
    tokio::time::timeout(SOON, wakes.recv())
        .await
        .expect("a wake after the commit");
    drop(ingest);
    tasks.finish().await;
    database.close().await;
}
