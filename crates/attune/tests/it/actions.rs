//! The ends of actions: each attempt leaves one mark, a cancel or a timeout ends the action, and its policies decide about
//! retries.

use super::support::{
    definitions,
    effects::{Effects, MARK},
    facts,
    services::Services,
    tree,
};
use attune_common::testing::eventually;
use serde_json::{Value, json};
use std::{path::Path, time::Duration};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn actions_end_according_to_their_policies() {
    let mut services = Services::start().await;
    definitions::pack(&services.api).await;
    let effects = Effects::new(services.folder.path());
    define(&services).await;
    tokio::join!(
        cancel_reaches_the_tree(&services),
        a_time_out_ends_it(&services),
        a_failure_is_tried_again(&services, &effects),
    );
    lost_work_is_queued_again(&mut services, &effects).await;
    effects.check(&services.database.pool, "test.third_time_lucky").await;
    facts::drain(&services.database.pool, SOON).await;
    facts::assert_invariants(&services.database.pool).await;
    services.stop().await;
}

async fn define(services: &Services) {
    let tree = r#"sh -c 'echo $$ >> "$file"; sleep 600' & setsid sh -c 'trap "" TERM; echo $$ >> "$file"; while :; do sleep 1; done' & wait"#;
    definitions::action(&services.api, "tree", tree, json!({})).await;
    let slow = r#"echo $$ >> "$file"; echo so far; sleep 600"#;
    definitions::action(&services.api, "slow", slow, json!({"timeout_seconds": 1})).await;
    let lucky = format!(r#"{MARK}; [ "$(grep -c "^$ATTUNE_EXECUTION_ID " "$file")" -ge 3 ] && echo lucky"#);
    let retry = json!({"retry": {"max_attempts": 5, "backoff_seconds": 0.2, "factor": 1}});
    definitions::action(&services.api, "third_time_lucky", &lucky, retry).await;
    let again = r#"echo $$ >> "$file"; [ "$ATTUNE_ATTEMPT" -ge 2 ] || sleep 600"#;
    definitions::action(&services.api, "again", again, json!({"on_lost": "requeue"})).await;
}

fn file(services: &Services, name: &str) -> Value {
    json!({"file": services.folder.path().join(name).to_str()})
}

async fn pids(file: &Path, count: usize) -> Vec<nix::unistd::Pid> {
    let poll = async || {
        let pids = tree::pids_in(file);
        (pids.len() >= count).then_some(pids)
    };
    eventually("the action has written its pids", SOON, poll).await
}

async fn cancel_reaches_the_tree(services: &Services) {
    let id = services.api.run("test.tree", file(services, "tree")).await;
    let pids = pids(&services.folder.path().join("tree"), 2).await;
    assert!(pids.iter().all(|pid| tree::exists(*pid)), "both run");
    let canceled = services
        .api
        .post(&format!("/api/v1/executions/{id}/cancel"), json!({}))
        .await;
    assert!(
        ["canceling", "canceled"].contains(&canceled["status"].as_str().unwrap_or_default()),
        "{canceled}"
    );
    let gone = async || pids.iter().all(|pid| !tree::exists(*pid)).then_some(());
    eventually("the whole tree is gone", Duration::from_secs(5), gone).await;
    services.api.execution_is(&id, "canceled", Duration::from_secs(5)).await;

    let again = services
        .api
        .request(reqwest::Method::POST, &format!("/api/v1/executions/{id}/cancel"));
    let (status, _) = super::support::Api::send(again).await.expect("an answer");
    assert_eq!(status.as_u16(), 409, "what has ended cannot be canceled");
}

async fn a_time_out_ends_it(services: &Services) {
    let id = services.api.run("test.slow", file(services, "slow")).await;
    let ended = services.api.execution_is(&id, "timed_out", SOON).await;
    assert_eq!(
        ended["result"]["stdout"], "so far\n",
        "what it printed is kept: {ended}"
    );
    let pids = pids(&services.folder.path().join("slow"), 1).await;
    assert!(pids.iter().all(|pid| !tree::exists(*pid)), "it is gone");
}

async fn a_failure_is_tried_again(services: &Services, effects: &Effects) {
    let id = services
        .api
        .run("test.third_time_lucky", json!({"file": effects.file()}))
        .await;
    let ended = services.api.execution_is(&id, "succeeded", SOON).await;
    assert_eq!(
        (&ended["attempt"], &ended["result"]["stdout"]),
        (&json!(3), &json!("lucky\n")),
        "{ended}"
    );
    assert_eq!(
        effects.lines(),
        [1, 2, 3].map(|attempt| format!("{id} {attempt}")),
        "one mark each"
    );
}

async fn lost_work_is_queued_again(services: &mut Services, effects: &Effects) {
    assert!(!effects.lines().is_empty(), "the retries came before");
    let id = services.api.run("test.again", file(services, "again")).await;
    pids(&services.folder.path().join("again"), 1).await;
    services.take("worker-1").kill().await;
    let never = canceled_before_it_starts(services).await;
    services.launch("worker-1").await;
    let ended = services.api.execution_is(&id, "succeeded", SOON).await;
    assert_eq!(ended["attempt"], 2, "{ended}");
    let first = "select outcome from execution_attempt where attempt = 1 and execution_id = ";
    assert_eq!(
        facts::value(&services.database.pool, &format!("{first} '{id}'")).await,
        "lost"
    );
    let never = services.api.execution(&never).await;
    assert_eq!(
        (&never["status"], &never["attempt"], &never["started_at"]),
        (&json!("canceled"), &json!(0), &Value::Null)
    );
}

/// Runs while there is no worker.
async fn canceled_before_it_starts(services: &Services) -> String {
    let id = services.api.run("core.echo", json!({})).await;
    let canceled = services
        .api
        .post(&format!("/api/v1/executions/{id}/cancel"), json!({}))
        .await;
    assert_eq!(canceled["status"], "canceled", "at once: {canceled}");
    id
}
