//! The executor's integration tests: real PostgreSQL, with the steps of executors and workers called one by one.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failed setup panics where it fails"
)]

mod alerts;
mod contradictions;
mod grace_period;
mod holds;
mod policies;
mod slots;
mod stress;
mod suspects;
mod test_executor;
