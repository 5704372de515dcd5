//! The executor's integration tests, on a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

mod amnesty;
