//! All SQL, one file per table family, one function per verb.
//!
//! Free functions over a connection. There is no generic update: `claim`, `finish`, `requeue` and `cancel` are guarded
//! statements that return the rows they changed. Statements are checked against the schema at compile time.

pub mod action;
pub mod adoption;
pub mod api_token;
pub mod attention;
pub mod audit;
pub mod backlog;
pub mod calendar;
pub mod contradiction;
pub mod db;
pub mod decision;
mod dedicated_connection;
pub mod definitions;
pub mod enforcement;
pub mod event;
pub mod event_queue;
pub mod execution;
pub mod execution_attempt;
pub mod execution_log;
pub mod execution_queue;
pub mod execution_start;
pub mod explain;
pub mod file_watch;
pub mod idempotency;
pub mod identity;
pub mod ingest;
pub mod invariants;
pub mod joint;
pub mod known;
pub mod lease;
pub mod pack;
pub mod pack_archive;
pub mod pack_load;
pub mod pack_value;
mod page;
pub mod pool_key;
mod presence;
pub mod quarantine;
mod reach;
pub mod refresh_token;
pub mod rescue;
pub mod rule;
pub mod rule_set;
pub mod runtime;
pub mod search;
pub mod secret;
pub mod service_instance;
pub mod sign_in;
pub mod slot;
mod timeout;
pub mod timer;
pub mod timer_advance;
pub mod timer_gap;
pub mod timer_history;
pub mod timer_list;
pub mod timer_plan;
mod transaction;
pub mod trigger;
pub mod upkeep;
mod violation;
pub mod watch;
pub mod web_session;
pub mod webhook;
pub mod webhook_inbox;

pub use db::{is_locked, is_retryable};
pub use dedicated_connection::DedicatedConnection;
pub use page::{Page, Span};
pub use reach::reach;
pub use sqlx::{Error, PgConnection, PgExecutor, PgPool};
pub use timeout::{mark_unresponsive, with_default_timeout, with_timeout};
pub use transaction::Transaction;
pub use violation::{Violation, ViolationKind, is_timeout, is_unavailable, is_unstorable, violation};

/// The most users of a definition that an answer lists.
pub const USERS_MAX: usize = 50;

use crate::clock;
use attune_domain::id;
use chrono::TimeDelta;
use uuid::Uuid;

/// The smallest and the largest of some ids. With them in a statement, PostgreSQL opens only the partitions of these ids.
fn bounds(ids: &[Uuid]) -> (Uuid, Uuid) {
    let low = ids.iter().min().copied().unwrap_or_default();
    let high = ids.iter().max().copied().unwrap_or_default();
    (low, high)
}

/// The bounds of nearly all pending ids. A claim uses them before it has seen an id, so that PostgreSQL opens one or two
/// partitions; a second query finds the rows outside. This is a hint and not a decision, so it uses the clock of this machine.
fn recent() -> (Uuid, Uuid) {
    let now = clock::now();
    (
        id::floor(now - TimeDelta::hours(6)),
        id::floor(now + TimeDelta::hours(1)),
    )
}
