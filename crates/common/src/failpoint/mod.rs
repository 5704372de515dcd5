//! Named points in the code at which a test ends or holds up a real process, to prove what is promised about a crash "at
//! any instruction". They exist in builds with the feature `failpoints` only; without it a call is nothing.
//!
//! `ATTUNE_FAILPOINTS` arms them: `t1.before_commit=abort@3,bus.publish=pause:4000`. `abort` is SIGKILL to itself,
//! `pause:MS` waits so many milliseconds; `@N` means the Nth time, without it the first. Each fires once and says so on
//! standard error, so that a test can tell that it really happened.
//!
//! A commit of a statement of its own is the statement: "before" is then in front of it.

#[cfg(feature = "failpoints")]
mod armed;

#[cfg(feature = "failpoints")]
pub use armed::{hit, hit_blocking};

/// Every point. The sweep of `crates/attune/tests/it/failpoints.rs` goes through all of them.
pub const ALL: [&str; 25] = [
    "t1.before_commit",
    "t1.after_commit",
    "t1.plan.before_commit",
    "t1.plan.after_commit",
    "ingest.before_commit",
    "ingest.after_commit",
    "event.before_commit",
    "event.after_commit",
    "t2.claimed",
    "t2.before_commit",
    "t2.after_commit",
    "t2.gated.before_commit",
    "t3.before_claim",
    "t3.after_commit",
    "run.before_fork",
    "run.after_exit",
    "t4.before_commit",
    "t4.after_commit",
    "t4.retry.before_commit",
    "t4.retry.after_commit",
    "spool.before_fsync",
    "spool.after_fsync",
    "t5.selected",
    "t5.after_commit",
    "bus.publish",
];

/// Passes a point.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn hit(_point: &'static str) -> std::future::Ready<()> {
    std::future::ready(())
}

/// Passes a point outside the runtime.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn hit_blocking(_point: &'static str) {}
