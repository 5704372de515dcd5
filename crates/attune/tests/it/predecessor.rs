//! A worker is killed, and the next one with the same folder resolves its work at once: what had ended is neither lost nor
//! repeated, what never started starts, and what ran is lost long before its lease ends.

use super::support::{Process, definitions, effects::Effects, facts, services::Services};
use attune_common::testing::eventually;
use serde_json::json;
use std::{fs, path::Path, time::Duration};

const JOBS: usize = 16;
const SOON: Duration = Duration::from_secs(25);
/// Much longer than `SOON`: nothing here is resolved because a lease ended.
const LEASE: &str = "300";

async fn services() -> (Services, Effects) {
    let slots = JOBS.to_string();
    let settings = [
        ("ATTUNE__WORKER__LEASE_SECONDS", LEASE),
        ("ATTUNE__WORKER__SLOTS", slots.as_str()),
    ];
    let services = Services::with(&settings).await;
    definitions::pack(&services.api).await;
    let effects = Effects::new(services.folder.path());
    (services, effects)
}

/// Replaces the worker by one that stops at a point.
async fn armed(services: &mut Services, point: &str) -> Process {
    services.take("worker-1").terminate(SOON).await;
    services.launch_armed("worker-1", &format!("{point}=pause:600000"))
}

/// The results in all journals below a folder.
pub fn ended(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let count = |path: &Path| {
        if path.is_dir() {
            return ended(path);
        }
        let is_journal = path.extension().is_some_and(|extension| extension == "journal");
        let text = if is_journal {
            fs::read(path).unwrap_or_default()
        } else {
            Vec::new()
        };
        text.split(|byte| *byte == b'\n')
            .filter(|line| line.starts_with(b"ended "))
            .count()
    };
    entries.flatten().map(|entry| count(&entry.path())).sum()
}

#[tokio::test]
async fn what_had_ended_is_neither_lost_nor_repeated() {
    let (mut services, effects) = services().await;
    let script = format!("echo \"$ATTUNE_EXECUTION_ID $ATTUNE_ATTEMPT\" >> {}", effects.file());
    definitions::action(&services.api, "mark", &script, json!({})).await;
    let mut worker = armed(&mut services, "t4.before_commit").await;
    let mut ids = Vec::new();
    for _ in 0..JOBS {
        ids.push(services.api.run("test.mark", json!({})).await);
    }
    let folder = services.folder.path().to_owned();
    eventually("every job has ended", SOON, async || {
        (ended(&folder) == JOBS).then_some(())
    })
    .await;
    worker.kill().await;
    let finished = "select count(*) from execution where finished_at is not null";
    assert_eq!(
        facts::number(&services.database.pool, finished).await,
        0,
        "no result was committed"
    );
    services.launch("worker-1").await;
    for id in &ids {
        services.api.execution_is(id, "succeeded", SOON).await;
    }
    effects.check(&services.database.pool, "test.mark").await;
    assert_eq!(effects.lines().len(), JOBS, "each job ran once");
    assert_eq!(ended(&folder), 0, "the journal is resolved");
    services.stop().await;
}

#[tokio::test]
async fn what_never_started_starts() {
    let (mut services, effects) = services().await;
    let script = format!("echo \"$ATTUNE_EXECUTION_ID $ATTUNE_ATTEMPT\" >> {}", effects.file());
    definitions::action(&services.api, "mark", &script, json!({"on_lost": "fail"})).await;
    let mut worker = armed(&mut services, "t3.after_commit").await;
    let id = services.api.run("test.mark", json!({})).await;
    services.api.execution_is(&id, "running", SOON).await;
    worker.kill().await;
    services.launch("worker-1").await;
    let execution = services.api.execution_is(&id, "succeeded", SOON).await;
    assert_eq!(execution["attempt"], 2);
    assert_eq!(effects.lines(), [format!("{id} 2")]);
    services.stop().await;
}

#[tokio::test]
async fn what_ran_is_resolved_before_its_lease_ends() {
    let (mut services, effects) = services().await;
    let script = format!(
        "echo \"$ATTUNE_EXECUTION_ID $ATTUNE_ATTEMPT\" >> {}; test \"$ATTUNE_ATTEMPT\" = 2 || sleep 600",
        effects.file()
    );
    definitions::action(&services.api, "once", &script, json!({"on_lost": "fail"})).await;
    let again = json!({"on_lost": "requeue", "retry": {"max_attempts": 2}});
    definitions::action(&services.api, "again", &script, again).await;
    let once = services.api.run("test.once", json!({})).await;
    let again = services.api.run("test.again", json!({})).await;
    eventually("both run", SOON, async || (effects.lines().len() == 2).then_some(())).await;
    services.take("worker-1").kill().await;
    services.launch("worker-1").await;
    services.api.execution_is(&once, "lost", SOON).await;
    services.api.execution_is(&again, "succeeded", SOON).await;
    effects.check(&services.database.pool, "test.%").await;
    services.stop().await;
}
