//! Stops a server that outlived the process that started it, which is usually one that is just shutting down.
//!
//! Only the process that holds the lock of the data directory owns it, so a server found here has lost its owner. It is waited for
//! and, if it does not end, stopped. The same applies to sessions whose server was killed: they hold its shared memory, and
//! PostgreSQL would refuse to start. A stale `postmaster.pid` is removed: after a reboot its pid may belong to any process, and
//! PostgreSQL would refuse to start.

use super::cluster::Cluster;
use super::error::Error;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::iter::Peekable;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Time to end without a signal.
const GRACE: Duration = Duration::from_secs(1);
const STOP_TIMEOUT: Duration = Duration::from_secs(11);
/// Shorter, because sessions without a server have nothing to finish: recovery rolls back what they did not commit.
const ORPHAN_STOP_TIMEOUT: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(20);

/// Returns when no process uses the cluster.
pub(super) fn clear(cluster: &Cluster) -> Result<(), Error> {
    if !Path::new("/proc/self/cwd").exists() {
        // Without /proc, rely on PostgreSQL's own checks.
        return Ok(());
    }
    let content = fs::read_to_string(cluster.folder.join("postmaster.pid")).unwrap_or_default();
    let postmaster = content.lines().next().and_then(|line| line.trim().parse::<i32>().ok());
    let started = Instant::now();
    let (mut server_signals, mut orphan_signals) = (signals(STOP_TIMEOUT), signals(ORPHAN_STOP_TIMEOUT));
    loop {
        let workers = workers_in(&cluster.folder);
        let Some(&any) = workers.first() else { break };
        if started.elapsed() > TIMEOUT {
            return Err(Error::Leftover {
                folder: cluster.folder.clone(),
                pid: any.to_string(),
            });
        }
        let due = |(after, _): &(Duration, Signal)| started.elapsed() >= *after;
        if let Some(postmaster) = postmaster.filter(|pid| workers.contains(pid)) {
            if let Some((_, signal)) = server_signals.next_if(due) {
                tracing::warn!(pid = postmaster, %signal, "stopping a PostgreSQL whose owner has ended");
                // It may have exited meanwhile.
                let _ = kill(Pid::from_raw(postmaster), signal);
            }
        } else if let Some((_, signal)) = orphan_signals.next_if(due) {
            // A suspended session reacts only to SIGKILL.
            let signal = if signal == Signal::SIGINT {
                Signal::SIGTERM
            } else {
                Signal::SIGKILL
            };
            tracing::warn!(pids = ?workers, %signal, "stopping sessions whose PostgreSQL has ended");
            for orphan in workers {
                let _ = kill(Pid::from_raw(orphan), signal);
            }
        }
        sleep(PAUSE);
    }
    for stale in ["postmaster.pid", ".s.PGSQL.5432.lock", ".s.PGSQL.5432"] {
        // If one cannot be removed, PostgreSQL reports it.
        let _ = fs::remove_file(cluster.folder.join(stale));
    }
    Ok(())
}

/// When to request a fast shutdown, and when an immediate one.
fn signals(immediate: Duration) -> Peekable<std::array::IntoIter<(Duration, Signal), 2>> {
    [(GRACE, Signal::SIGINT), (immediate, Signal::SIGQUIT)]
        .into_iter()
        .peekable()
}

/// The processes of PostgreSQL have the cluster as their working directory. The name is checked as well, because a user's shell
/// may have the same one.
fn workers_in(cluster: &Path) -> Vec<i32> {
    let Ok(home) = fs::metadata(cluster) else {
        return Vec::new();
    };
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let cwd = fs::metadata(format!("/proc/{pid}/cwd"));
        name.trim_end() == "postgres" && cwd.is_ok_and(|cwd| (cwd.dev(), cwd.ino()) == (home.dev(), home.ino()))
    })
    .collect()
}
