//! The sweeper: the process that survives when the worker and its supervisor are killed together.
//!
//! It is not a child of any of them, so killing the worker with all its descendants does not reach it. It waits until the
//! worker is gone, and then does what the next worker would do ([`leftovers::sweep`]), so that nothing survives until there is
//! one. A worker that exits normally dismisses it. A sweeper that dies before its worker is replaced: its standard output is a
//! pipe that only it holds, so the worker notices its exit.

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
use tokio::{io::AsyncReadExt, net::unix::pipe};

const SHOWN_AS: &str = "action-sweeper";
const COMMAND: &CStr = c"action-sweeper";

/// The kernel closes the descriptors of a killed process one after another: the pipe, and the locks on scratch roots.
const CLOSING: Duration = Duration::from_millis(200);

/// The worker's end.
#[derive(Debug)]
pub(crate) struct Sweeper {
    worker: PipeWriter,
    /// Reaches its end when the sweeper has exited.
    exit: pipe::Receiver,
}

impl Sweeper {
    /// Starts it. This process must not be a subreaper meanwhile, because the sweeper would become its child. Blocks.
    #[expect(clippy::disallowed_methods, reason = "the runner owns child processes")]
    pub fn start(program: &Path, base: &Path, installation: &str) -> io::Result<Self> {
        let (end, worker) = io::pipe()?;
        let (exit, exit_writer) = io::pipe()?;
        let status = Command::new(program)
            .arg0(SHOWN_AS)
            .arg(SWEEPER_STARTER)
            .arg(base)
            .arg(installation)
            .env_clear()
            .stdin(end)
            .stdout(exit_writer)
            .status()?;
        if status.success() {
            let exit = pipe::Receiver::from_owned_fd(exit.into())?;
            Ok(Self { worker, exit })
        } else {
            Err(io::Error::other(format!(
                "failed to start the action sweeper: {status}"
            )))
        }
    }

    /// Waits until it has exited, which it does not while this process lives unless it is killed.
    pub async fn exited(&mut self) {
        let mut byte = [0];
        while self.exit.read(&mut byte).await.is_ok_and(|length| length > 0) {}
    }

    /// Ends it without a sweep.
    pub fn dismiss(mut self) {
        // The sweeper may be gone already.
        let _ = self.worker.write_all(b".");
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
        .stdout(Stdio::inherit())
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
