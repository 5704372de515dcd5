//! The roles of this program besides the worker, and what every role does when it starts.

use nix::unistd::close;
use std::{
    ffi::{CStr, OsString},
    fs, io,
};

/// The hidden arguments that select a role of this program.
pub(crate) const KEEPER: &str = "supervise-actions";
pub(super) const ATTENDANT: &str = "attend-actions";
pub(super) const LIMITED: &str = "limit-action";
pub(super) const SWEEPER: &str = "sweep-actions";
/// Starts the sweeper and exits, so that the sweeper has no parent.
pub(super) const SWEEPER_STARTER: &str = "start-sweeper";

/// What `ps` shows. It deliberately does not contain the worker's name: killing every process with the worker's name must not
/// kill the one that cleans up after it.
pub(crate) const SHOWN_AS: &str = "action-supervisor";
pub(super) const COMMAND: &CStr = c"action-supervis";

pub(super) fn argument(arguments: &[OsString], place: usize) -> io::Result<&OsString> {
    arguments.get(place).ok_or_else(|| io::Error::other("missing argument"))
}

/// Closes descriptors inherited by mistake from the worker's parent: only the three standard descriptors are needed.
pub(super) fn close_inherited() -> io::Result<()> {
    let listed: Vec<i32> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in listed.into_iter().filter(|descriptor| *descriptor > 2) {
        // The descriptor of the listing itself is closed already.
        let _ = close(descriptor);
    }
    Ok(())
}
