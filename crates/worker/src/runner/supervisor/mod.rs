//! The supervisor: the small process that starts actions, and that outlives the worker long enough to end them.
//!
//! It is this program started again with a hidden argument, twice: the **keeper** starts the **attendant** and waits.
//! The attendant starts actions as the worker asks over a socket, and kills everything when the socket closes, which
//! the kernel does however the worker dies. When the attendant dies itself, what it had started falls to the keeper (a
//! subreaper), which kills it; when the keeper dies, the worker closes the socket.
//!
//! It must not know what an execution is or where results go, and has nothing of the worker's in its environment.

mod action;
mod attend;
mod capture;
pub(crate) mod codec;
pub(crate) mod leftovers;
mod live;
mod mark;
mod orphans;
pub(crate) mod protocol;
mod starters;
mod sweeper;
mod tree;

pub(crate) use capture::KEPT_BYTES;
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
    unistd::{close, dup2_stdin, setsid},
};
use std::{
    env,
    ffi::{CStr, OsString},
    fs::{self, File},
    io,
    os::{fd::AsFd, unix::net::UnixStream, unix::process::CommandExt},
    path::Path,
    process::{Command, ExitCode, Stdio},
};

/// The hidden arguments; neither is a command that a person would type.
pub(crate) const KEEPER: &str = "supervise-actions";
const ATTENDANT: &str = "attend-actions";
pub(crate) const LIMITED: &str = "limit-action";

/// What `ps` shows. It deliberately does not contain the worker's name: who kills every process called like the worker
/// must not kill the one that tidies up after it in the same breath.
pub(crate) const SHOWN_AS: &str = "action-supervisor";
const COMMAND: &CStr = c"action-supervis";

/// Becomes the supervisor when this program was started as one. `main` calls it first, before any thread exists, and
/// returns what it gets.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let role = arguments.next()?;
    if role == LIMITED {
        let error = limits::become_limited(&arguments.next()?, arguments);
        eprintln!("the action's program cannot be started within its limits: {error}");
        return Some(ExitCode::from(126));
    }
    let work = if role == KEEPER {
        keep
    } else if role == ATTENDANT {
        attend
    } else if role == sweeper::STARTER {
        sweeper::start
    } else if role == sweeper::SWEEPER {
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

/// Starts the attendant, waits for its end, and clears up what it left.
///
/// Standard input is the worker's socket and is handed on; standard output is a pipe that only this process holds, so
/// that the worker sees its end.
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
    // Actions of the same user cannot look into this process, nor change it.
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
    clear_up(Path::new(scratch));
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("the attendant ended with {status}")))
    }
}

/// Sets for itself what actions inherit, serves the worker, and ends everything when the worker is gone.
fn attend(arguments: &[OsString]) -> io::Result<()> {
    let (scratch, plan) = (Path::new(argument(arguments, 0)?), argument(arguments, 1)?);
    close_inherited()?;
    let plan: Plan = serde_json::from_slice(plan.as_encoded_bytes())?;
    // The program itself sets the limits of actions that have their own.
    let programs = ["/proc/self/exe".into()];
    let files = plan.access.map(|access| Files::open(&access, &programs, scratch));
    prctl::set_dumpable(false)?;
    prctl::set_name(COMMAND)?;
    prctl::set_child_subreaper(true)?;
    prctl::set_no_new_privs()?;
    umask(Mode::from_bits_truncate(0o077));
    Mark::of(scratch).map_or(Ok(()), Mark::put_on)?;
    plan.bounds.inherit()?;
    let worker = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    dup2_stdin(File::open("/dev/null")?)?;
    let served = Attendant::new(worker, files)?.serve();
    clear_up(scratch);
    served
}

/// Done by both, since either may be the one that is left.
fn clear_up(scratch: &Path) {
    tree::kill_all_descendants();
    let _ = scratch::remove_root(scratch);
}

fn argument(arguments: &[OsString], place: usize) -> io::Result<&OsString> {
    arguments
        .get(place)
        .ok_or_else(|| io::Error::other("an argument is missing"))
}

/// Closes what came in by mistake from whoever started the worker: only the three standard descriptors are ours.
fn close_inherited() -> io::Result<()> {
    let listed: Vec<i32> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in listed.into_iter().filter(|descriptor| *descriptor > 2) {
        // The one that served for listing is closed already.
        let _ = close(descriptor);
    }
    Ok(())
}
