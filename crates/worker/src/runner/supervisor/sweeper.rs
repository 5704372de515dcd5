//! The sweeper: the process that survives when the worker and its supervisor are killed together.
//!
//! It is not a child of any of them, so killing the worker with all its descendants does not reach it. It waits until the
//! worker is gone, and then does what the next worker would do ([`leftovers::sweep`]), so that nothing survives until there is
//! one. A worker that exits normally dismisses it.

use super::{
    leftovers,
    role::{SWEEPER, SWEEPER_STARTER, argument, close_inherited},
};
use nix::{
    sys::{prctl, signal::SigSet},
    unistd::setsid,
};
use std::{
    ffi::{CStr, OsString},
    io::{self, PipeWriter, Read, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

const SHOWN_AS: &str = "action-sweeper";
const COMMAND: &CStr = c"action-sweeper";

/// The kernel closes the descriptors of a killed process one after another: the pipe, and the locks on scratch roots.
const CLOSING: Duration = Duration::from_millis(200);

/// The worker's end.
#[derive(Debug)]
pub(crate) struct Sweeper(PipeWriter);

impl Sweeper {
    /// Starts it. This process must not be a subreaper yet, because the sweeper would become its child.
    #[expect(clippy::disallowed_methods, reason = "the runner owns child processes")]
    pub fn start(program: &Path, base: &Path, installation: &str) -> io::Result<Self> {
        let (end, worker) = io::pipe()?;
        let status = Command::new(program)
            .arg0(SHOWN_AS)
            .arg(SWEEPER_STARTER)
            .arg(base)
            .arg(installation)
            .env_clear()
            .stdin(end)
            .stdout(Stdio::null())
            .status()?;
        if status.success() {
            Ok(Self(worker))
        } else {
            Err(io::Error::other(format!(
                "failed to start the action sweeper: {status}"
            )))
        }
    }

    /// Ends it without a sweep.
    pub fn dismiss(mut self) {
        // The sweeper may be gone already.
        let _ = self.0.write_all(b".");
    }
}

#[expect(clippy::disallowed_methods, reason = "the runner owns child processes")]
pub(super) fn start(arguments: &[OsString]) -> io::Result<()> {
    close_inherited()?;
    setsid()?;
    SigSet::empty().thread_set_mask()?;
    Command::new("/proc/self/exe")
        .arg0(SHOWN_AS)
        .arg(SWEEPER)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::inherit())
        .stdout(Stdio::null())
        .spawn()?;
    Ok(())
}

pub(super) fn work(arguments: &[OsString]) -> io::Result<()> {
    let (base, installation) = (argument(arguments, 0)?, argument(arguments, 1)?);
    prctl::set_name(COMMAND)?;
    if io::stdin().read(&mut [0])? > 0 {
        return Ok(());
    }
    thread::sleep(CLOSING);
    let swept = leftovers::sweep(Path::new(base), &installation.to_string_lossy());
    if swept.unkillable.is_empty() {
        Ok(())
    } else {
        let pids = swept.unkillable;
        Err(io::Error::other(format!(
            "processes of a dead worker survived SIGKILL: {pids:?}"
        )))
    }
}
