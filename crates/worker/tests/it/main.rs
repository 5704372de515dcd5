//! The worker's integration tests: real processes, started by the real supervisor, on a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue panics")]

mod pipeline;
mod races;
mod runner;
mod support;
