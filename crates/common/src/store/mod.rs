//! All SQL, one file per table family, one function per verb.
//!
//! Free functions over a connection. There is no generic update: `claim`, `finish`, `requeue`, `cancel` are guarded
//! statements that return what they changed. Statements are checked against the schema at compile time.

pub mod db;
pub mod pack_load;
pub mod service_instance;

pub use db::{Error, is_retryable};
pub use sqlx::{PgConnection, PgPool};
