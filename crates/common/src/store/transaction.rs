//! Transactions that may be dropped at any instant.
//!
//! Those of sqlx 0.9.0 may not: dropping one before the server has answered its `begin` returns the connection to the pool inside
//! an open transaction (sqlx issue 4393). Later statements on that connection appear to succeed and are never committed. Remove
//! this module when a release contains sqlx pull request 4394.

use sqlx::{Error, PgConnection, PgPool, Postgres, pool::PoolConnection, postgres::PgTransactionManager as Manager};
use sqlx_core::transaction::TransactionManager as _;
use std::ops::{Deref, DerefMut};

/// Ends with [`Self::commit`]. Dropping it rolls it back.
#[derive(Debug)]
pub struct Transaction {
    connection: PoolConnection<Postgres>,
    /// The server has not answered `begin`, `commit` or `rollback` yet, so the state of the connection is unknown.
    is_unknown: bool,
}

impl Transaction {
    pub async fn begin(pool: &PgPool) -> Result<Self, Error> {
        let mut transaction = Self {
            connection: pool.acquire().await?,
            is_unknown: true,
        };
        Manager::begin(&mut transaction.connection, None).await?;
        transaction.is_unknown = false;
        Ok(transaction)
    }

    pub async fn commit(mut self) -> Result<(), Error> {
        self.is_unknown = true;
        Manager::commit(&mut self.connection).await?;
        self.is_unknown = false;
        Ok(())
    }

    pub async fn rollback(mut self) -> Result<(), Error> {
        self.is_unknown = true;
        Manager::rollback(&mut self.connection).await?;
        self.is_unknown = false;
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.is_unknown {
            self.connection.close_on_drop();
        } else {
            // Has no effect after a commit or rollback.
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
