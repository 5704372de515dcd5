//! `attune up` commits events with their decisions and claims: each crash and pause of that path, and what follows from it.

use super::{
    failpoints::JOINT,
    support::{
        Api, Process, definitions,
        embedded::{Embedded, start_as},
        facts,
        surroundings::actions_as_the_test,
    },
};
use attune_common::testing::eventually;
use reqwest::Method;
use serde_json::json;
use std::{fs, path::Path, time::Duration};

const SOON: Duration = Duration::from_secs(30);
/// An answer may be late on a busy machine, and then an event goes the usual way.
const TRIES: usize = 100;
const STOP: Duration = Duration::from_secs(20);
/// How long the executor or the commit is held up.
const PAUSE_MS: u32 = 3_000;

/// The first start, with an action that writes a line for each run into `folder/marks`.
async fn first_start(folder: &Path) -> Embedded {
    let attune = Embedded::up(folder, "1.log").await;
    definitions::pack(&attune.api).await;
    let mark = format!("echo \"$ATTUNE_EXECUTION_ID\" >> '{}/marks'", folder.display());
    definitions::action(&attune.api, "mark", &mark, json!({"on_lost": "fail"})).await;
    attune
        .api
        .post(
            "/api/v1/triggers",
            json!({"ref": "test.hook", "label": "Hook", "kind": "custom"}),
        )
        .await;
    definitions::rule(&attune.api, "hook", "test.mark", json!({})).await;
    attune
}

async fn start_armed(folder: &Path, log: &str, points: &str) -> Embedded {
    let variables = [actions_as_the_test(), ("ATTUNE_FAILPOINTS", points.to_owned())];
    Embedded::ready(start_as(folder, log, &[], &variables, &[]), folder).await
}

/// Submits an event, and returns its id unless the process died meanwhile.
async fn submit(api: &Api) -> Option<String> {
    let request = api
        .request(Method::POST, "/api/v1/events")
        .json(&json!({"trigger_ref": "test.hook", "payload": {}}));
    let (status, answer) = Api::send(request).await.ok()?;
    assert!(status.is_success(), "{status}: {answer}");
    answer["data"]["id"].as_str().map(str::to_owned)
}

fn hit(process: &Process, point: &str) -> bool {
    process.printed().contains(&format!("failpoint {point}="))
}

async fn all_ended(attune: &Embedded) {
    let ended = "not exists (select from event_queue) and not exists (select from execution_queue)";
    facts::holds(&attune.pool, "everything has ended", SOON, ended).await;
    facts::assert_invariants(&attune.pool).await;
}

#[tokio::test]
async fn one_commit_from_the_event_to_the_claim() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let attune = first_start(folder.path()).await;
    let one_commit = "select count(*) from event e
        join event_decision d on d.event_id = e.id and d.xmin = e.xmin
        join enforcement f on f.event_id = e.id and f.xmin = e.xmin
        join execution x on x.event_id = e.id and x.started_at - e.received_at < interval '1 second' and x.attempt = 1
        where e.trigger_ref = 'test.hook'";
    for _ in 0..TRIES {
        submit(&attune.api).await.expect("an answer");
        if facts::number(&attune.pool, one_commit).await > 0 {
            break;
        }
    }
    assert!(
        facts::number(&attune.pool, one_commit).await > 0,
        "no answer was in time"
    );
    all_ended(&attune).await;
    let events = facts::number(
        &attune.pool,
        "select count(*) from event where trigger_ref = 'test.hook'",
    )
    .await;
    let marks = fs::read_to_string(folder.path().join("marks")).expect("there are marks");
    assert_eq!(i64::try_from(marks.lines().count()).ok(), Some(events), "each ran once");
    attune.interrupt(STOP).await;
}

#[tokio::test]
async fn a_crash_around_the_commit_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    first_start(folder.path()).await.interrupt(STOP).await;
    let mut answered = Vec::new();
    for point in ["joint.before_commit", "joint.after_commit"] {
        assert!(JOINT.iter().any(|joint| joint.name == point));
        let mut attune = start_armed(folder.path(), &format!("{point}.log"), &format!("{point}=abort")).await;
        for _ in 0..TRIES {
            match submit(&attune.api).await {
                Some(id) => answered.push(id),
                None => break,
            }
        }
        assert_eq!(attune.process.ended(STOP).await, 137, "it is killed at {point}");
        assert!(hit(&attune.process, point));
    }
    let attune = Embedded::up(folder.path(), "last.log").await;
    all_ended(&attune).await;
    let promised = format!(
        "select count(*) from event where id = any('{{{}}}'::uuid[])",
        answered.join(",")
    );
    let count = i64::try_from(answered.len()).expect("a small number");
    assert_eq!(
        facts::number(&attune.pool, &promised).await,
        count,
        "what was promised is there"
    );
    // Of the two requests without an answer, only that of the second crash was committed.
    let all = "select count(*) from event where trigger_ref = 'test.hook'";
    assert_eq!(facts::number(&attune.pool, all).await, count + 1);
    // What was claimed and not started is lost, because it may start only once.
    let lost = "select count(*) from execution where action_ref = 'test.mark' and status = 'lost'";
    let other = "select count(*) from execution where action_ref = 'test.mark' and status not in ('lost', 'succeeded')";
    assert!(facts::number(&attune.pool, lost).await <= 2);
    assert_eq!(facts::number(&attune.pool, other).await, 0);
    let marks = fs::read_to_string(folder.path().join("marks")).unwrap_or_default();
    let mut ran: Vec<&str> = marks.lines().collect();
    let all = ran.len();
    ran.sort_unstable();
    ran.dedup();
    assert_eq!(ran.len(), all, "nothing ran twice");
    attune.interrupt(STOP).await;
}

#[tokio::test]
async fn a_hung_executor_delays_no_acknowledgement() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    first_start(folder.path()).await.interrupt(STOP).await;
    let attune = start_armed(folder.path(), "2.log", &format!("joint.offered=pause:{PAUSE_MS}")).await;
    let started = std::time::Instant::now();
    let id = submit(&attune.api).await.expect("an answer");
    let took = started.elapsed();
    assert!(hit(&attune.process, "joint.offered"), "the executor hangs");
    assert!(took < Duration::from_millis(PAUSE_MS.into()) / 2, "it took {took:?}");
    let decided = format!("exists (select from event_decision where event_id = '{id}')");
    facts::holds(&attune.pool, "it is decided the usual way", SOON, &decided).await;
    all_ended(&attune).await;
    attune.interrupt(STOP).await;
}

/// A rule is disabled after the decision and before the commit: the event is decided again, without the rule.
#[tokio::test]
async fn definitions_that_change_before_the_commit_count() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    first_start(folder.path()).await.interrupt(STOP).await;
    let attune = start_armed(folder.path(), "2.log", &format!("joint.before_commit=pause:{PAUSE_MS}")).await;
    let mut held_up = None;
    for _ in 0..TRIES {
        let (api, process) = (attune.api.clone(), &attune.process);
        let paused = eventually("it is held up", SOON, async || {
            hit(process, "joint.before_commit").then_some(())
        });
        let mut submitted = Box::pin(submit(&api));
        tokio::select! {
            _ = &mut submitted => {}
            () = paused => {
                facts::execute(&attune.pool, "update rule set enabled = false where ref = 'test.hook'").await;
                held_up = submitted.await;
                break;
            }
        }
    }
    let id = held_up.expect("an event was held up and accepted");
    all_ended(&attune).await;
    let decided = format!("select count(*) from event_decision where event_id = '{id}' and matched = 0");
    assert_eq!(
        facts::number(&attune.pool, &decided).await,
        1,
        "it is decided without the rule"
    );
    let enforced = format!("select count(*) from enforcement where event_id = '{id}'");
    assert_eq!(facts::number(&attune.pool, &enforced).await, 0);
    attune.interrupt(STOP).await;
}
