//! Named points in the code at which a test kills or pauses a real process, to prove the guarantees about a crash at any
//! instruction. They exist only in builds with the feature `failpoints`; without it a call does nothing.
//!
//! `ATTUNE_FAILPOINTS` arms them: `t1.before_commit=abort@3,bus.publish=pause:4000`. `abort` sends SIGKILL to the process,
//! `pause:MS` waits for MS milliseconds; `@N` selects the Nth hit instead of the first. Each fires once and writes that to
//! standard error, so that a test can verify it.
//!
//! A statement outside a transaction is its own commit: "before commit" is then before the statement.

#[cfg(feature = "failpoints")]
mod armed;
mod points;

#[cfg(feature = "failpoints")]
pub use armed::{hit, hit_blocking};
pub use points::ALL;

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
