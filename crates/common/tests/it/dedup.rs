//! A key whose window has ended, and two concurrent events with the same key.

use attune_common::store::Transaction;
use attune_common::{
    clock,
    store::ingest::{self, Accepted, Dedup, NewEvent},
    testing::{Database, eventually},
};
use attune_domain::{EventId, TriggerId, occurrence::EventSource};

use serde_json::json;
use std::time::Duration;

fn event(key: u8) -> NewEvent {
    let id = EventId::random(clock::now(), rand::random());
    NewEvent {
        id,
        trigger_id: TriggerId(1),
        trigger_ref: "core.bell".parse().expect("a reference"),
        source: EventSource::Api,
        payload: json!({}),
        scheduled_at: None,
        trace_id: id.0,
        definitions: None,
        dedup: Some(Dedup {
            key: [key; 32],
            window_seconds: 3600,
        }),
    }
}

/// An earlier event whose window has ended.
async fn with_old_event() -> (Database, EventId) {
    let database = Database::new().await;
    let old = event(7);
    ingest::insert(&database.pool, std::slice::from_ref(&old))
        .await
        .expect("written");
    database.move_clock("2 hours").await;
    (database, old.id)
}

/// Inserts an event while another transaction takes the same key.
async fn against(database: &Database, holder: &NewEvent, ours: &NewEvent) -> Accepted {
    let mut tx = Transaction::begin(&database.pool).await.expect("a transaction");
    ingest::insert(&mut *tx, std::slice::from_ref(holder))
        .await
        .expect("written");
    let late = ingest::insert(&database.pool, std::slice::from_ref(ours));
    let commit = async {
        let waits =
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
        eventually("the second waits for the first", Duration::from_secs(10), async || {
            (database.count(waits).await > 0).then_some(())
        })
        .await;
        tx.commit().await.expect("committed");
    };
    let (late, ()) = tokio::join!(late, commit);
    late.expect("answered")[0]
}

#[tokio::test]
async fn the_answer_is_the_new_event_and_not_the_expired_one() {
    let (database, old) = with_old_event().await;
    let (first, second) = (event(7), event(7));
    let lost = against(&database, &first, &second).await;
    let mut connection = database.pool.acquire().await.expect("a connection");
    let resolved = ingest::resolve_duplicate(&mut connection, &second, lost)
        .await
        .expect("resolved");
    assert_ne!(resolved.event_id, old, "its window is over");
    assert_eq!((resolved.event_id, resolved.duplicate), (first.id, true));
    drop(connection);
    database.close().await;
}

#[tokio::test]
async fn a_key_that_expires_before_it_is_read_drops_no_event() {
    let (database, _) = with_old_event().await;
    let (first, second) = (event(7), event(7));
    let lost = against(&database, &first, &second).await;
    database.move_clock("4 hours").await;
    let mut connection = database.pool.acquire().await.expect("a connection");
    let resolved = ingest::resolve_duplicate(&mut connection, &second, lost)
        .await
        .expect("resolved");
    assert_eq!((resolved.event_id, resolved.duplicate), (second.id, false));
    drop(connection);
    let written = format!(
        "select count(*) from event e join event_queue q on q.event_id = e.id where e.id = '{}'",
        second.id
    );
    assert_eq!(database.count(&written).await, 1, "what is answered for is there");
    database.close().await;
}
