//! How the attendant and its starter threads notice that a child has ended.

use nix::sys::{
    signal::{SigSet, Signal},
    wait::WaitPidFlag,
};

/// Finds a child that has ended, without reaping it.
pub(super) const ENDED: WaitPidFlag = WaitPidFlag::WEXITED
    .union(WaitPidFlag::WNOHANG)
    .union(WaitPidFlag::WNOWAIT);

pub(super) fn child_signal() -> SigSet {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    signals
}
