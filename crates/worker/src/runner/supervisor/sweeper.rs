//! The sweeper: the process that is left when the worker and its supervisor are killed together.
//!
//! It belongs to no other process: whoever kills the worker with all its descendants does not reach it. It waits until the
//! worker is gone, and then does what the next worker would do ([`leftovers::sweep`]), so that nothing survives until
//! there is one. A worker that stops in good order says so.

use super::{argument, close_inherited, leftovers};
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

/// The hidden arguments: the sweeper, and the process that starts it and ends, so that it loses its parent.
pub(super) const SWEEPER: &str = "sweep-actions";
pub(super) const STARTER: &str = "start-sweeper";

const SHOWN_AS: &str = "action-sweeper";
const COMMAND: &CStr = c"action-sweeper";

/// The kernel closes the descriptors of a killed process one after the other: the pipe, and the locks on scratch roots.
const SETTLING: Duration = Duration::from_millis(200);

/// The worker's end.
#[derive(Debug)]
pub(crate) struct Sweeper(PipeWriter);

impl Sweeper {
    /// Starts it. This process must not be a subreaper yet, or the sweeper would become its child.
    #[expect(clippy::disallowed_methods, reason = "the runner owns child processes")]
    pub fn start(program: &Path, base: &Path, installation: &str) -> io::Result<Self> {
        let (end, worker) = io::pipe()?;
        let status = Command::new(program)
            .arg0(SHOWN_AS)
            .arg(STARTER)
            .arg(base)
            .arg(installation)
            .env_clear()
            .stdin(end)
            .stdout(Stdio::null())
            .status()?;
        if status.success() {
            Ok(Self(worker))
        } else {
            Err(io::Error::other(format!("the action sweeper did not start: {status}")))
        }
    }

    /// Nothing is left for it to do.
    pub fn dismiss(mut self) {
        // A sweeper that is gone needs no dismissal.
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
    thread::sleep(SETTLING);
    let swept = leftovers::sweep(Path::new(base), &installation.to_string_lossy());
    if swept.immortal.is_empty() {
        Ok(())
    } else {
        let pids = swept.immortal;
        Err(io::Error::other(format!(
            "processes of a dead worker survived SIGKILL: {pids:?}"
        )))
    }
}
