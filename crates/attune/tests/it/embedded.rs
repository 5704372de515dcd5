//! `attune up`: the first start, the second, and every way to end it.

use super::{
    quickstart_demo::blocks,
    support::{
        Process, definitions,
        embedded::Embedded,
        facts,
        surroundings::{environment, repository},
        tree,
    },
};
use attune_common::testing::eventually;
use serde_json::json;
use std::{os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

/// Ctrl-C: running actions get 5 s to end, then 1 s (in tests) before they are killed.
const STOP: Duration = Duration::from_secs(12);

#[tokio::test]
async fn attune_up_survives_stops_and_crashes() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    first_start(folder.path()).await;
    second_start(folder.path()).await;
    after_a_crash(folder.path()).await;
}

/// All three forms of timers print hello; Ctrl-C ends everything, including a running action.
async fn first_start(folder: &Path) {
    let attune = Embedded::up(folder, "1.log").await;
    only_for_their_owner(&folder.join("data"));

    one_time_link(&attune).await;
    readme(&attune, folder).await;
    definitions::pack(&attune.api).await;
    let fire_at = facts::value(&attune.pool, "date_trunc('second', db_now()) + interval '2 seconds'").await;
    definitions::three_forms(&attune.api, fire_at.as_str().expect("a time")).await;
    for (rule, at_least) in [("test.interval", 3), ("test.cron", 3), ("test.one_shot", 1)] {
        facts::hello(&attune.pool, rule, at_least).await;
    }
    let sleeping = attune.api.run("core.sleep", json!({"seconds": 600})).await;
    attune
        .api
        .execution_is(&sleeping, "running", Duration::from_secs(10))
        .await;
    std::fs::write(folder.join("sleeping"), sleeping).expect("a note for the next start");
    let pid = attune.process.pid();
    let children = tree::descendants(pid);
    assert!(!children.is_empty(), "PostgreSQL, the supervisor and the action run");
    attune.interrupt(STOP).await;
    all_gone(&children).await;
}

/// The link in the banner signs in a browser once, and its key is nowhere else in what the program prints.
async fn one_time_link(attune: &Embedded) {
    let printed = attune.process.printed();
    let opened = printed.lines().find_map(|line| line.trim().strip_prefix("Open"));
    let link = opened
        .and_then(|line| line.split_whitespace().next())
        .expect("the banner has a link");
    let (page, key) = link.split_once("#k=").expect("the link has a key");
    assert_eq!(page, format!("{}/login", attune.api.url));
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client can be made");
    let sign_in = async || {
        let request = http
            .post(format!("{}/auth/web/link", attune.api.url))
            .header("x-attune", "1")
            .header("origin", &attune.api.url)
            .json(&json!({"k": key}));
        request.send().await.expect("the API answers")
    };
    let first = sign_in().await;
    assert_eq!(first.status(), 200);
    let cookies = first.headers().get_all("set-cookie").iter();
    let hidden = cookies.map(|cookie| cookie.to_str().expect("text").contains("HttpOnly"));
    assert_eq!(hidden.collect::<Vec<_>>(), [true, true]);
    assert_eq!(sign_in().await.status(), 401, "it works once");
    assert_eq!(
        attune.process.printed().matches(key).count(),
        1,
        "the key is in the banner only"
    );
}

fn only_for_their_owner(data: &Path) {
    let entries = std::fs::read_dir(data).expect("the data directory is there");
    let entries: Vec<_> = entries.map(|entry| entry.expect("it can be listed")).collect();
    assert!(entries.iter().any(|entry| entry.file_name() == "admin-password"));
    for entry in entries {
        let mode = entry.metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "others can use {}", entry.path().display());
    }
}

/// The curl commands of README.md work as written.
async fn readme(attune: &Embedded, folder: &Path) {
    let blocks = blocks(&repository().join("README.md"), "sh");
    let [(_, block)] = blocks.as_slice() else {
        panic!("README.md has one block of sh, not {}", blocks.len())
    };
    let mut environment = environment();
    let password = folder.join("data/admin-password");
    environment.extend([
        ("ATTUNE_API_URL", attune.api.url.clone()),
        (
            "ATTUNE_API_PASSWORD_FILE",
            password.to_str().expect("the path is text").to_owned(),
        ),
    ]);
    let script = format!("set -eu\n{block}");
    let mut shell = Process::start(
        "README.md",
        &["bash", "-o", "pipefail", "-c", &script],
        &environment,
        &folder.join("readme.log"),
    );
    assert_eq!(shell.ended(Duration::from_secs(60)).await, 0, "{}", shell.printed());
}

/// All data still exists; the timers keep their grid, and the one-shot stays spent.
async fn second_start(folder: &Path) {
    // An action that runs as the same user may have changed modes of files.
    for (name, mode) in [("", 0o777), ("secrets.json", 0o666), ("postgres", 0o777), ("spool", 0)] {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.join("data").join(name), permissions).expect(name);
    }
    let attune = Embedded::up(folder, "2.log").await;
    only_for_their_owner(&folder.join("data"));
    let sleeping = std::fs::read_to_string(folder.join("sleeping")).expect("the note of the first start");
    let ended = attune.api.execution(&sleeping).await;
    assert_eq!(ended["status"], "lost", "{ended}");
    assert!(
        ended["error"]
            .as_str()
            .is_some_and(|error| error.contains("worker_stopped")),
        "{ended}"
    );

    let fired = "select count(*) from event where trigger_ref = 'test.interval'";
    let before = facts::number(&attune.pool, fired).await;
    facts::holds(
        &attune.pool,
        "the interval timer continues",
        Duration::from_secs(10),
        &format!("({fired}) > {before} + 2"),
    )
    .await;
    let one_shots = facts::number(
        &attune.pool,
        "select count(*) from event where trigger_ref = 'test.one_shot'",
    )
    .await;
    assert_eq!(one_shots, 1, "a one-shot fires once");
    let off_grid = "select count(*) from event where trigger_ref = 'test.interval' and extract(microseconds from scheduled_at) % 1000000 <> 0";
    assert_eq!(facts::number(&attune.pool, off_grid).await, 0, "the grid has not moved");

    let work = json!({"file": folder.join("effects").to_str()});
    definitions::action(
        &attune.api,
        "again",
        r#"echo $$ >> "$file"; sleep 600"#,
        json!({"on_lost": "requeue"}),
    )
    .await;
    let again = attune.api.run("test.again", work).await;
    let sleeping = attune.api.run("core.sleep", json!({"seconds": 600})).await;
    for id in [&again, &sleeping] {
        attune.api.execution_is(id, "running", Duration::from_secs(10)).await;
    }
    std::fs::write(folder.join("crashed"), format!("{again}\n{sleeping}")).expect("a note for the next start");
    crash(attune).await;
}

/// Kills `attune up`; no process that it started survives for more than seconds.
async fn crash(mut attune: Embedded) {
    let children = tree::descendants(attune.process.pid());
    attune.pool.close().await;
    attune.process.kill().await;
    all_gone(&children).await;
}

/// Interrupted work is resolved at the next start: actions that may start twice are restarted, the rest is lost.
async fn after_a_crash(folder: &Path) {
    let attune = Embedded::up(folder, "3.log").await;
    let note = std::fs::read_to_string(folder.join("crashed")).expect("the note of the second start");
    let (again, sleeping) = note.split_once('\n').expect("two ids");
    let lost = attune.api.execution_is(sleeping, "lost", Duration::from_secs(15)).await;
    assert!(lost["error"].is_string(), "it has a reason: {lost}");
    let second = async || {
        let execution = attune.api.execution(again).await;
        (execution["status"] == "running" && execution["attempt"] == 2).then_some(())
    };
    eventually("the second attempt runs", Duration::from_secs(15), second).await;
    attune
        .api
        .post(&format!("/api/v1/executions/{again}/cancel"), json!({}))
        .await;
    attune.api.execution_is(again, "canceled", Duration::from_secs(5)).await;

    facts::drain(&attune.pool, Duration::from_secs(15)).await;
    facts::assert_invariants(&attune.pool).await;
    attune.interrupt(STOP).await;
}

async fn all_gone(pids: &[nix::unistd::Pid]) {
    let gone = async || pids.iter().all(|pid| !tree::exists(*pid)).then_some(());
    eventually("everything that it started is gone", Duration::from_secs(5), gone).await;
}
