//! Tests of the shared parts against a real database.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

mod packs;
mod seed;
mod setup_script;
