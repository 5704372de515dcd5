//! Events that people and programs hand in.

use attune_common::{
    bus::{InProcessBus, Wake},
    clock,
    config::Config,
    ingest::Ingest,
    service::{Context, Tasks},
    store::ingest::NewEvent,
    testing::{Database, eventually},
};
use attune_domain::{EventId, TriggerId, occurrence::EventSource};
use futures_util::FutureExt as _;
use serde_json::json;
use std::{sync::Arc, time::Duration};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_wake_follows_the_commit() {
    let database = Database::new().await;
    let tasks = Tasks::default();
    let context = Context::new(
        Arc::new(Config::default()),
        database.pool.clone(),
        Arc::new(InProcessBus::new()),
        &tasks,
    );
    let wakes = context.bus.wakes(Wake::Events);
    wakes.recv().now_or_never().expect("the first look needs no wake");

    let mut other = database.pool.begin().await.unwrap();
    sqlx::query("lock table event_queue in exclusive mode")
        .execute(&mut *other)
        .await
        .unwrap();
    let id = EventId::random(clock::now(), rand::random());
    let event = NewEvent {
        id,
        trigger_id: TriggerId(1),
        trigger_ref: "test.hook".to_owned(),
        source: EventSource::Api,
        payload: json!({}),
        scheduled_at: None,
        trace_id: id.0,
        dedup: None,
    };
    let ingest = Ingest::start(&context);
    let waits = "select count(*) from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())";
    let (accepted, ()) = tokio::join!(ingest.submit(event), async {
        let look = async || (database.count(waits).await > 0).then_some(());
        eventually("the event is being written", SOON, look).await;
        assert!(
            wakes.recv().now_or_never().is_none(),
            "nobody is woken for what is not there yet"
        );
        other.rollback().await.unwrap();
    });
    assert_eq!(accepted.unwrap().event_id, id);
    tokio::time::timeout(SOON, wakes.recv())
        .await
        .expect("and then somebody is");
    drop(ingest);
    tasks.finish().await;
    database.close().await;
}
