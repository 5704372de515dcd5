//! Services are stopped, killed and started while work goes on; the broker goes and comes back. Afterwards every invariant
//! holds, nothing was lost, nothing ran twice, and the planned amount of work was done.

use super::support::{
    load::Load,
    services::{STOP, Services},
    tree,
};
use attune_common::testing::{eventually, rabbitmq::RabbitNode};
use nix::sys::signal::Signal;
use serde_json::json;
use std::time::Duration;

/// What an execution needs to go on after a service came back.
const SOME: i64 = 20;
/// What a machine that is busy with tests may add to a promised time.
const ALLOWANCE_MS: i64 = 1_000;

#[tokio::test]
async fn each_service_is_stopped_and_started_under_load() {
    let mut services = Services::start().await;
    let load = Load::start(&services).await;
    load.goes_on(SOME).await;
    let [short, long] = [2.5, 3000.5].map(|seconds| services.api.run("core.sleep", json!({"seconds": seconds})));
    let (short, long) = tokio::join!(short, long);
    for id in [&short, &long] {
        services.api.execution_is(id, "running", Duration::from_secs(10)).await;
    }
    for name in ["sensor-1", "executor-1", "worker-1", "api-1"] {
        services.take(name).terminate(STOP).await;
        services.launch(name).await;
        load.goes_on(SOME).await;
    }
    // A worker that stops lets its actions end for a while, and then says what became of the others.
    assert_eq!(services.api.execution(&short).await["status"], "succeeded");
    let stopped = services.api.execution(&long).await;
    assert_eq!(
        (&stopped["status"], &stopped["error"]),
        (&json!("lost"), &json!("worker_stopped"))
    );
    load.check(0).await;
    services.stop().await;
}

#[tokio::test]
async fn two_of_each_do_nothing_twice_and_survive_kills() {
    let mut services = Services::start().await;
    for name in ["sensor-2", "executor-2", "worker-2"] {
        services.launch(name).await;
    }
    let load = Load::start(&services).await;
    load.goes_on(SOME).await;
    let lost = kill_a_worker(&mut services).await;
    load.goes_on(SOME).await;
    for name in ["sensor-1", "executor-1", "api-1"] {
        services.take(name).kill().await;
        if name == "api-1" {
            services.launch(name).await;
        }
        load.goes_on(SOME).await;
        if name != "api-1" {
            services.launch(name).await;
        }
    }
    let running = services.api.get(&format!("/api/v1/executions/{lost}")).await;
    assert_eq!(running["status"], "lost", "{running}");
    let late = load.latest_tick_ms().await;
    assert!(late < 2_000 + ALLOWANCE_MS, "another sensor took over, {late} ms late");
    // What one worker runs at once, at the most.
    load.check(16).await;
    services.stop().await;
}

/// The worker that runs a long action is killed: the action is gone within 2 s, and its execution is resolved.
async fn kill_a_worker(services: &mut Services) -> String {
    let id = services.api.run("core.sleep", json!({"seconds": 3000.25})).await;
    let running = services.api.execution_is(&id, "running", Duration::from_secs(10)).await;
    let name = runs(services, "sleep 3000.25").await;
    let children = tree::descendants(services.process(name).pid());
    assert!(running["worker"].is_string(), "it says where it runs: {running}");
    services.take(name).kill().await;
    let gone = async || children.iter().all(|pid| !tree::exists(*pid)).then_some(());
    eventually("its actions are gone", Duration::from_secs(2), gone).await;
    services.api.execution_is(&id, "lost", Duration::from_secs(15)).await;
    services.launch(name).await;
    id
}

#[tokio::test]
async fn rabbitmq_goes_and_comes_back_under_load() {
    let mut broker = RabbitNode::started().await.expect("RabbitMQ starts");
    let services = Services::on(&broker.url()).await;
    let load = Load::start(&services).await;
    load.goes_on(SOME).await;
    broker.kill().expect("the broker can be killed");
    let degraded = async || (services.api.get("/health").await["bus"]["up"] == false).then_some(());
    eventually("health says that the bus is down", Duration::from_secs(15), degraded).await;
    // By polling alone.
    load.goes_on(3 * SOME).await;
    let dispatch = load.dispatch_ms().await;
    assert!(dispatch < 1_500 + ALLOWANCE_MS, "p99 of dispatch: {dispatch} ms");
    broker.start().await.expect("RabbitMQ starts again");
    let up = async || (services.api.get("/health").await["bus"]["up"] == true).then_some(());
    eventually("the bus is back", Duration::from_secs(30), up).await;
    load.goes_on(SOME).await;
    load.check(0).await;
    services.stop().await;
}

#[tokio::test]
async fn frozen_services_do_no_harm_when_they_wake() {
    let mut services = Services::start().await;
    for name in ["sensor-2", "executor-2", "worker-2"] {
        services.launch(name).await;
    }
    let load = Load::start(&services).await;
    load.goes_on(SOME).await;
    let id = services.api.run("core.sleep", json!({"seconds": 3000.75})).await;
    services.api.execution_is(&id, "running", Duration::from_secs(10)).await;
    let worker = runs(&services, "sleep 3000.75").await;
    let frozen = ["sensor-1", "executor-1", worker];
    for name in frozen {
        services.process(name).signal(Signal::SIGSTOP);
    }
    // Longer than a lease: what the frozen worker held is given up, the others go on.
    services.api.execution_is(&id, "lost", Duration::from_secs(20)).await;
    load.goes_on(SOME).await;
    for name in frozen {
        services.process(name).signal(Signal::SIGCONT);
    }
    let gone = async || tree::with_command("sleep 3000.75").is_empty().then_some(());
    eventually(
        "the action that is no longer the worker's is killed",
        Duration::from_secs(10),
        gone,
    )
    .await;
    load.goes_on(2 * SOME).await;
    assert_eq!(
        services.api.execution(&id).await["status"],
        "lost",
        "its late end changes nothing"
    );
    load.check(32).await;
    services.stop().await;
}

/// The worker whose action this is.
async fn runs(services: &Services, command: &str) -> &'static str {
    let look = async || {
        let of_action = tree::with_command(command);
        let mine = |name: &&str| {
            tree::descendants(services.process(name).pid())
                .iter()
                .any(|pid| of_action.contains(pid))
        };
        ["worker-1", "worker-2"].into_iter().find(mine)
    };
    eventually("a worker runs the action", Duration::from_secs(5), look).await
}
