//! The executor's integration tests: real PostgreSQL, with the steps of executors and workers called one by one.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

mod amnesty;
mod holds;
mod policies;
mod slots;
mod stage;
mod stress;
mod suspects;
