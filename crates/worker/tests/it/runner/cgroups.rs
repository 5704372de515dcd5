//! A control group is ended at once, where this machine lets a test make one.

use super::support::{any_exists, pids_in};
use attune_worker::runner::cgroup;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A new group, or none where control groups (v2) are not there or not ours.
fn group() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?;
    let group = Path::new(mount.split(' ').nth(1)?).join(format!("attune-test-{}", std::process::id()));
    fs::create_dir(&group).ok()?;
    Some(group)
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "processes for a control group")]
async fn everything_in_a_group_is_killed_and_a_missing_group_is_empty() {
    cgroup::kill(Path::new("/no/such/group")).unwrap();
    let Some(group) = group() else {
        eprintln!("no control group can be made here");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = r#"echo $$ > "$GROUP/cgroup.procs"
        stay='trap "" TERM; echo $$ >> "$PIDS"; while :; do sleep 1; done'
        sh -c "$stay" & (setsid env -i PIDS="$PIDS" sh -c "$stay" &)
        echo $$ >> "$PIDS"; kill -STOP $$"#;
    let pids = folder.path().join("pids");
    let mut shell = Command::new("/bin/sh")
        .args(["-c", script])
        .env("GROUP", &group)
        .env("PIDS", &pids)
        .spawn()
        .unwrap();
    let pids = pids_in(&pids, 3).await;
    let killed = {
        let group = group.clone();
        tokio::task::spawn_blocking(move || cgroup::kill(&group)).await.unwrap()
    };
    shell.wait().unwrap();
    killed.unwrap();
    assert!(!any_exists(&pids));
    fs::remove_dir(group).unwrap();
}
