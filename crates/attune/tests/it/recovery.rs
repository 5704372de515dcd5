//! A backup, made and restored as in docs/operations/retention-backup.md: everything continues, nothing fires twice, and
//! pending work is resolved.

use super::support::{
    Process, definitions,
    embedded::Embedded,
    facts,
    surroundings::{environment, program},
};
use serde_json::json;
use std::{fs, path::Path, time::Duration};

const STOP: Duration = Duration::from_secs(40);
const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_restored_backup_continues() {
    let first = tempfile::tempdir().expect("a folder can be made");
    let attune = Embedded::up(first.path(), "1.log").await;
    definitions::pack(&attune.api).await;
    // Its address is encrypted, so the keys are needed.
    let hook = json!({"ref": "test.hook", "label": "Hook", "kind": "webhook", "config": {"verify": "none"}});
    attune.api.post("/api/v1/triggers", hook).await;
    let fire_at = facts::value(&attune.pool, "date_trunc('second', db_now()) + interval '2 seconds'").await;
    definitions::three_forms(&attune.api, fire_at.as_str().expect("a time")).await;
    facts::hello(&attune.pool, "test.interval", 2).await;
    facts::hello(&attune.pool, "test.one_shot", 1).await;
    definitions::action(
        &attune.api,
        "again",
        "sleep 600",
        json!({"on_lost": "requeue", "retry": {"max_attempts": 3}}),
    )
    .await;
    let running = attune.api.run("core.sleep", json!({"seconds": 600})).await;
    let requeued = attune.api.run("test.again", json!({})).await;
    for id in [&running, &requeued] {
        attune.api.execution_is(id, "running", Duration::from_secs(20)).await;
    }
    dump(&attune.process, first.path()).await;
    attune.interrupt(STOP).await;

    let second = tempfile::tempdir().expect("a folder can be made");
    restore(first.path(), second.path()).await;
    let attune = Embedded::up(second.path(), "2.log").await;
    assert!(
        attune
            .process
            .printed()
            .contains(second.path().join("data/admin-password").to_str().expect("text"))
    );
    attune.api.execution_is(&running, "lost", SOON).await;
    facts::holds(
        &attune.pool,
        "the action that may start again is restarted",
        SOON,
        &format!("(select attempt from execution where id = '{requeued}') = 2"),
    )
    .await;
    attune
        .api
        .post(&format!("/api/v1/executions/{requeued}/cancel"), json!({}))
        .await;
    attune.api.execution_is(&requeued, "canceled", SOON).await;
    timers_continue(&attune).await;
    attune.interrupt(STOP).await;

    // The other backup of the document: a copy of the data directory of a stopped Attune.
    let third = tempfile::tempdir().expect("a folder can be made");
    let (from, to) = (second.path().join("data"), third.path().join("data"));
    run("cp -a \"$0\" \"$1\"", &[&from, &to], third.path()).await;
    let attune = Embedded::up(third.path(), "3.log").await;
    timers_continue(&attune).await;
    attune.interrupt(STOP).await;
}

/// Timers fire again; each occurrence is one event, each event one execution of its rule, and all invariants hold.
async fn timers_continue(attune: &Embedded) {
    let pool = &attune.pool;
    let fired = "select count(*) from event where trigger_ref = 'test.interval'";
    let before = facts::number(pool, fired).await;
    facts::holds(
        pool,
        "the interval timer continues",
        SOON,
        &format!("({fired}) > {before} + 2"),
    )
    .await;
    facts::holds(
        pool,
        "its rule continues",
        SOON,
        "not exists (select from event_queue where run_at < db_now() - interval '5 s')",
    )
    .await;
    assert_eq!(
        facts::number(pool, "select count(*) from event where trigger_ref = 'test.one_shot'").await,
        1
    );
    let twice = "select count(*) from (select from event where source = 'timer' group by trigger_id, scheduled_at having count(*) > 1) t";
    assert_eq!(facts::number(pool, twice).await, 0, "an occurrence is one event");
    let twice = "select count(*) from (select from execution where event_id is not null group by event_id, rule_ref having count(*) > 1) t";
    assert_eq!(
        facts::number(pool, twice).await,
        0,
        "an event starts a rule's action once"
    );
    // Work in progress is not a violation, so the timers pause during the check of all rows.
    facts::drain(pool, SOON).await;
    facts::assert_invariants(pool).await;
    for timer in ["interval", "cron"] {
        let path = format!("/api/v1/triggers/test.{timer}/enable");
        attune.api.post(&path, json!({})).await;
    }
}

async fn dump(attune: &Process, folder: &Path) {
    let printed = attune.printed();
    let line = printed
        .lines()
        .find(|line| line.contains("psql '"))
        .expect("it prints the address")
        .to_owned();
    let url = line.split('\'').nth(1).expect("an address").to_owned();
    run(
        "pg_dump \"$0\" > \"$1\"",
        &[Path::new(&url), &folder.join("backup.sql")],
        folder,
    )
    .await;
    fs::copy(folder.join("data/secrets.json"), folder.join("secrets.json")).expect("the keys can be copied");
}

async fn restore(from: &Path, to: &Path) {
    let data = to.join("data");
    let attune = program("attune");
    let dump = from.join("backup.sql");
    let secrets = from.join("secrets.json");
    let script = "\"$0\" restore \"$1\" --secrets \"$2\" --data-dir \"$3\"";
    let whole = fs::read_to_string(&dump).expect("the dump can be read");
    let until = |end: &str| whole[..whole.find(end).expect(end)].to_owned();
    // A failed restore leaves nothing that could be taken for a database.
    let broken = to.join("broken.sql");
    for (content, reason) in [
        ("select nothing from nowhere;".to_owned(), "it is incomplete"),
        (String::new(), "it is incomplete"),
        (until("Type: INDEX"), "it is incomplete"),
        (until("Type: FK CONSTRAINT"), "it is incomplete"),
        (whole[..whole.len() / 2].to_owned(), "it is incomplete"),
        ("PGDMP\u{1}".to_owned(), "custom format"),
        (
            "-- PostgreSQL database dump complete\n".to_owned(),
            "does not hold a database of Attune",
        ),
    ] {
        fs::write(&broken, &content).expect("a file can be written");
        refused(script, &[Path::new(&attune), &broken, &secrets, &data], to, reason).await;
    }
    fs::write(&broken, [0x1f, 0x8b, 8, 0]).expect("a file can be written");
    refused(
        script,
        &[Path::new(&attune), &broken, &secrets, &data],
        to,
        "it is compressed",
    )
    .await;
    let foreign = to.join("foreign.json");
    let keys = format!(r#"{{"jwt_secret": "{0}", "encryption_key": "{0}"}}"#, "0".repeat(64));
    fs::write(&foreign, keys).expect("a file can be written");
    refused(
        script,
        &[Path::new(&attune), &dump, &foreign, &data],
        to,
        "does not belong to this dump",
    )
    .await;
    run(script, &[Path::new(&attune), &dump, &secrets, &data], to).await;
    // A second one would overwrite it.
    assert_ne!(code(script, &[Path::new(&attune), &dump, &secrets, &data], to).await, 0);
    fs::copy(from.join("data/admin-password"), data.join("admin-password")).expect("the password can be copied");
}

/// The command fails with this reason, and there is no database afterwards.
async fn refused(script: &str, arguments: &[&Path], folder: &Path, reason: &str) {
    assert_ne!(code(script, arguments, folder).await, 0, "{reason}");
    let log = fs::read_to_string(folder.join("shell.log")).expect("the command has written");
    assert!(log.contains(reason), "{reason}: {log}");
    assert!(!folder.join("data/postgres").exists(), "{reason}");
}

async fn run(script: &str, arguments: &[&Path], folder: &Path) {
    let code = code(script, arguments, folder).await;
    let log = fs::read_to_string(folder.join("shell.log")).unwrap_or_default();
    assert_eq!(code, 0, "{script}: {log}");
}

async fn code(script: &str, arguments: &[&Path], folder: &Path) -> i32 {
    let mut command = vec!["/bin/sh", "-c", script];
    command.extend(arguments.iter().map(|path| path.to_str().expect("the path is text")));
    let mut shell = Process::start(script, &command, &environment(), &folder.join("shell.log"));
    shell.ended(Duration::from_secs(120)).await
}
