//! Tests of the shared parts against the real outside: servers, processes, folders.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod postgres;
