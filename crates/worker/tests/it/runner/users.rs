//! Actions of a worker that runs as root. The `isolation` tests of the `attune` crate cover Landlock.

use super::support::{TestRunner, eventually, exists, pids_in};
use attune_worker::runner::{
    Outcome, Settings,
    isolation::{Access, Isolation, IsolationMode, choose},
};
use nix::unistd::geteuid;
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

/// With users of their own. None if this test does not run as root.
async fn test() -> Option<TestRunner> {
    if !geteuid().is_root() {
        return None;
    }
    Some(TestRunner::with(isolate).await)
}

pub fn isolate(settings: &mut Settings) {
    let directory = settings.scratch_directory.clone();
    // All users may write here, as in the system's temporary folder.
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o1777)).unwrap();
    let (isolation, reached) = chosen(&directory).unwrap();
    assert_eq!(reached.user, Some("per_slot"));
    settings.isolation = isolation;
}

fn chosen(directory: &Path) -> std::io::Result<(Isolation, attune_worker::runner::isolation::InEffect)> {
    choose(
        IsolationMode::Isolated { uid_base: 70_000 },
        Access::default(),
        directory,
    )
}

#[tokio::test]
async fn an_action_with_its_own_user_can_open_the_result_again() {
    let Some(test) = test().await else { return };
    let ended = test.run_shell("echo '[1]' > /dev/fd/3").await;
    assert_eq!(ended.result, Some(Ok(serde_json::json!([1]))), "{ended:?}");
    test.stop().await;
}

#[tokio::test]
async fn an_action_runs_as_a_user_without_groups_and_can_use_its_own_files() {
    let Some(test) = test().await else { return };
    let ended = test
        .run_shell(
            r#"id -u; id -g; grep Groups: /proc/self/status | tr -d '[:space:]'; echo; stat -c '%u %a' .; echo "$HOME" "$PWD"
               cat /dev/stdin; echo; echo out > /dev/stdout; echo err > /dev/stderr; echo x > "$HOME/file"; mktemp > /dev/null && echo made"#,
        )
        .await;
    assert_eq!(ended.outcome, Outcome::Succeeded, "{ended:?}");
    let lines: Vec<_> = ended.stdout.lines().collect();
    let user: u32 = lines[0].parse().unwrap();
    assert!((70_000..86_384).contains(&user), "{user}");
    let scratch = lines[4].split(' ').next().unwrap();
    let expected = [
        &*user.to_string(),
        &user.to_string(),
        "Groups:",
        &format!("{user} 700"),
        &format!("{scratch} {scratch}"),
        "{}",
        "out",
        "made",
    ];
    assert_eq!(lines, expected);
    assert_eq!(ended.stderr, "err\n");
    assert!(!fs::exists(scratch).unwrap(), "it is wiped");
    test.stop().await;
}

#[tokio::test]
async fn concurrent_actions_run_as_different_users() {
    let Some(test) = test().await else { return };
    let line = "id -u >> $ATTUNE_TEST/$(id -u); sleep 0.5";
    let (one, other) = tokio::join!(test.run_shell(line), test.run_shell(line));
    assert_eq!((one.outcome, other.outcome), (Outcome::Succeeded, Outcome::Succeeded));
    let users = fs::read_dir(test.directory.path()).unwrap().flatten();
    let users: Vec<_> = users
        .filter(|entry| entry.metadata().unwrap().uid() >= 70_000 && entry.path().is_file())
        .collect();
    assert_eq!(users.len(), 2, "{users:?}");
    test.stop().await;
}

#[tokio::test]
async fn consecutive_actions_run_as_different_users() {
    let Some(test) = test().await else { return };
    let mut users = std::collections::BTreeSet::new();
    for _ in 0..10 {
        users.insert(test.run_shell("id -u").await.stdout);
    }
    assert_eq!(users.len(), 10, "{users:?}");
    test.stop().await;
}

#[tokio::test]
async fn shared_memory_is_removed_with_its_action() {
    let Some(test) = test().await else { return };
    let script = "echo secret > /dev/shm/attune-test-$(id -u); ipcmk -M 1000 > /dev/null && ipcmk -S 1 > /dev/null && ipcmk -Q > /dev/null && id -u";
    let ended = test.run_shell(script).await;
    assert_eq!(ended.outcome, Outcome::Succeeded, "{ended:?}");
    let user = ended.stdout.trim();
    assert!(!fs::exists(format!("/dev/shm/attune-test-{user}")).unwrap());
    for list in ["shm", "sem", "msg"] {
        let table = fs::read_to_string(format!("/proc/sysvipc/{list}")).unwrap();
        let is_left = table.split_whitespace().any(|field| field == user);
        assert!(!is_left, "{table}");
    }
    test.stop().await;
}

/// It has left its group, its session and its environment, but not its user.
#[tokio::test]
async fn a_hidden_process_is_found_by_its_user() {
    let Some(test) = test().await else { return };
    // Another action keeps running, so that no stray is killed for lack of an owner.
    let long = test.tracker.spawn({
        let (runner, invocation) = (test.runner.clone(), test.shell("sleep 600"));
        async move { runner.run(invocation, tokio_util::sync::CancellationToken::new()).await }
    });
    let file = test.file("hidden");
    let ended = test
        .run_shell("setsid env -i /bin/sh -c 'echo $$ > '$ATTUNE_TEST'/hidden; exec setsid sleep 600' & while [ ! -s $ATTUNE_TEST/hidden ]; do sleep 0.01; done")
        .await;
    assert_eq!(ended.outcome, Outcome::Succeeded, "{ended:?}");
    let pids = pids_in(&file, 1).await;
    eventually("the hidden process to be killed", || !exists(pids[0])).await;
    assert!(!long.is_finished());
    long.abort();
    let _ = long.await;
    let attendant = test.attendant();
    eventually("all to be gone", || super::support::children(attendant).is_empty()).await;
    test.stop().await;
}

#[tokio::test]
async fn an_inaccessible_folder_fails_the_start() {
    if !geteuid().is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let error = chosen(directory.path()).unwrap_err().to_string();
    assert!(error.contains("worker.work_dir"), "{error}");
}
