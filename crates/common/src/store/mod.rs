//! All SQL, one file per table family, one function per verb.
//!
//! Free functions over a connection. There is no generic update: `claim`, `finish`, `requeue`, `cancel` are guarded
//! statements that return what they changed. Statements are checked against the schema at compile time.

pub mod action;
pub mod adoption;
pub mod api_token;
pub mod audit;
pub mod backlog;
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
pub mod explain;
pub mod idempotency;
pub mod identity;
pub mod ingest;
pub mod invariants;
pub mod known;
pub mod lease;
pub mod measure;
pub mod pack;
pub mod pack_load;
mod page;
pub mod quarantine;
mod reach;
pub mod refresh_token;
pub mod rescue;
pub mod rule;
pub mod rule_set;
pub mod runtime;
pub mod service_instance;
pub mod sign_in;
pub mod slot;
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
pub mod webhook;
pub mod webhook_inbox;

pub use db::{Error, is_locked, is_retryable};
pub use dedicated_connection::{DedicatedConnection, mark_unresponsive, with_default_timeout, with_timeout};
pub use page::{Page, Span};
pub use reach::reach;
pub use sqlx::{PgConnection, PgExecutor, PgPool};
pub use transaction::Transaction;
pub use violation::{Violation, ViolationKind, is_timeout, is_unavailable, is_unstorable, violation};

/// So many definitions that use another one are named.
pub const USERS_MAX: usize = 50;

use crate::clock;
use attune_domain::id;
use chrono::TimeDelta;
use uuid::Uuid;

/// The smallest and the largest of some ids: with them in a statement, PostgreSQL looks into the partitions of these
/// ids only.
fn bounds(ids: &[Uuid]) -> (Uuid, Uuid) {
    let low = ids.iter().min().copied().unwrap_or_default();
    let high = ids.iter().max().copied().unwrap_or_default();
    (low, high)
}

/// Where the ids of nearly everything lie that is pending now. A claim names these bounds without having seen an id, so
/// that PostgreSQL opens one or two partitions; what lies outside is found by a second look. A hint and no decision, hence
/// the clock of this machine.
fn recent() -> (Uuid, Uuid) {
    let now = clock::now();
    (
        id::floor(now - TimeDelta::hours(6)),
        id::floor(now + TimeDelta::hours(1)),
    )
}
