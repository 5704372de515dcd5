//! The integration tests of this crate: one binary, a module each.

#![expect(clippy::expect_used, reason = "a test's helpers fail as tests do")]

mod bus;
