//! How much an action may use: limits that the kernel keeps for each process (`setrlimit`).
//!
//! The supervisor sets the defaults for itself, and actions inherit them, so the usual start costs nothing. An action with
//! bounds of its own starts through this program once more, which sets them and becomes the action's program.

use attune_domain::resources::Resources;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Uid, getppid, getuid};
use serde::{Deserialize, Serialize};
use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::process::CommandExt,
    process::Command,
    time::Duration,
};

const FILE_BYTES_MAX: u64 = 1 << 30;

/// Bounds of all actions of one worker.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Bounds {
    pub usual: Resources,
    /// What no action exceeds, whatever it asks for.
    pub most: Resources,
    /// How many actions run at once.
    pub slots: u64,
}

/// The bounds of one action, ready to be set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub memory_bytes: Option<u64>,
    pub cpu_seconds: Option<u64>,
    pub processes: Option<u64>,
    pub files: Option<u64>,
}

impl Bounds {
    /// What has to be set for an action that is not as usual; an error where it asks for more than is allowed.
    pub(in crate::runner) fn of(&self, wanted: &Resources, timeout: Duration) -> Result<Option<Limits>, String> {
        if let Some(excess) = wanted.excess(&self.most) {
            return Err(format!("{excess} (worker.resources_max)"));
        }
        let all = wanted.or(self.usual);
        if *wanted == Resources::default() && all.cpu.is_none() {
            return Ok(None);
        }
        Ok(Some(Limits {
            memory_bytes: all.memory_mb.map(mebibytes),
            cpu_seconds: all.cpu.map(|cpu| cpu_seconds(cpu, timeout)),
            processes: all.processes,
            files: all.files,
        }))
    }

    /// Sets for this process and what it starts: the usual as what holds, the most as what an action may raise it to.
    pub(in crate::runner) fn inherit(&self) -> io::Result<()> {
        let (usual, most) = (&self.usual, &self.most);
        bound(Resource::RLIMIT_CORE, Some(0), Some(0))?;
        bound(Resource::RLIMIT_FSIZE, Some(FILE_BYTES_MAX), Some(FILE_BYTES_MAX))?;
        bound(Resource::RLIMIT_NOFILE, usual.files, most.files)?;
        bound(
            Resource::RLIMIT_DATA,
            usual.memory_mb.map(mebibytes),
            most.memory_mb.map(mebibytes),
        )?;
        let (usual, most) = if getuid().is_root() {
            (usual.processes, most.processes)
        } else {
            // The kernel counts all that this user runs, the service included.
            let others = threads_of(getuid());
            let all = |each: Option<u64>| each.map(|each| others + each * self.slots.max(1));
            (all(usual.processes), all(most.processes))
        };
        bound(Resource::RLIMIT_NPROC, usual, most)
    }
}

impl Limits {
    /// As they go to the supervisor: whether there are any, and then each, the largest number for none.
    pub fn numbers(limits: Option<Self>) -> [u64; 5] {
        let all = limits.unwrap_or_default();
        let number = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
        [
            u64::from(limits.is_some()),
            number(all.memory_bytes),
            number(all.cpu_seconds),
            number(all.processes),
            number(all.files),
        ]
    }

    pub fn read(mut next: impl FnMut() -> io::Result<u64>) -> io::Result<Option<Self>> {
        let given = next()? == 1;
        let mut limit = || Ok::<_, io::Error>(Some(next()?).filter(|number| *number != u64::MAX));
        let limits = Self {
            memory_bytes: limit()?,
            cpu_seconds: limit()?,
            processes: limit()?,
            files: limit()?,
        };
        Ok(given.then_some(limits))
    }

    /// What precedes a program so that it starts with these limits.
    pub fn words(&self) -> io::Result<[OsString; 2]> {
        let limits = serde_json::to_string(self)?;
        Ok([super::super::supervisor::LIMITED.into(), limits.into()])
    }
}

/// Sets the limits and becomes the program. It returns only when that fails.
#[expect(clippy::disallowed_methods, reason = "the last step of starting an action")]
pub(in crate::runner) fn become_limited(limits: &OsStr, mut words: impl Iterator<Item = OsString>) -> io::Error {
    let program = words.next().unwrap_or_default();
    let set = || -> io::Result<()> {
        let limits: Limits = serde_json::from_slice(limits.as_encoded_bytes())?;
        bound(Resource::RLIMIT_NOFILE, limits.files, limits.files)?;
        bound(Resource::RLIMIT_DATA, limits.memory_bytes, limits.memory_bytes)?;
        // SIGXCPU first, a second later SIGKILL.
        let killed_at = limits.cpu_seconds.map(|seconds| seconds.saturating_add(1));
        bound(Resource::RLIMIT_CPU, limits.cpu_seconds, killed_at)?;
        let others = if is_alone() { 0 } else { threads_of(getuid()) };
        let processes = limits.processes.map(|processes| processes + others);
        bound(Resource::RLIMIT_NPROC, processes, processes)
    };
    match set() {
        Ok(()) => {
            let error = Command::new(&program).args(words).exec();
            io::Error::new(error.kind(), format!("{}: {error}", program.display()))
        }
        Err(error) => error,
    }
}

/// This process's user runs this action and nothing else: the supervisor belongs to another user then.
fn is_alone() -> bool {
    let supervisor = Status::of(&getppid().to_string()).map(|status| status.user);
    supervisor.is_some_and(|supervisor| supervisor != getuid().as_raw())
}

fn mebibytes(number: u64) -> u64 {
    number << 20
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "both factors are positive and bounded"
)]
fn cpu_seconds(cpu: f64, timeout: Duration) -> u64 {
    (cpu * timeout.as_secs_f64()).ceil().max(1.0) as u64
}

/// Sets a limit and what it may be raised to. Never more than this process was given itself.
fn bound(resource: Resource, soft: Option<u64>, hard: Option<u64>) -> io::Result<()> {
    let (_, given) = getrlimit(resource)?;
    let hard = hard.unwrap_or(given).min(given);
    let soft = soft.unwrap_or(hard).min(hard);
    setrlimit(resource, soft, hard)?;
    Ok(())
}

fn threads_of(user: Uid) -> u64 {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let processes = entries.filter_map(|entry| Status::of(entry.ok()?.file_name().to_str()?));
    let own = processes.filter(|process| process.user == user.as_raw());
    own.map(|process| process.threads).sum()
}

/// Of a process, from a file that everybody may read.
struct Status {
    user: u32,
    threads: u64,
}

impl Status {
    fn of(pid: &str) -> Option<Self> {
        pid.parse::<u32>().ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()
        };
        Some(Self {
            user: field("Uid:")?.parse().ok()?,
            threads: field("Threads:")?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resources(value: &serde_json::Value) -> Resources {
        Resources::parse(value).unwrap()
    }

    fn bounds() -> Bounds {
        Bounds {
            usual: resources(&json!({"memory_mb": 100, "processes": 10, "files": 50})),
            most: resources(&json!({"memory_mb": 200})),
            slots: 2,
        }
    }

    #[test]
    fn what_is_as_usual_needs_nothing() {
        assert_eq!(bounds().of(&Resources::default(), Duration::from_secs(9)), Ok(None));
    }

    #[test]
    fn an_action_s_own_bounds_come_first() {
        let limits = bounds()
            .of(
                &resources(&json!({"memory_mb": 200, "cpu": 0.5})),
                Duration::from_secs(9),
            )
            .unwrap();
        let expected = Limits {
            memory_bytes: Some(200 << 20),
            cpu_seconds: Some(5),
            processes: Some(10),
            files: Some(50),
        };
        assert_eq!(limits, Some(expected));
    }

    #[test]
    fn more_than_the_worker_allows_is_refused_by_name() {
        let error = bounds()
            .of(&resources(&json!({"memory_mb": 201})), Duration::from_secs(9))
            .unwrap_err();
        assert!(
            error.contains("resources.memory_mb") && error.contains("worker.resources_max"),
            "{error}"
        );
    }

    #[test]
    fn this_process_counts() {
        assert!(threads_of(getuid()) >= 1);
    }
}
