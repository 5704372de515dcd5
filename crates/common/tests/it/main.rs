//! Tests of the shared parts against a real database.

mod packs;
