//! Events whose decision did not end before: they come to their turn under load, and are set aside in the end.

use super::stage::Stage;
use attune_common::{bus::Wake, testing::eventually};
use attune_executor::decide;
use serde_json::json;
use std::time::Duration;

/// Runs the executor under a steady stream of wakes until the query counts one row.
async fn until_one(stage: &Stage, what: &str, sql: &str) {
    stage.context.spawn("decide", decide::run(stage.context.clone()));
    eventually(what, Duration::from_secs(15), async || {
        stage.context.bus.wake(Wake::Events);
        (stage.database.count(sql).await == 1).then_some(())
    })
    .await;
    stage.context.stopping().cancel();
}

#[tokio::test]
async fn one_that_crashed_an_executor_twice_is_decided_under_load() {
    let mut stage = Stage::new(json!({}), json!({})).await;
    stage.fire("here").await;
    stage.database.execute("update event_queue set tries = 2").await;
    until_one(&stage, "the suspect is decided", "select count(*) from execution").await;
}

/// Twenty that wait for a turn of their own each second would wait for twenty seconds.
#[tokio::test]
async fn those_that_are_decided_do_not_keep_the_next_waiting() {
    let mut stage = Stage::new(json!({}), json!({})).await;
    for _ in 0..20 {
        stage.fire("here").await;
    }
    stage.database.execute("update event_queue set tries = 2").await;
    let all = "select (count(*) = 20)::int::bigint from execution";
    until_one(&stage, "all suspects are decided", all).await;
}

#[tokio::test]
async fn one_that_never_ends_is_set_aside_under_load() {
    let mut stage = Stage::new(json!({}), json!({})).await;
    stage.fire("here").await;
    // Two tries in company and five alone, the last of which is over.
    stage
        .database
        .execute("update event_queue set tries = 7, lease_until = db_now() - interval '1 second'")
        .await;
    let set_aside = "select count(*) from event_queue where quarantined_at is not null and last_error is not null";
    until_one(&stage, "the event is set aside", set_aside).await;
    assert_eq!(stage.database.count("select count(*) from execution").await, 0);
}
