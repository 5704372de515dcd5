//! The disk on which a worker's actions have their scratch directories is full: an action that needs it fails with the reason,
//! the worker survives, and everything else continues.

use super::support::{
    definitions,
    load::Load,
    services::{Own, Services},
    small_disk::{self, Ballast},
    tree,
};
use attune_common::testing::{Database, eventually, rabbitmq};
use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};
use std::time::Duration;

const SOME: i64 = 20;
const ENDED: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_full_disk_fails_the_action_but_not_its_worker() {
    let test = "scratch::a_full_disk_fails_the_action_but_not_its_worker";
    let Some(disk) = small_disk::or_run_again(test).await else {
        return;
    };
    let broker = rabbitmq::shared().await.expect("RabbitMQ is there");
    let own = Own::from([(
        "worker-2".to_owned(),
        vec![
            ("ATTUNE__WORKER__POOL", "small".to_owned()),
            ("ATTUNE__WORKER__WORK_DIR", disk.to_str().expect("text").to_owned()),
        ],
    )]);
    let mut services = Services::over(Database::empty().await, &broker.url, own).await;
    services.launch("worker-2").await;
    define(&services).await;
    let load = Load::start(&services).await;
    load.wait_for_progress(SOME).await;
    // It used its directory, so the next action needs another one.
    ends(&services, "writes", "succeeded").await;

    let (bytes, files) = (Ballast::bytes(&disk), Ballast::files(&disk));
    let refused = ends(&services, "hello", "failed").await;
    let error = refused["error"].as_str().unwrap_or_default();
    assert!(error.contains("No space left on device"), "{refused}");
    ends(&services, "nothing", "succeeded").await;
    let retried = services.api.run("test.again", json!({})).await;
    let tried = async || (services.api.execution(&retried).await["attempt"].as_i64()? > 1).then_some(());
    eventually("it is retried", ENDED, tried).await;
    load.wait_for_progress(SOME).await;

    // Directories can be created again, but nothing can be written into them.
    drop(files);
    let failed = ends(&services, "writes", "failed").await;
    assert!(
        failed["result"].to_string().contains("No space left on device"),
        "{failed}"
    );
    ends(&services, "hello", "succeeded").await;
    services.api.execution_is(&retried, "succeeded", ENDED).await;
    load.wait_for_progress(SOME).await;

    // Now not even the supervisor can be replaced.
    let files = Ballast::files(&disk);
    let worker = services.process("worker-2").pid();
    // Stopped, the worker cannot remove the directories of the dead supervisors, which would free space.
    services.process("worker-2").signal(Signal::SIGSTOP);
    for supervisor in tree::descendants(worker) {
        kill(supervisor, Signal::SIGKILL).expect("it runs");
    }
    services.process("worker-2").signal(Signal::SIGCONT);
    let waits = services.api.run("test.hello", json!({})).await;
    services.api.execution_is(&waits, "running", ENDED).await;
    drop((bytes, files));
    services.api.execution_is(&waits, "succeeded", ENDED).await;
    ends(&services, "writes", "succeeded").await;
    assert_eq!(services.process("worker-2").pid(), worker);
    assert!(services.process("worker-2").is_alive());
    load.check(0).await;
    services.stop().await;
}

/// Defines actions in a separate pool: one writes into its directory, one does not, one is retried, and one is not a process.
async fn define(services: &Services) {
    let api = &services.api;
    definitions::pack(api).await;
    let small = |more: Value| {
        let mut fields = json!({"pool": "small"});
        let all = fields.as_object_mut().expect("it is an object");
        all.extend(more.as_object().cloned().unwrap_or_default());
        fields
    };
    let again = json!({"retry": {"max_attempts": 100, "backoff_seconds": 1, "factor": 1}});
    definitions::action(api, "writes", "head -c 100000 /dev/zero > large", small(json!({}))).await;
    definitions::action(api, "hello", "echo hello", small(json!({}))).await;
    definitions::action(api, "again", "echo hello", small(again)).await;
    let native = json!({"runtime_ref": "core.native"});
    definitions::action(api, "nothing", "noop", small(native)).await;
}

async fn ends(services: &Services, action: &str, status: &str) -> Value {
    let id = services.api.run(&format!("test.{action}"), json!({})).await;
    services.api.execution_is(&id, status, ENDED).await
}
