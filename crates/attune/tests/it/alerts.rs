//! "Notify me when it fails" is an ordinary rule: every way in which an execution can end badly raises one alert, also when
//! processes are killed at the worst moment.

#[cfg(feature = "failpoints")]
use super::support::Process;
use super::support::{definitions, facts, services::Services};
use serde_json::json;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// A rule `test.<name>` that prints a line for each matching event of a trigger of the core pack.
async fn alert(services: &Services, name: &str, trigger: &str, condition: &str, message: &str) {
    let rule = json!({
        "ref": format!("test.{name}"), "trigger_ref": trigger, "condition": condition,
        "action_ref": "core.echo", "action_params": {"message": message},
    });
    services.api.post("/api/v1/rules", rule).await;
}

async fn alert_of_failures(services: &Services) {
    let condition =
        "event.payload.status in ['failed', 'timed_out', 'lost'] and event.payload.rule_ref != 'test.alert'";
    let message =
        "{{ event.payload.execution_id }} {{ event.payload.status }} {{ event.payload.consecutive_failures }}";
    alert(services, "alert", "core.execution_finished", condition, message).await;
}

/// Waits for the alert of an execution, and checks that there is only one.
async fn alerted(services: &Services, id: &str, status: &str) {
    let printed = format!(
        "select count(*) from execution where rule_ref = 'test.alert' and status = 'succeeded'
         and result ->> 'stdout' like '{id} {status} %'"
    );
    let pool = &services.database.pool;
    facts::holds(
        pool,
        &format!("an alert that {id} {status}"),
        SOON,
        &format!("({printed}) = 1"),
    )
    .await;
    let events = format!("select count(*) from event where payload ->> 'execution_id' = '{id}'");
    assert_eq!(facts::number(pool, &events).await, 1, "{id} has one event");
}

/// Replaces the worker by one that stops at a point.
#[cfg(feature = "failpoints")]
async fn armed(services: &mut Services, point: &str) -> Process {
    services.take("worker-1").terminate(SOON).await;
    services.launch_armed("worker-1", &format!("{point}=pause:600000"))
}

#[tokio::test]
async fn exit_codes_timeouts_and_killed_workers_raise_alerts() {
    let mut services = Services::start().await;
    definitions::pack(&services.api).await;
    alert_of_failures(&services).await;
    alert(
        &services,
        "gone",
        "core.worker_lost",
        "true",
        "{{ event.payload.worker_id }} {{ event.payload.pool }}",
    )
    .await;
    definitions::action(&services.api, "fails", "echo broken >&2; exit 3", json!({})).await;
    definitions::action(&services.api, "hangs", "sleep 600", json!({"timeout_seconds": 1})).await;
    let fails = services.api.run("test.fails", json!({})).await;
    let hangs = services.api.run("test.hangs", json!({})).await;
    let good = services.api.run("core.echo", json!({})).await;
    alerted(&services, &fails, "failed").await;
    alerted(&services, &hangs, "timed_out").await;
    let lost = services.api.run("core.sleep", json!({"seconds": 600})).await;
    let running = services.api.execution_is(&lost, "running", SOON).await;
    services.take("worker-1").kill().await;
    services.api.execution_is(&lost, "lost", SOON).await;
    services.launch("worker-1").await;
    alerted(&services, &lost, "lost").await;
    let pool = &services.database.pool;
    let worker = running["worker"].as_str().expect("its worker");
    let gone = format!(
        "(select count(*) from execution where rule_ref = 'test.gone' and result ->> 'stdout' like '{worker} default%') = 1"
    );
    facts::holds(pool, "an alert that the worker is lost", SOON, &gone).await;
    let of_success = format!("select count(*) from enforcement where parameters ->> 'message' like '{good}%'");
    assert_eq!(facts::number(pool, &of_success).await, 0, "a success raises none");
    facts::drain(pool, SOON).await;
    facts::assert_invariants(pool).await;
    services.stop().await;
}

/// The worker is killed after its claim, and none follows that could find out from its journal that nothing started.
#[cfg(feature = "failpoints")]
#[tokio::test]
async fn an_action_that_never_started_raises_an_alert() {
    let mut services = Services::start().await;
    definitions::pack(&services.api).await;
    alert_of_failures(&services).await;
    let mut worker = armed(&mut services, "t3.after_commit").await;
    let id = services.api.run("core.echo", json!({})).await;
    services.api.execution_is(&id, "running", SOON).await;
    worker.kill().await;
    services.api.execution_is(&id, "lost", SOON).await;
    services.launch("worker-1").await;
    alerted(&services, &id, "lost").await;
    facts::drain(&services.database.pool, SOON).await;
    facts::assert_invariants(&services.database.pool).await;
    services.stop().await;
}

/// A worker killed before the commit of a failure, and one killed after it: the next worker writes the result of the journal,
/// and in both cases there is one event.
#[cfg(feature = "failpoints")]
#[tokio::test]
async fn a_kill_around_the_commit_of_a_failure_raises_one_alert() {
    let mut services = Services::with(&[("ATTUNE__WORKER__LEASE_SECONDS", "300")]).await;
    definitions::pack(&services.api).await;
    alert_of_failures(&services).await;
    definitions::action(&services.api, "fails", "exit 3", json!({})).await;
    for (point, committed) in [("t4.before_commit", 0), ("t4.after_commit", 1)] {
        let mut worker = armed(&mut services, point).await;
        let id = services.api.run("test.fails", json!({})).await;
        let pool = services.database.pool.clone();
        let ended = format!("(select count(*) from execution where id = '{id}' and status <> 'scheduled') = 1");
        facts::holds(&pool, "it is claimed", SOON, &ended).await;
        if committed == 1 {
            services.api.execution_is(&id, "failed", SOON).await;
        } else {
            has_ended(&services).await;
        }
        let events = format!("select count(*) from event where payload ->> 'execution_id' = '{id}'");
        assert_eq!(facts::number(&pool, &events).await, committed, "{point}");
        worker.kill().await;
        services.launch("worker-1").await;
        alerted(&services, &id, "failed").await;
    }
    facts::drain(&services.database.pool, SOON).await;
    facts::assert_invariants(&services.database.pool).await;
    services.stop().await;
}

/// Waits until a journal of a worker contains a result.
#[cfg(feature = "failpoints")]
async fn has_ended(services: &Services) {
    let folder = services.folder.path().to_owned();
    attune_common::testing::eventually("the action has ended", SOON, async || {
        (super::predecessor::ended(&folder) > 0).then_some(())
    })
    .await;
}
