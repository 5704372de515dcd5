//! The worker's integration tests: real processes, started by the real supervisor.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

mod runner;
