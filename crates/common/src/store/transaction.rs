//! Transactions that may be given up at any instant.
//!
//! Those of sqlx 0.9.0 may not: one that is dropped before the server has answered its `begin` gives its connection back
//! to the pool inside a transaction that nobody knows of (sqlx issue 4393). Whatever uses the connection next is told that
//! it is done, and never committed. Remove this when a release has sqlx pull request 4394.

use super::Error;
use sqlx::{PgConnection, PgPool, Postgres, pool::PoolConnection, postgres::PgTransactionManager as Manager};
use sqlx_core::transaction::TransactionManager as _;
use std::ops::{Deref, DerefMut};

/// Ends with [`Self::commit`]; dropped, nothing of it stays.
#[derive(Debug)]
pub struct Transaction {
    connection: PoolConnection<Postgres>,
    /// The server was asked to begin or to end it, and has not answered: nobody can tell what the connection is in.
    doubtful: bool,
}

impl Transaction {
    pub async fn begin(pool: &PgPool) -> Result<Self, Error> {
        let mut begun = Self {
            connection: pool.acquire().await?,
            doubtful: true,
        };
        Manager::begin(&mut begun.connection, None).await?;
        begun.doubtful = false;
        Ok(begun)
    }

    pub async fn commit(mut self) -> Result<(), Error> {
        self.doubtful = true;
        Manager::commit(&mut self.connection).await?;
        self.doubtful = false;
        Ok(())
    }

    pub async fn rollback(mut self) -> Result<(), Error> {
        self.doubtful = true;
        Manager::rollback(&mut self.connection).await?;
        self.doubtful = false;
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.doubtful {
            self.connection.close_on_drop();
        } else {
            // Of one that ended this does nothing.
            Manager::start_rollback(&mut self.connection);
        }
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
