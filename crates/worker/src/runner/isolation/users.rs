//! User ids for actions: ids without an entry in `/etc/passwd`, one for each running action.
//!
//! Workers on the same machine must not use the same ids, so ids are allocated in blocks, each locked by its worker until it
//! exits. While a block is not locked, nobody may run as one of its users: a process that does was left by a dead worker. So
//! whoever locks a block kills the processes of its users first.

use super::shared::SharedObjects;
use attune_common::sync::lock;
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User},
};
use std::{
    collections::{BTreeSet, VecDeque},
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

/// The folders for lock files. The second is for systems whose `/run` is not writable.
const LOCKS: [&str; 2] = ["/run/attune-users", "/var/lib/attune-users"];
const BLOCK: u32 = 64;
const BLOCKS: u32 = 256;

/// How long killed processes are waited for. SIGKILL is final, but a process may hang in the kernel.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
const RECHECK_INTERVAL: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub struct Users {
    base: u32,
    locks: PathBuf,
    ids: Mutex<Ids>,
}

#[derive(Debug, Default)]
struct Ids {
    /// The first was not used for the longest time: a file that an action left elsewhere, for example in `/tmp`, belongs to its
    /// user, and should not be the next action's.
    free: VecDeque<u32>,
    /// Locked until this process exits.
    blocks: Vec<File>,
    next_block: u32,
}

impl Users {
    /// Takes the first block, and checks that a process can be started as one of its users.
    pub(super) fn open(base: u32) -> io::Result<Self> {
        let mut failure = io::Error::from(ErrorKind::NotFound);
        for locks in LOCKS {
            match DirBuilder::new().recursive(true).mode(0o700).create(locks) {
                Ok(()) => {
                    let users = Self {
                        base,
                        locks: locks.into(),
                        ids: Mutex::default(),
                    };
                    let id = users.take()?;
                    try_to_start(id)?;
                    users.lock().free.push_front(id);
                    return Ok(users);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// An id that no other running action has.
    pub(crate) fn take(&self) -> io::Result<u32> {
        let mut ids = self.lock();
        loop {
            if let Some(id) = ids.free.pop_front() {
                return Ok(id);
            }
            self.take_block(&mut ids)?;
        }
    }

    /// Frees an id. No process of the action and no file in its scratch directory may be left.
    pub(crate) fn release(&self, id: u32) {
        self.lock().free.push_back(id);
    }

    fn take_block(&self, ids: &mut Ids) -> io::Result<()> {
        while ids.next_block < BLOCKS {
            let first = self.base.saturating_add(ids.next_block * BLOCK);
            ids.next_block += 1;
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).mode(0o600);
            let file = options.open(self.locks.join(first.to_string()))?;
            if file.try_lock().is_err() {
                continue;
            }
            // Existing users are not used for actions, and their processes are left alone.
            let is_unknown = |id: &u32| !matches!(User::from_uid((*id).into()), Ok(Some(_)));
            let mut users: BTreeSet<u32> = (first..first.saturating_add(BLOCK)).filter(is_unknown).collect();
            for survivor in kill_processes_of(&users) {
                tracing::error!(
                    user = survivor,
                    "processes of a dead worker's action survived SIGKILL; not using their user id"
                );
                users.remove(&survivor);
            }
            if let Err(error) = SharedObjects::of(&users).remove() {
                tracing::warn!(%error, "failed to remove shared memory that actions of a dead worker left");
            }
            ids.free.extend(users);
            ids.blocks.push(file);
            return Ok(());
        }
        Err(io::Error::other("all user ids for actions are in use"))
    }

    fn lock(&self) -> MutexGuard<'_, Ids> {
        lock(&self.ids)
    }
}

/// Kills the processes of these users until none is left. Returns the users whose processes survived SIGKILL. Blocks.
fn kill_processes_of(users: &BTreeSet<u32>) -> BTreeSet<u32> {
    let since = Instant::now();
    loop {
        let left: Vec<(Pid, u32)> = processes_of(users).collect();
        if left.is_empty() || since.elapsed() > KILL_TIMEOUT {
            return left.into_iter().map(|(_, user)| user).collect();
        }
        for (pid, _) in left {
            let _ = kill(pid, Signal::SIGKILL);
        }
        thread::sleep(RECHECK_INTERVAL);
    }
}

fn processes_of(users: &BTreeSet<u32>) -> impl Iterator<Item = (Pid, u32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .filter_map(|pid| Some((pid, user_among(users, pid)?)))
}

/// The user among these that a process runs as, by its real, effective or saved id. None for a zombie, which has ended.
pub(crate) fn user_among(users: &BTreeSet<u32>, pid: Pid) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name| status.lines().find_map(|line| line.strip_prefix(name));
    // A process whose first thread has ended looks like a zombie while its other threads run.
    let is_zombie = field("State:")?.trim_start().starts_with(['Z', 'X']);
    if is_zombie && field("Threads:")?.trim() == "1" {
        return None;
    }
    let mut ids = field("Uid:")?
        .split_whitespace()
        .filter_map(|id| id.parse::<u32>().ok());
    ids.find(|id| users.contains(id))
}

/// Those of these users whose blocks no live worker has locked, so that their processes were left by a dead one. No worker
/// takes the blocks while the files are held.
pub(crate) fn abandoned(users: &BTreeSet<u32>) -> (BTreeSet<u32>, Vec<File>) {
    abandoned_in(&LOCKS.map(Path::new), users)
}

fn abandoned_in(folders: &[&Path], users: &BTreeSet<u32>) -> (BTreeSet<u32>, Vec<File>) {
    let (mut found, mut locks) = (BTreeSet::new(), Vec::new());
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    for entry in entries.flatten() {
        let Some(first) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let mut of_block = users.range(first..first.saturating_add(BLOCK)).peekable();
        // Shared, so that two sweeps do not mistake each other for a worker.
        if of_block.peek().is_some()
            && let Ok(lock) = File::open(entry.path())
            && lock.try_lock_shared().is_ok()
        {
            found.extend(of_block);
            locks.push(lock);
        }
    }
    (found, locks)
}

/// Starts a process as this user, which may be forbidden, or the id may not exist in this container.
#[expect(clippy::disallowed_methods, reason = "the runner owns child processes")]
fn try_to_start(id: u32) -> io::Result<()> {
    let status = Command::new("/bin/sh")
        .args(["-c", ":"])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .uid(id)
        .gid(id)
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("a test process exited with {status}")))
    }
}

/// Every user must be able to reach the scratch directories, whose content is private.
pub(super) fn ensure_traversable(directory: &Path) -> io::Result<()> {
    let real = directory.canonicalize().map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("failed to resolve directory {}: {error}", directory.display()),
        )
    })?;
    for step in real.ancestors() {
        let metadata = fs::metadata(step)?;
        if metadata.permissions().mode() & 0o001 == 0 {
            return Err(io::Error::new(
                ErrorKind::PermissionDenied,
                format!(
                    "actions run as users of their own, which cannot enter {} (mode {:o}, owner {}), a parent of {}; set worker.work_dir to a directory that all users can enter, for example /var/lib/attune/work, or run `chmod o+x`",
                    step.display(),
                    metadata.mode() & 0o7777,
                    metadata.uid(),
                    directory.display()
                ),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(locks: &Path) -> Users {
        Users {
            base: 171_000,
            locks: locks.into(),
            ids: Mutex::default(),
        }
    }

    #[test]
    fn no_two_workers_have_the_same_user() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (users(folder.path()), users(folder.path()));
        let taken: BTreeSet<u32> = (0..100)
            .flat_map(|_| [one.take().unwrap(), other.take().unwrap()])
            .collect();
        assert_eq!(taken.len(), 200);
        assert!(taken.iter().all(|id| (171_000..171_000 + BLOCK * BLOCKS).contains(id)));
    }

    #[test]
    fn the_user_that_was_not_used_for_the_longest_time_is_used_next() {
        let folder = tempfile::tempdir().unwrap();
        let users = users(folder.path());
        let taken: Vec<u32> = (0..BLOCK)
            .map(|_| {
                let user = users.take().unwrap();
                users.release(user);
                user
            })
            .collect();
        assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), BLOCK as usize);
        assert_eq!(users.take().unwrap(), taken[0]);
    }

    #[test]
    fn the_users_of_an_ended_worker_are_free_again() {
        let folder = tempfile::tempdir().unwrap();
        let first = users(folder.path()).take().unwrap();
        assert_eq!(users(folder.path()).take().unwrap(), first);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test needs a process of another user")]
    fn a_process_that_a_dead_worker_left_is_killed_before_its_user_is_used_again() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let users = Users {
            base: 190_000,
            ..users(folder.path())
        };
        let of = |user| Command::new("/bin/sleep").arg("600").uid(user).spawn().unwrap();
        // Of this block, and of one that this worker does not take.
        let (mut left, mut other) = (of(190_007), of(190_064));
        users.take().unwrap();
        assert!(left.wait().unwrap().code().is_none(), "it was killed");
        let is_alive = other.try_wait().unwrap().is_none();
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(is_alive);
    }

    #[test]
    fn only_users_in_unlocked_blocks_are_abandoned() {
        let folder = tempfile::tempdir().unwrap();
        let (live, dead) = (users(folder.path()), users(folder.path()));
        let (locked, free) = (live.take().unwrap(), dead.take().unwrap());
        drop(dead);
        let all = BTreeSet::from([locked, free, free + 1, 1]);
        let (found, locks) = abandoned_in(&[folder.path()], &all);
        assert_eq!((found, locks.len()), (BTreeSet::from([free, free + 1]), 1));
        assert!(users(folder.path()).take().unwrap() > free + 1, "the block is held");
    }

    #[test]
    fn ids_can_run_out() {
        let folder = tempfile::tempdir().unwrap();
        let users = users(folder.path());
        users.lock().next_block = BLOCKS;
        assert!(users.take().unwrap_err().to_string().contains("in use"));
    }

    #[test]
    fn an_inaccessible_directory_is_reported_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let error = ensure_traversable(&inner).unwrap_err().to_string();
        assert!(
            error.contains("worker.work_dir") && error.contains(inner.to_str().unwrap()),
            "{error}"
        );
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
        ensure_traversable(&inner).unwrap();
        let error = ensure_traversable(&folder.path().join("missing"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("missing"), "{error}");
    }
}
