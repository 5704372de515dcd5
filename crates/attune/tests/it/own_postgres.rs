//! `attune up` restarts its own PostgreSQL when that dies, and keeps all guarantees.

use super::support::{Api, definitions, embedded::Embedded, facts};
use attune_common::testing::eventually;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};
use tokio::time::interval;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const BACK: Duration = Duration::from_secs(30);

#[tokio::test]
async fn attune_up_continues_when_its_postgresql_is_killed_repeatedly() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let attune = Embedded::up(folder.path(), "1.log").await;
    let cluster = folder.path().join("data/postgres");
    load(&attune.api, folder.path()).await;
    let stop = CancellationToken::new();
    let client = TaskTracker::new().spawn(submit_events(attune.api.clone(), stop.clone()));
    let long = attune.api.run("test.long", json!({})).await;
    attune.api.execution_is(&long, "running", BACK).await;

    for _ in 0..3 {
        kill_postmaster(&cluster);
        wait_for_recovery(&attune, &cluster).await;
    }
    // Killed again while it starts.
    let first = kill_postmaster(&cluster);
    let next = async || postmaster(&cluster).filter(|pid| *pid != first);
    let starting = eventually("the next one starts", BACK, next).await;
    // On a fast machine it may be up already.
    let _ = kill(starting, Signal::SIGKILL);
    wait_for_recovery(&attune, &cluster).await;
    // One session dies: the server ends all others and recovers by itself.
    kill(session(&attune).await, Signal::SIGKILL).expect("the session can be killed");
    wait_for_recovery(&attune, &cluster).await;
    // A stopped session outlives its server and keeps the shared memory.
    let orphan = session(&attune).await;
    kill(orphan, Signal::SIGSTOP).expect("the session can be stopped");
    kill_postmaster(&cluster);
    let failing = async || (health(&attune.api).await["postgres"]["status"] == "failing").then_some(());
    eventually("health reports the failure", BACK, failing).await;
    wait_for_recovery(&attune, &cluster).await;

    fs::write(folder.path().join("go"), "").expect("the long action may end");
    attune.api.execution_is(&long, "succeeded", BACK).await;
    stop.cancel();
    let promised = client.await.expect("the client ends");
    assert!(promised.len() > 5, "the client was answered {} times", promised.len());
    nothing_is_lost(&attune, &promised).await;
    assert_eq!(health(&attune.api).await["postgres"]["status"], "ok");
    assert!(health(&attune.api).await["postgres"]["restarts"].as_u64() >= Some(5));
    attune.interrupt(Duration::from_secs(20)).await;
}

/// A server that cannot start again ends Attune, with the reason.
#[tokio::test]
async fn attune_up_ends_when_its_postgresql_cannot_be_started_again() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut attune = Embedded::up(folder.path(), "1.log").await;
    attune.pool.close().await;
    let cluster = folder.path().join("data/postgres");
    let control = cluster.join("global/pg_control");
    fs::rename(&control, control.with_extension("kept")).expect("the file can be moved");
    kill_postmaster(&cluster);
    assert_eq!(attune.process.ended(Duration::from_secs(60)).await, 1);
    let printed = attune.process.printed();
    assert!(printed.contains("is damaged"), "{printed}");
    // After the repair, it continues.
    fs::rename(control.with_extension("kept"), &control).expect("the file can be moved back");
    Embedded::up(folder.path(), "2.log")
        .await
        .interrupt(Duration::from_secs(20))
        .await;
}

/// Five timers with rules, an action that waits, and a trigger and rule for events of a client.
async fn load(api: &Api, folder: &Path) {
    definitions::pack(api).await;
    for name in ["one", "two", "three", "four", "five"] {
        definitions::timer(api, name, json!({"type": "interval", "seconds": 1})).await;
        definitions::rule(api, name, "core.echo", json!({"message": "Hello World"})).await;
    }
    let waits = format!("while [ ! -e '{}/go' ]; do sleep 0.1; done", folder.display());
    definitions::action(api, "long", &waits, json!({"on_lost": "fail"})).await;
    let custom = json!({"ref": "test.custom", "label": "Custom", "kind": "custom"});
    api.post("/api/v1/triggers", custom).await;
    definitions::rule(api, "custom", "core.echo", json!({"message": "Hello World"})).await;
}

/// Submits events until it is stopped, and returns the promised ids.
async fn submit_events(api: Api, stop: CancellationToken) -> Vec<String> {
    let mut promised = Vec::new();
    let mut pace = interval(Duration::from_millis(50));
    while !stop.is_cancelled() {
        pace.tick().await;
        let request = api.request(Method::POST, "/api/v1/events");
        let body = json!({"trigger_ref": "test.custom", "payload": {}});
        if let Ok((status, answer)) = Api::send(request.json(&body)).await {
            match status.as_u16() {
                200..300 => promised.push(answer["data"]["id"].as_str().expect("an event has an id").to_owned()),
                503 => {}
                _ => panic!("{status}: {answer}"),
            }
        }
    }
    promised
}

fn postmaster(cluster: &Path) -> Option<Pid> {
    let content = fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
    Some(Pid::from_raw(content.lines().next()?.parse().ok()?))
}

fn kill_postmaster(cluster: &Path) -> Pid {
    let pid = postmaster(cluster).expect("a server runs");
    kill(pid, Signal::SIGKILL).expect("the server can be killed");
    pid
}

/// A session of one of Attune's services, which the test does not use.
async fn session(attune: &Embedded) -> Pid {
    let sql = "select pid from pg_stat_activity where backend_type = 'client backend' and application_name = 'attune' order by backend_start limit 1";
    // A pooled connection of this test may still lead to a server that was killed.
    let found = async || facts::number_if_there(&attune.pool, sql).await;
    let pid = eventually("a session is open", BACK, found).await;
    Pid::from_raw(i32::try_from(pid).expect("a pid"))
}

async fn health(api: &Api) -> Value {
    let answer = Api::send(api.request(Method::GET, "/health")).await;
    answer.expect("health answers whatever else happens").1
}

/// Another server process responds, and executions succeed again.
async fn wait_for_recovery(attune: &Embedded, cluster: &Path) {
    assert!(attune.process.is_alive(), "{}", attune.process.printed());
    let sql = "select count(*) from execution where status = 'succeeded'";
    let count = async || facts::number_if_there(&attune.pool, sql).await;
    let before = eventually("the database answers", BACK, count).await;
    let enough = async || count().await.filter(|now| *now >= before + 5);
    eventually("five more executions succeed", BACK, enough).await;
    let server = postmaster(cluster).expect("a server runs");
    assert!(super::support::tree::exists(server));
}

/// Nothing is lost or missed, and every invariant holds.
async fn nothing_is_lost(attune: &Embedded, promised: &[String]) {
    let pool = &attune.pool;
    facts::drain(pool, BACK).await;
    let lost = "select count(*) from execution where status <> 'succeeded'";
    assert_eq!(facts::number(pool, lost).await, 0, "nothing is lost");
    assert_eq!(
        facts::number(pool, "select count(*) from timer_gap").await,
        0,
        "nothing is missed"
    );
    let ids = format!("array['{}']::uuid[]", promised.join("','"));
    let missing = format!(
        "select count(*) from unnest({ids}) as g (id) where not exists (select from event e where e.id = g.id)"
    );
    assert_eq!(facts::number(pool, &missing).await, 0, "every accepted event exists");
    // A timer may fire before its rule is committed. Those of the core pack have no rule.
    let without =
        "select count(*) from event e where e.received_at > (select max(created_at) + interval '1 second' from rule)
                     and e.trigger_ref like 'test.%'
                     and not exists (select from execution x where x.event_id = e.id)";
    assert_eq!(facts::number(pool, without).await, 0, "every event led to an execution");
    facts::assert_invariants(pool).await;
}
