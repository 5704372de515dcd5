//! Events whose decision failed before: they get their turn under load, and are quarantined in the end.

use super::test_executor::TestExecutor;
use attune_common::{bus::Wake, store::event_queue, testing::eventually};
use attune_domain::EventId;
use attune_executor::{
    decide::{self, Decider},
    status::Status,
};
use serde_json::json;
use std::time::Duration;

/// Two tries in a batch and five alone.
const TRIES: i64 = 7;

/// Runs the executor under a steady stream of wakes until the query counts one row.
async fn until_one(executor: &TestExecutor, what: &str, sql: &str) {
    executor
        .context
        .spawn("decide", decide::run(executor.context.clone(), Status::default()));
    eventually(what, Duration::from_secs(15), async || {
        executor.context.bus.wake(Wake::Events);
        (executor.database.count(sql).await == 1).then_some(())
    })
    .await;
    executor.context.stopping().cancel();
}

#[tokio::test]
async fn an_event_that_crashed_an_executor_twice_is_decided_under_load() {
    let mut executor = TestExecutor::new(json!({}), json!({})).await;
    executor.fire("here").await;
    executor.database.execute("update event_queue set tries = 2").await;
    until_one(&executor, "the suspect is decided", "select count(*) from execution").await;
}

/// With one suspect a second, twenty suspects would wait for twenty seconds.
#[tokio::test]
async fn a_decided_suspect_does_not_delay_the_next_one() {
    let mut executor = TestExecutor::new(json!({}), json!({})).await;
    for _ in 0..20 {
        executor.fire("here").await;
    }
    executor.database.execute("update event_queue set tries = 2").await;
    let all = "select (count(*) = 20)::int::bigint from execution";
    until_one(&executor, "all suspects are decided", all).await;
}

#[tokio::test]
async fn an_event_that_never_ends_is_quarantined_under_load() {
    let mut executor = TestExecutor::new(json!({}), json!({})).await;
    executor.fire("here").await;
    // The lease of the last try has expired.
    executor
        .database
        .execute("update event_queue set tries = 7, lease_until = db_now() - interval '1 second'")
        .await;
    let quarantined = "select count(*) from event_queue where quarantined_at is not null and last_error is not null";
    until_one(&executor, "the event is quarantined", quarantined).await;
    assert_eq!(executor.database.count("select count(*) from execution").await, 0);
}

/// Runs `body` in every transaction that decides this event. A sequence counts the tries as `n`, also those rolled back.
async fn trap(executor: &TestExecutor, event: EventId, body: &str) {
    let sql = format!(
        "create sequence tried;
         create function trap() returns trigger language plpgsql as $$
         declare n bigint;
         begin
             if new.event_id = '{event}' then n := nextval('tried'); {body} end if;
             return new;
         end $$;
         create trigger trap before insert on event_decision for each row execute function trap()"
    );
    executor.database.execute(&sql).await;
}

/// How often the decision of the trapped event was tried.
async fn tried(executor: &TestExecutor) -> i64 {
    executor.database.count("select last_value from tried").await
}

/// Only this event is undecided, and it is quarantined.
fn only_it_is_quarantined(event: EventId) -> String {
    format!(
        "select (count(*) = 1 and bool_and(event_id = '{event}' and quarantined_at is not null and last_error is not null))::int::bigint
         from event_queue"
    )
}

/// The event was tried as often as allowed and left no rows; this many other events were decided.
async fn assert_quarantined(executor: &TestExecutor, event: EventId, others: i64) {
    assert_eq!(executor.database.count(&only_it_is_quarantined(event)).await, 1);
    Decider::new(&executor.context).round(true).await.expect("a claim");
    assert_eq!(tried(executor).await, TRIES);
    for table in ["event_decision", "enforcement", "execution"] {
        let of = async |whose: &str| {
            let sql = format!("select count(*) from {table} where event_id {whose} '{event}'");
            executor.database.count(&sql).await
        };
        assert_eq!((of("=").await, of("<>").await), (0, others), "{table}");
    }
}

#[tokio::test]
async fn a_refused_event_is_quarantined_and_the_rest_of_its_batch_is_decided() {
    let mut executor = TestExecutor::new(json!({}), json!({})).await;
    executor.fire("before").await;
    let culprit = executor.fire("here").await;
    executor.fire("after").await;
    trap(&executor, culprit, "raise exception 'not this one';").await;
    let all = only_it_is_quarantined(culprit);
    until_one(&executor, "it is quarantined and the others are decided", &all).await;
    assert_quarantined(&executor, culprit, 2).await;
}

/// An executor dies during the decision, again and again: nothing is released, and leases expire.
#[tokio::test]
async fn an_event_that_kills_every_executor_is_quarantined() {
    let mut executor = TestExecutor::new(json!({}), json!({})).await;
    let culprit = executor.fire("here").await;
    trap(&executor, culprit, "perform pg_sleep(60);").await;
    let sessions = "with deciding as materialized (
            select pid from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'
        ) select count(*) from deciding";
    for life in 1..=TRIES {
        let mut decider = Decider::new(&executor.context);
        let blocked = eventually("it is being decided", Duration::from_secs(5), async || {
            (executor.database.count(sessions).await == 1).then_some(())
        });
        tokio::select! {
            ended = decider.round(true) => panic!("life {life} ended by itself: {ended:?}"),
            () = blocked => {}
        }
        drop(decider);
        let gone = format!("{sessions} where pg_terminate_backend(pid, 5000)");
        assert_eq!(executor.database.count(&gone).await, 1);
        let over = "update event_queue set lease_until = db_now() - interval '1 second'";
        executor.database.execute(over).await;
    }
    executor.fire("after").await;
    Decider::new(&executor.context).round(true).await.expect("a claim");
    assert_quarantined(&executor, culprit, 1).await;
}

/// Refused once more than it takes to quarantine an event.
#[tokio::test]
async fn a_full_disk_quarantines_no_event() {
    let mut executor = TestExecutor::new(json!({}), json!({})).await;
    let event = executor.fire("here").await;
    let full = format!("if n <= {TRIES} + 1 then raise exception 'disk full' using errcode = '53100'; end if;");
    trap(&executor, event, &full).await;
    until_one(&executor, "it is decided", "select count(*) from event_decision").await;
    assert_eq!(tried(&executor).await, TRIES + 2);
}

const CANCELED: &str = "raise exception 'statement timeout' using errcode = '57014';";

/// Otherwise it would block the queue for ever.
#[tokio::test]
async fn an_event_that_times_out_is_quarantined() {
    let mut executor = TestExecutor::new(json!({}), json!({})).await;
    executor.fire("before").await;
    let culprit = executor.fire("here").await;
    trap(&executor, culprit, CANCELED).await;
    let mut decider = Decider::new(&executor.context);
    for _ in 0..=TRIES {
        decider.round(true).await.expect("a claim");
    }
    assert_quarantined(&executor, culprit, 1).await;
}

#[tokio::test]
async fn a_timeout_of_an_unresponsive_database_quarantines_no_event() {
    let mut executor = TestExecutor::new(json!({}), json!({})).await;
    let mut decider = Decider::new(&executor.context);
    executor.fire("before").await;
    decider.round(false).await.expect("a claim");
    let event = executor.fire("here").await;
    trap(&executor, event, CANCELED).await;
    let slow = "alter table pack rename to packs; create view pack as select p.* from packs p, pg_sleep(60)";
    executor.database.execute(slow).await;
    decider.round(false).await.expect("a claim");
    assert_eq!(tried(&executor).await, 1);
    assert_eq!(
        executor.database.count("select tries::bigint from event_queue").await,
        0
    );
}

/// A write that hangs is dropped. Its try counts, because the database responds to everything else. When the event becomes
/// free again depends on the server: it unlocks the row when other sessions have waited for it as long as they may.
#[tokio::test]
async fn a_hanging_decision_counts_as_a_try() {
    let mut executor = TestExecutor::new(json!({}), json!({})).await;
    let culprit = executor.fire("here").await;
    trap(&executor, culprit, "perform pg_sleep(60);").await;
    let mut decider = Decider::new(&executor.context);
    let _ = decider.round(false).await;
    assert_eq!(tried(&executor).await, 1);
    assert_eq!(
        executor.database.count("select tries::bigint from event_queue").await,
        1
    );
    executor.database.execute("drop trigger trap on event_decision").await;
    executor
        .database
        .execute("update event_queue set lease_until = null")
        .await;
    decider.round(false).await.expect("a claim");
    assert_eq!(executor.database.count("select count(*) from execution").await, 1);
}

#[tokio::test]
async fn every_suspect_gets_a_turn_before_the_first_gets_a_second() {
    let mut executor = TestExecutor::new(json!({}), json!({})).await;
    let (culprit, other) = (executor.fire("here").await, executor.fire("here").await);
    executor.database.execute("update event_queue set tries = 2").await;
    for turn in [culprit, other] {
        let lease = Duration::from_secs(30);
        let suspect = event_queue::claim_suspect(&executor.context.pool, lease).await;
        let suspect = suspect.expect("a claim").expect("a suspect");
        assert_eq!(suspect.event_id, turn);
        let back = event_queue::give_back(&executor.context.pool, &[suspect], true, None).await;
        back.expect("the database answers");
    }
}
