//! Events whose decision did not end before: they come to their turn under load, and are set aside in the end.

use super::stage::Stage;
use attune_common::{bus::Wake, store::event_queue, testing::eventually};
use attune_domain::EventId;
use attune_executor::decide::{self, Decider};
use serde_json::json;
use std::time::Duration;

/// Two tries in company and five alone.
const TRIES: i64 = 7;

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

/// Whoever decides about this event runs into it, for the `n`th time: a sequence remembers what is rolled back.
async fn trap(stage: &Stage, event: EventId, body: &str) {
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
    stage.database.execute(&sql).await;
}

/// How often it was tried to write the decision about the event with the trap.
async fn tried(stage: &Stage) -> i64 {
    stage.database.count("select last_value from tried").await
}

/// All that are not decided are set aside, and are this one.
fn only_it_is_set_aside(event: EventId) -> String {
    format!(
        "select (count(*) = 1 and bool_and(event_id = '{event}' and quarantined_at is not null and last_error is not null))::int::bigint
         from event_queue"
    )
}

/// It was tried as often as it may be, and nothing of it is there. This many others were decided.
async fn assert_set_aside(stage: &Stage, event: EventId, others: i64) {
    assert_eq!(stage.database.count(&only_it_is_set_aside(event)).await, 1);
    Decider::new(&stage.context).round(true).await.expect("a claim");
    assert_eq!(tried(stage).await, TRIES);
    for table in ["event_decision", "enforcement", "execution"] {
        let of = async |whose: &str| {
            let sql = format!("select count(*) from {table} where event_id {whose} '{event}'");
            stage.database.count(&sql).await
        };
        assert_eq!((of("=").await, of("<>").await), (0, others), "{table}");
    }
}

#[tokio::test]
async fn one_that_is_refused_is_set_aside_and_its_company_is_decided() {
    let mut stage = Stage::new(json!({}), json!({})).await;
    stage.fire("before").await;
    let culprit = stage.fire("here").await;
    stage.fire("after").await;
    trap(&stage, culprit, "raise exception 'not this one';").await;
    let all = only_it_is_set_aside(culprit);
    until_one(&stage, "it is set aside and the others are decided", &all).await;
    assert_set_aside(&stage, culprit, 2).await;
}

/// An executor dies in the middle of the decision, again and again: nobody gives anything back, and leases run out.
#[tokio::test]
async fn one_that_ends_every_executor_is_set_aside() {
    let mut stage = Stage::new(json!({}), json!({})).await;
    let culprit = stage.fire("here").await;
    trap(&stage, culprit, "perform pg_sleep(60);").await;
    let sessions = "with deciding as materialized (
            select pid from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'
        ) select count(*) from deciding";
    for life in 1..=TRIES {
        let mut executor = Decider::new(&stage.context);
        let decides = eventually("it is being decided", Duration::from_secs(5), async || {
            (stage.database.count(sessions).await == 1).then_some(())
        });
        tokio::select! {
            ended = executor.round(true) => panic!("life {life} ended by itself: {ended:?}"),
            () = decides => {}
        }
        drop(executor);
        let gone = format!("{sessions} where pg_terminate_backend(pid, 5000)");
        assert_eq!(stage.database.count(&gone).await, 1);
        let over = "update event_queue set lease_until = db_now() - interval '1 second'";
        stage.database.execute(over).await;
    }
    stage.fire("after").await;
    Decider::new(&stage.context).round(true).await.expect("a claim");
    assert_set_aside(&stage, culprit, 1).await;
}

/// Refused once more than what sets an event aside.
#[tokio::test]
async fn a_full_disk_is_no_events_fault() {
    let mut stage = Stage::new(json!({}), json!({})).await;
    let event = stage.fire("here").await;
    let full = format!("if n <= {TRIES} + 1 then raise exception 'disk full' using errcode = '53100'; end if;");
    trap(&stage, event, &full).await;
    until_one(&stage, "it is decided", "select count(*) from event_decision").await;
    assert_eq!(tried(&stage).await, TRIES + 2);
}

const CANCELED: &str = "raise exception 'statement timeout' using errcode = '57014';";

/// It would block the queue for ever otherwise.
#[tokio::test]
async fn one_that_runs_into_a_time_limit_is_set_aside() {
    let mut stage = Stage::new(json!({}), json!({})).await;
    stage.fire("before").await;
    let culprit = stage.fire("here").await;
    trap(&stage, culprit, CANCELED).await;
    let mut decider = Decider::new(&stage.context);
    for _ in 0..=TRIES {
        decider.round(true).await.expect("a claim");
    }
    assert_set_aside(&stage, culprit, 1).await;
}

#[tokio::test]
async fn a_time_limit_of_a_database_that_answers_nothing_is_no_events_fault() {
    let mut stage = Stage::new(json!({}), json!({})).await;
    let mut decider = Decider::new(&stage.context);
    stage.fire("before").await;
    decider.round(false).await.expect("a claim");
    let event = stage.fire("here").await;
    trap(&stage, event, CANCELED).await;
    let slow = "alter table pack rename to packs; create view pack as select p.* from packs p, pg_sleep(60)";
    stage.database.execute(slow).await;
    decider.round(false).await.expect("a claim");
    assert_eq!(tried(&stage).await, 1);
    assert_eq!(stage.database.count("select tries::bigint from event_queue").await, 0);
}

/// A write that hangs is given up; its try counts, because everything else is answered. Whether the event is free again at
/// once depends on when the server notices: it lets go of the row when others have waited for it as long as they may.
#[tokio::test]
async fn one_that_hangs_is_tried() {
    let mut stage = Stage::new(json!({}), json!({})).await;
    let culprit = stage.fire("here").await;
    trap(&stage, culprit, "perform pg_sleep(60);").await;
    let mut decider = Decider::new(&stage.context);
    let _ = decider.round(false).await;
    assert_eq!(tried(&stage).await, 1);
    assert_eq!(stage.database.count("select tries::bigint from event_queue").await, 1);
    stage.database.execute("drop trigger trap on event_decision").await;
    stage
        .database
        .execute("update event_queue set lease_until = null")
        .await;
    decider.round(false).await.expect("a claim");
    assert_eq!(stage.database.count("select count(*) from execution").await, 1);
}

#[tokio::test]
async fn its_company_comes_before_its_second_turn() {
    let mut stage = Stage::new(json!({}), json!({})).await;
    let (culprit, other) = (stage.fire("here").await, stage.fire("here").await);
    stage.database.execute("update event_queue set tries = 2").await;
    for turn in [culprit, other] {
        let lease = Duration::from_secs(30);
        let suspect = event_queue::claim_suspect(&stage.context.pool, lease).await;
        let suspect = suspect.expect("a claim").expect("a suspect");
        assert_eq!(suspect.event_id, turn);
        let back = event_queue::give_back(&stage.context.pool, &[suspect], true, None).await;
        back.expect("the database answers");
    }
}
