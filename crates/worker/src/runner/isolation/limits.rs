//! How many resources an action may use: limits that the kernel enforces for each process (`setrlimit`).
//!
//! The supervisor sets the defaults for itself, and actions inherit them, so the usual start costs nothing. An action with
//! limits of its own is started through this program, which sets them and then executes the action's program.

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

/// The resource bounds of one worker's actions.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Bounds {
    /// For actions that request nothing.
    pub defaults: Resources,
    /// The most that an action may request.
    pub max: Resources,
    /// The most actions that run at the same time.
    pub slots: u64,
}

/// The limits of one action.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub memory_bytes: Option<u64>,
    pub cpu_seconds: Option<u64>,
    pub processes: Option<u64>,
    pub files: Option<u64>,
}

impl Bounds {
    /// The limits of an action, or None if it inherits the defaults. An error if it requests more than is allowed.
    pub(crate) fn limits_for(&self, requested: &Resources, timeout: Duration) -> Result<Option<Limits>, String> {
        if let Some(excess) = requested.excess(&self.max) {
            return Err(format!("{excess} (worker.resources_max)"));
        }
        let all = requested.or(self.defaults);
        if *requested == Resources::default() && all.cpu.is_none() {
            return Ok(None);
        }
        Ok(Some(Limits {
            memory_bytes: all.memory_mb.map(mebibytes),
            cpu_seconds: all.cpu.map(|cpu| cpu_seconds(cpu, timeout)),
            processes: all.processes,
            files: all.files,
        }))
    }

    /// Applies the bounds to this process and what it starts: the defaults as soft limits, the maximum as hard limits.
    pub(crate) fn apply(&self) -> io::Result<()> {
        let (defaults, max) = (&self.defaults, &self.max);
        bound(Resource::RLIMIT_CORE, Some(0), Some(0))?;
        bound(Resource::RLIMIT_FSIZE, Some(FILE_BYTES_MAX), Some(FILE_BYTES_MAX))?;
        bound(Resource::RLIMIT_NOFILE, defaults.files, max.files)?;
        bound(
            Resource::RLIMIT_DATA,
            defaults.memory_mb.map(mebibytes),
            max.memory_mb.map(mebibytes),
        )?;
        let (soft, hard) = if getuid().is_root() {
            (defaults.processes, max.processes)
        } else {
            // The kernel counts all processes of this user, including the worker.
            let others = threads_of(getuid());
            let all = |each: Option<u64>| each.map(|each| others + each * self.slots.max(1));
            (all(defaults.processes), all(max.processes))
        };
        bound(Resource::RLIMIT_NPROC, soft, hard)
    }
}

impl Limits {
    /// The encoding for the supervisor: whether there are limits, and then each, with the largest number for none.
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

    /// As a command-line argument for [`exec_with_limits`].
    pub fn encode(&self) -> io::Result<OsString> {
        Ok(serde_json::to_string(self)?.into())
    }
}

/// Sets the limits and executes the program. Returns only on failure.
#[expect(clippy::disallowed_methods, reason = "the last step of starting an action")]
pub(crate) fn exec_with_limits(limits: &OsStr, mut argv: impl Iterator<Item = OsString>) -> io::Error {
    let program = argv.next().unwrap_or_default();
    let set = || -> io::Result<()> {
        let limits: Limits = serde_json::from_slice(limits.as_encoded_bytes())?;
        bound(Resource::RLIMIT_NOFILE, limits.files, limits.files)?;
        bound(Resource::RLIMIT_DATA, limits.memory_bytes, limits.memory_bytes)?;
        // SIGXCPU first, and SIGKILL a second later.
        let killed_at = limits.cpu_seconds.map(|seconds| seconds.saturating_add(1));
        bound(Resource::RLIMIT_CPU, limits.cpu_seconds, killed_at)?;
        let others = if is_alone() { 0 } else { threads_of(getuid()) };
        let processes = limits.processes.map(|processes| processes + others);
        bound(Resource::RLIMIT_NPROC, processes, processes)
    };
    match set() {
        Ok(()) => {
            let error = Command::new(&program).args(argv).exec();
            io::Error::new(error.kind(), format!("{}: {error}", program.display()))
        }
        Err(error) => error,
    }
}

/// True if this process's user runs only this action, which is the case if the supervisor runs as another user.
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

/// Sets a soft and a hard limit, capped by the current hard limit of this process.
fn bound(resource: Resource, soft: Option<u64>, hard: Option<u64>) -> io::Result<()> {
    let (_, current) = getrlimit(resource)?;
    let hard = hard.unwrap_or(current).min(current);
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

/// The user and the number of threads of a process, from a file that every user may read.
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
            defaults: resources(&json!({"memory_mb": 100, "processes": 10, "files": 50})),
            max: resources(&json!({"memory_mb": 200})),
            slots: 2,
        }
    }

    #[test]
    fn an_action_without_requests_inherits_the_defaults() {
        assert_eq!(
            bounds().limits_for(&Resources::default(), Duration::from_secs(9)),
            Ok(None)
        );
    }

    #[test]
    fn requests_override_the_defaults() {
        let limits = bounds()
            .limits_for(
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
    fn an_excessive_request_is_rejected_with_its_name() {
        let error = bounds()
            .limits_for(&resources(&json!({"memory_mb": 201})), Duration::from_secs(9))
            .unwrap_err();
        assert!(
            error.contains("resources.memory_mb") && error.contains("worker.resources_max"),
            "{error}"
        );
    }

    #[test]
    fn this_process_is_counted() {
        assert!(threads_of(getuid()) >= 1);
    }
}
