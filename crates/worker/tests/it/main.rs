//! The worker's integration tests: real processes, started by the real supervisor, on a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

mod pipeline;
mod races;
mod runner;
mod support;
