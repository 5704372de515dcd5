//! All SQL, one file per table family, one function per verb.
//!
//! Free functions over a connection. There is no generic update: `claim`, `finish`, `requeue`, `cancel` are guarded
//! statements that return what they changed. Statements are checked against the schema at compile time.

pub mod db;
pub mod event_queue;
pub mod execution_queue;
pub mod ingest;
pub mod pack_load;
pub mod rule_set;
pub mod service_instance;
pub mod timer;
pub mod upkeep;

pub use db::{Error, is_retryable};
pub use sqlx::{PgConnection, PgPool};

use uuid::Uuid;

/// The smallest and the largest of some ids: with them in a statement, PostgreSQL looks into the partitions of these
/// ids only.
fn bounds(ids: &[Uuid]) -> (Uuid, Uuid) {
    let low = ids.iter().min().copied().unwrap_or_default();
    let high = ids.iter().max().copied().unwrap_or_default();
    (low, high)
}
