//! The benchmark's own SQL: creates definitions by the thousand, and counts results and cost.
//!
//! All definitions belong to the pack `bench`.

mod counters;
mod definitions;
mod files;
mod floor;
mod history;
mod quiesce;
mod statements;

pub use counters::{Counters, Server, Sizes, counters, server, sizes};
pub use definitions::{
    NewAction, limit_rules, make_action, make_pack, make_rules, make_shell_action, make_timers, make_trigger,
    register_timers, remove_all,
};
pub use files::{file_events, is_scanned, make_file_watch};
pub use floor::{SCHEMA, commit, has_pgbench_tables, make_schema};
pub use history::{Fired, decided, drop_history, fill_history, fired, first_fired, flow, is_idle, ledger, manual};
pub use quiesce::quiesce;
pub use statements::{Cost, STEPS, Statements};
