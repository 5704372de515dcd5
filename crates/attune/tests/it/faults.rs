//! Services are stopped, killed and started while work goes on; the broker goes and comes back. Afterwards every invariant
//! holds, nothing was lost, nothing ran twice, and the planned amount of work was done.

use super::support::{
    load::Load,
    services::{STOP, Services},
    tree,
};
use attune_common::testing::{eventually, rabbitmq::RabbitNode};
use serde_json::json;
use std::time::Duration;

/// What an execution needs to go on after a service came back.
const SOME: i64 = 20;

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
    // What one worker runs at once, at the most.
    load.check(16).await;
    services.stop().await;
}

/// The worker that runs a long action is killed: the action is gone within 2 s, and its execution is resolved.
async fn kill_a_worker(services: &mut Services) -> String {
    let id = services.api.run("core.sleep", json!({"seconds": 3000.25})).await;
    let running = services.api.execution_is(&id, "running", Duration::from_secs(10)).await;
    let children = ["worker-1", "worker-2"].map(|name| (name, tree::descendants(services.process(name).pid())));
    let is_sleep = |pid: &nix::unistd::Pid| tree::with_command("sleep 3000.25").contains(pid);
    let found = async || {
        children
            .iter()
            .find(|(_, pids)| pids.iter().any(is_sleep))
            .map(|(name, _)| *name)
    };
    let name = eventually("a worker runs the action", Duration::from_secs(5), found).await;
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
    broker.start().await.expect("RabbitMQ starts again");
    let up = async || (services.api.get("/health").await["bus"]["up"] == true).then_some(());
    eventually("the bus is back", Duration::from_secs(30), up).await;
    load.goes_on(SOME).await;
    load.check(0).await;
    services.stop().await;
}
