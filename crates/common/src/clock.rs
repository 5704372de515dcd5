//! The wall clock, read here only.
//!
//! It serves what a person reads and what tokens expire by. What is *due* is decided by the database's clock (`db_now()`).

use chrono::{DateTime, Utc};

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}
