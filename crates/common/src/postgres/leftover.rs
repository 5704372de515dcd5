//! A server that outlived the process that started it: usually one that is just shutting down.
//!
//! Whoever holds the lock of the data folder is its only owner, so a server found here has lost its owner. It is waited for
//! and, when it shows no sign of ending, stopped. So are sessions whose server was killed: they hold its shared memory, and
//! PostgreSQL would refuse to start because of them. A `postmaster.pid` that no process stands behind is removed: after a
//! restart of the machine its number may belong to anyone, and PostgreSQL would refuse to start because of it.

use super::Error;
use super::cluster::Cluster;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::iter::Peekable;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

const ENDS_BY_ITSELF: Duration = Duration::from_secs(1);
const ENDS_WHEN_ASKED: Duration = Duration::from_secs(11);
/// Sessions without a server have nothing to finish: what they did not commit is rolled back by the recovery anyway.
const ORPHAN_ENDS_WHEN_ASKED: Duration = Duration::from_secs(2);
const ENDS_WHEN_TOLD: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(20);

/// Returns once no process works on the cluster.
pub(super) fn clear(cluster: &Cluster) -> Result<(), Error> {
    if !Path::new("/proc/self/cwd").exists() {
        // No way to see who works here; PostgreSQL's own checks decide.
        return Ok(());
    }
    let content = fs::read_to_string(cluster.folder.join("postmaster.pid")).unwrap_or_default();
    let postmaster = content.lines().next().and_then(|line| line.trim().parse::<i32>().ok());
    let begun = Instant::now();
    let (mut server_signals, mut orphan_signals) = (signals(ENDS_WHEN_ASKED), signals(ORPHAN_ENDS_WHEN_ASKED));
    loop {
        let workers = workers_in(&cluster.folder);
        let Some(&any) = workers.first() else { break };
        if begun.elapsed() > ENDS_WHEN_TOLD {
            return Err(Error::Leftover {
                folder: cluster.folder.clone(),
                pid: any.to_string(),
            });
        }
        let due = |(after, _): &(Duration, Signal)| begun.elapsed() >= *after;
        if let Some(postmaster) = postmaster.filter(|pid| workers.contains(pid)) {
            if let Some((_, signal)) = server_signals.next_if(due) {
                tracing::warn!(pid = postmaster, %signal, "stopping a PostgreSQL that lost its owner");
                // It may have ended since we looked.
                let _ = kill(Pid::from_raw(postmaster), signal);
            }
        } else if let Some((_, signal)) = orphan_signals.next_if(due) {
            // The server is gone, so they hold its shared memory for nobody. One that is stopped obeys only SIGKILL.
            let signal = if signal == Signal::SIGINT {
                Signal::SIGTERM
            } else {
                Signal::SIGKILL
            };
            tracing::warn!(pids = ?workers, %signal, "ending sessions whose PostgreSQL is gone");
            for orphan in workers {
                let _ = kill(Pid::from_raw(orphan), signal);
            }
        }
        sleep(PAUSE);
    }
    for stale in ["postmaster.pid", ".s.PGSQL.5432.lock", ".s.PGSQL.5432"] {
        // What cannot be removed is in PostgreSQL's way and it will say so.
        let _ = fs::remove_file(cluster.folder.join(stale));
    }
    Ok(())
}

/// When to ask, and when to insist.
fn signals(insist: Duration) -> Peekable<std::array::IntoIter<(Duration, Signal), 2>> {
    [(ENDS_BY_ITSELF, Signal::SIGINT), (insist, Signal::SIGQUIT)]
        .into_iter()
        .peekable()
}

/// Every process of PostgreSQL has the cluster as its working directory; so may a person's shell, hence the name.
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
