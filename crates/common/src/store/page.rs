//! Pagination of lists: a cursor and a limit.

use super::transaction::Transaction;
use attune_domain::id;
use chrono::{DateTime, Utc};
use sqlx::{Error, PgPool};
use uuid::Uuid;

/// A page of definitions, by reference.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The last reference of the previous page.
    pub after: Option<String>,
    pub limit: u16,
}

impl Page {
    /// One row more than the limit, to detect a next page.
    pub fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }
}

/// A page of occurrences, newest first, as bounds of ids: partitions outside of them are not read.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub from: Uuid,
    /// Exclusive.
    pub to: Uuid,
    pub limit: u16,
}

impl Span {
    pub fn new(limit: u16) -> Self {
        Self {
            from: Uuid::nil(),
            to: Uuid::max(),
            limit,
        }
    }

    pub fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Not before this instant, by the time in the id.
    #[must_use]
    pub fn since(mut self, at: Option<DateTime<Utc>>) -> Self {
        self.from = self.from.max(at.map_or(Uuid::nil(), id::floor));
        self
    }

    /// Before this instant, by the time in the id.
    #[must_use]
    pub fn until(mut self, at: Option<DateTime<Utc>>) -> Self {
        self.to = self.to.min(at.map_or(Uuid::max(), id::floor));
        self
    }

    /// After the last id of the previous page.
    #[must_use]
    pub fn after(mut self, cursor: Option<Uuid>) -> Self {
        self.to = self.to.min(cursor.unwrap_or(Uuid::max()));
        self
    }

    /// Only ids in the millisecond of this one, which all rows that follow from one event share.
    #[must_use]
    pub fn around(mut self, occurrence: Option<Uuid>) -> Self {
        if let Some(occurrence) = occurrence {
            let (from, to) = id::same_instant(occurrence);
            self.from = self.from.max(from);
            self.to = self.to.min(to);
        }
        self
    }
}

/// A transaction whose statements are planned for their arguments: a filter that is not set is then not part of the plan, one
/// that is set uses its index, and partitions outside of the bounds are not opened.
pub(super) async fn planned(pool: &PgPool) -> Result<Transaction, Error> {
    let mut transaction = Transaction::begin(pool).await?;
    sqlx::query!("set local plan_cache_mode = force_custom_plan")
        .execute(&mut *transaction)
        .await?;
    Ok(transaction)
}
