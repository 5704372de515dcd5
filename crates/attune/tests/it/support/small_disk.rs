//! A disk of a few hundred megabytes that a test may fill: a file system in memory, in a separate mount namespace. An
//! ordinary user also needs a user namespace, in which the test keeps its user id, because PostgreSQL refuses root.

use super::{Process, surroundings::environment};
use attune_common::config::variable;
use nix::unistd::{getegid, geteuid};
use std::{
    fs::File,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

const SMALL_DISK: &str = "ATTUNE_TEST_SMALL_DISK";
const MIB: u32 = 300;
/// The number of inodes: far more than PostgreSQL needs, and few enough to be used up.
const FILES: u32 = 20_000;
const WITHIN: Duration = Duration::from_secs(150);

/// Occupies all free space of the disk until it is dropped.
#[derive(Debug)]
pub struct Ballast {
    folder: TempDir,
}

impl Ballast {
    /// Occupies all free bytes.
    pub fn bytes(disk: &Path) -> Self {
        let ballast = Self::new(disk);
        let mut written = File::create(ballast.folder.path().join("ballast")).expect("a file");
        let megabyte = vec![1; 1024 * 1024];
        let full = loop {
            if let Err(error) = written.write_all(&megabyte) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull, "{full}");
        ballast
    }

    /// Occupies all free inodes.
    pub fn files(disk: &Path) -> Self {
        let ballast = Self::new(disk);
        let made = |number| File::create(ballast.folder.path().join(format!("{number}")));
        let full = (0..=FILES).find_map(|number| made(number).err()).expect("it ends");
        assert_eq!(full.kind(), ErrorKind::StorageFull, "{full}");
        ballast
    }

    fn new(disk: &Path) -> Self {
        let folder = tempfile::tempdir_in(disk).expect("a folder");
        Self { folder }
    }
}

/// Inside the namespace, returns the folder. Outside, runs the test of this name again inside, and returns `None`.
pub async fn or_run_again(test: &str) -> Option<PathBuf> {
    if let Some(folder) = variable(SMALL_DISK) {
        return Some(folder.into());
    }
    let folder = tempfile::Builder::new()
        .prefix("attune-disk-")
        .tempdir_in("/tmp")
        .expect("a folder");
    let folder_name = folder.path().to_str().expect("the path is text").to_owned();
    let log_folder = tempfile::tempdir().expect("a folder");
    let this = std::env::current_exe().expect("this program is a file");
    let mount = format!("mount -t tmpfs -o size={MIB}m,nr_inodes={FILES},mode=755 attune-test '{folder_name}'");
    let (namespaces, then) = if geteuid().is_root() {
        ("-m", format!("{mount} && exec \"$@\""))
    } else {
        let (user, group) = (geteuid(), getegid());
        let own = format!("exec unshare -U --map-user={user} --map-group={group} \"$@\"");
        ("-Urm", format!("{mount} && {own}"))
    };
    let this = this.to_str().expect("the path is text");
    let command = [
        "unshare",
        namespaces,
        "sh",
        "-c",
        &then,
        "sh",
        this,
        "--exact",
        test,
        "--nocapture",
    ];
    let mut environment = environment();
    environment.push((SMALL_DISK, folder_name));
    for name in ["ATTUNE_TEST_DATABASE_URL", "ATTUNE_TEST_AMQP_URL"] {
        environment.extend(variable(name).map(|value| (name, value)));
    }
    let mut inside = Process::start(test, &command, &environment, &log_folder.path().join("log"));
    let code = inside.ended(WITHIN).await;
    let printed = inside.printed();
    assert!(
        code == 0 && printed.contains("1 passed"),
        "{test} on a small disk ended with {code} (it needs `unshare` and the right to mount in a namespace): {printed}"
    );
    None
}
