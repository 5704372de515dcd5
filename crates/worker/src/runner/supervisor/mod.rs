//! The supervisor: the small process that starts actions, and that outlives the worker long enough to kill them.
//!
//! It is this program, started again with a hidden argument, twice: the **keeper** starts the **attendant** and waits. The
//! attendant starts actions at the worker's request over a socket, and kills everything when the socket closes, which the
//! kernel does however the worker dies. If the attendant dies, its processes become children of the keeper, a subreaper,
//! which kills them. If the keeper dies, the worker closes the socket.
//!
//! It must not know what an execution is or where results go, and its environment contains nothing of the worker's.

mod action;
mod action_mark;
mod attend;
mod capture;
mod children;
pub(crate) mod codec;
pub(crate) mod leftovers;
mod live;
mod mark;
mod orphans;
pub(crate) mod protocol;
pub(crate) mod role;
mod starters;
mod sweeper;
mod tree;

pub(crate) use capture::{CAPTURE_BYTES, RESULT_BYTES};
pub(crate) use sweeper::Sweeper;

use super::{
    isolation::{Plan, files::Files, limits},
    scratch,
};
use attend::Attendant;
use mark::Mark;
use nix::{
    sys::{
        prctl,
        signal::SigSet,
        stat::{Mode, umask},
    },
    unistd::{dup2_stdin, setsid},
};
use role::{ATTENDANT, COMMAND, KEEPER, LIMITED, SHOWN_AS, argument, close_inherited};
use std::{
    env,
    ffi::OsString,
    fs::File,
    io,
    os::{fd::AsFd, unix::net::UnixStream, unix::process::CommandExt},
    path::Path,
    process::{Command, ExitCode, Stdio},
};

/// Becomes the supervisor if this program was started as one. `main` calls it first, before any thread exists, and returns the
/// exit code if there is one.
pub fn run_if_requested() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let requested = arguments.next()?;
    if requested == LIMITED {
        let error = limits::exec_with_limits(&arguments.next()?, arguments);
        eprintln!("failed to start the action with its resource limits: {error}");
        return Some(ExitCode::from(126));
    }
    let work = if requested == KEEPER {
        keep
    } else if requested == ATTENDANT {
        attend
    } else if requested == role::SWEEPER_STARTER {
        sweeper::start
    } else if requested == role::SWEEPER {
        sweeper::work
    } else {
        return None;
    };
    let arguments: Vec<OsString> = arguments.collect();
    let result = work(&arguments);
    Some(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("action supervisor: {error}");
            ExitCode::FAILURE
        }
    })
}

/// Starts the attendant, waits for its exit, and kills what it left.
///
/// Standard input is the worker's socket, which the attendant inherits. Standard output is a pipe that only this process
/// holds, so that the worker notices its exit.
#[expect(
    clippy::disallowed_methods,
    reason = "the supervisor's two halves are started by the runner only"
)]
fn keep(arguments: &[OsString]) -> io::Result<()> {
    let (scratch, plan) = (argument(arguments, 0)?, argument(arguments, 1)?);
    close_inherited()?;
    prctl::set_name(COMMAND)?;
    setsid()?;
    prctl::set_child_subreaper(true)?;
    // Actions of the same user cannot inspect or modify this process.
    prctl::set_dumpable(false)?;
    SigSet::empty().thread_set_mask()?;
    let mut attendant = Command::new("/proc/self/exe")
        .arg0(SHOWN_AS)
        .arg(ATTENDANT)
        .arg(scratch)
        .arg(plan)
        .env_clear()
        .stdin(Stdio::inherit())
        .stdout(Stdio::null())
        .spawn()?;
    dup2_stdin(File::open("/dev/null")?)?;
    let status = attendant.wait()?;
    clean_up(Path::new(scratch));
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("the attendant exited with {status}")))
    }
}

/// Sets up what actions inherit, serves the worker, and kills everything when the worker is gone.
fn attend(arguments: &[OsString]) -> io::Result<()> {
    let (scratch, plan) = (Path::new(argument(arguments, 0)?), argument(arguments, 1)?);
    close_inherited()?;
    let plan: Plan = serde_json::from_slice(plan.as_encoded_bytes())?;
    // Actions with resource limits of their own are started through this program.
    let programs = ["/proc/self/exe".into()];
    let files = plan.access.map(|access| Files::open(&access, &programs, scratch));
    prctl::set_dumpable(false)?;
    prctl::set_name(COMMAND)?;
    prctl::set_child_subreaper(true)?;
    prctl::set_no_new_privs()?;
    umask(Mode::from_bits_truncate(0o077));
    Mark::of_root(scratch).map_or(Ok(()), Mark::apply)?;
    plan.bounds.apply()?;
    let worker = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    dup2_stdin(File::open("/dev/null")?)?;
    let served = Attendant::new(worker, files)?.serve();
    clean_up(scratch);
    served
}

/// Called by both processes, because either may be the one that survives.
fn clean_up(scratch: &Path) {
    tree::kill_all_descendants();
    let _ = scratch::remove_root(scratch);
}
