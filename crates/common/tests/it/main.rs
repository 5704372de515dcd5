//! Tests of the shared parts with real servers, processes and folders.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed assumption fails the test"
)]

mod audit;
mod backlog;
mod bus;
mod compose;
mod concepts;
mod connections;
mod core_actions;
mod dedup;
mod execution_states;
mod ingest;
mod install;
mod invariants;
mod joint;
mod migrations;
mod packs;
mod partitions;
mod plans;
mod postgres;
mod seed;
mod setup_script;
