//! Actions of a worker that runs as root. What Landlock does is seen by `isolation` of the `attune` tests.

use super::support::{Bench, eventually, exists, pids_in};
use attune_worker::runner::{
    Outcome, Settings,
    isolation::{Access, Isolation, Wanted, choose},
};
use nix::unistd::geteuid;
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

/// With users of their own; none where this test does not run as root.
async fn bench() -> Option<Bench> {
    if !geteuid().is_root() {
        return None;
    }
    Some(Bench::with(isolate).await)
}

fn isolate(settings: &mut Settings) {
    let directory = settings.scratch_directory.clone();
    // Everybody may write here, as in the system's temporary folder.
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o1777)).unwrap();
    let (isolation, reached) = chosen(&directory).unwrap();
    assert_eq!(reached.user, Some("per_slot"));
    settings.isolation = isolation;
}

fn chosen(directory: &Path) -> std::io::Result<(Isolation, attune_worker::runner::isolation::Reached)> {
    choose(Wanted::Isolated { uid_base: 70_000 }, Access::default(), directory)
}

#[tokio::test]
async fn an_action_is_a_user_without_groups_and_can_use_what_is_its_own() {
    let Some(bench) = bench().await else { return };
    let ended = bench
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
    bench.stop().await;
}

#[tokio::test]
async fn two_actions_at_once_are_two_users() {
    let Some(bench) = bench().await else { return };
    let line = "id -u >> $ATTUNE_TEST/$(id -u); sleep 0.5";
    let (one, other) = tokio::join!(bench.run_shell(line), bench.run_shell(line));
    assert_eq!((one.outcome, other.outcome), (Outcome::Succeeded, Outcome::Succeeded));
    let users = fs::read_dir(bench.directory.path()).unwrap().flatten();
    let users: Vec<_> = users
        .filter(|entry| entry.metadata().unwrap().uid() >= 70_000 && entry.path().is_file())
        .collect();
    assert_eq!(users.len(), 2, "{users:?}");
    bench.stop().await;
}

/// It left its group, its session and its environment behind. Its user gives it away.
#[tokio::test]
async fn what_hides_is_found_by_its_user() {
    let Some(bench) = bench().await else { return };
    // Another action runs all the time, so that nothing is killed for want of an owner.
    let long = bench.tracker.spawn({
        let (runner, invocation) = (bench.runner.clone(), bench.shell("sleep 600"));
        async move { runner.run(invocation, tokio_util::sync::CancellationToken::new()).await }
    });
    let file = bench.file("hidden");
    let ended = bench
        .run_shell("setsid env -i /bin/sh -c 'echo $$ > '$ATTUNE_TEST'/hidden; exec setsid sleep 600' & while [ ! -s $ATTUNE_TEST/hidden ]; do sleep 0.01; done")
        .await;
    assert_eq!(ended.outcome, Outcome::Succeeded, "{ended:?}");
    let pids = pids_in(&file, 1).await;
    eventually("the hidden process to be killed", || !exists(pids[0])).await;
    assert!(!long.is_finished());
    long.abort();
    let _ = long.await;
    let attendant = bench.attendant();
    eventually("all to be gone", || super::support::children(attendant).is_empty()).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_folder_that_users_cannot_enter_is_an_error_at_the_start() {
    if !geteuid().is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let error = chosen(directory.path()).unwrap_err().to_string();
    assert!(error.contains("worker.work_dir"), "{error}");
}
