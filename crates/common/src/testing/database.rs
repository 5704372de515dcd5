//! A database for each test, on the server that `ATTUNE_TEST_DATABASE_URL` names (`scripts/test.sh` starts one).

use crate::{
    config::variable,
    postgres::Postgres,
    store::{self, Transaction},
};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{Connection as _, PgConnection, PgPool};
use uuid::Uuid;

/// A freshly migrated database. It is dropped by [`Database::close`], or with the server.
#[derive(Debug)]
pub struct Database {
    pub pool: PgPool,
    pub url: SecretString,
    name: String,
    server: String,
}

impl Database {
    /// Creates the database and migrates its schema.
    pub async fn new() -> Self {
        let database = Self::empty().await;
        store::db::migrate(&database.pool)
            .await
            .expect("migrations apply to an empty database");
        database
    }

    /// The database of a server that belongs to the test, which may stop and freeze it. Removed with the server.
    pub async fn on(postgres: &Postgres) -> Self {
        let server = postgres.url();
        let url = SecretString::from(server.clone());
        let pool = store::db::pool(&url, "attune-test", 20).expect("the address is well formed");
        store::db::migrate(&pool).await.expect("migrations apply");
        let name = crate::postgres::DATABASE.to_owned();
        Self {
            pool,
            url,
            name,
            server,
        }
    }

    /// Creates the database without any table.
    pub async fn empty() -> Self {
        let server = variable("ATTUNE_TEST_DATABASE_URL").expect(
            "tests need a PostgreSQL server: run ./scripts/test.sh, or set ATTUNE_TEST_DATABASE_URL to one for tests",
        );
        let name = format!("test_{}", Uuid::now_v7().simple());
        let mut connection = PgConnection::connect(&server).await.expect("the test server answers");
        sqlx::query(sqlx::AssertSqlSafe(format!("create database {name}")))
            .execute(&mut connection)
            .await
            .expect("a database can be created");
        let url = SecretString::from(with_database(&server, &name));
        let pool = store::db::pool(&url, "attune-test", 20).expect("the address is well formed");
        Self {
            pool,
            url,
            name,
            server,
        }
    }

    pub fn url(&self) -> &str {
        self.url.expose_secret()
    }

    /// Drops the database even if sessions are connected. The database of a server of its own is removed with the server.
    pub async fn close(self) {
        self.vanish().await;
    }

    /// Drops the database in the middle of a test: queries fail from now on.
    pub async fn vanish(&self) {
        self.pool.close().await;
        if self.url() == self.server {
            return;
        }
        let mut connection = PgConnection::connect(&self.server)
            .await
            .expect("the test server answers");
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "drop database if exists {} with (force)",
            self.name
        )))
        .execute(&mut connection)
        .await
        .expect("the test's database can be dropped");
    }

    /// Runs SQL of a test: inserts rows, moves time, injects faults.
    pub async fn execute(&self, sql: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
            .execute(&self.pool)
            .await
            .expect("the test's SQL is valid");
    }

    /// The one JSON value that a query returns.
    pub async fn json(&self, sql: &str) -> serde_json::Value {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()))
            .fetch_one(&self.pool)
            .await
            .expect("the test's SQL is valid")
    }

    /// The result of a test's `select count(*) …`.
    pub async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()))
            .fetch_one(&self.pool)
            .await
            .expect("the test's SQL is valid")
    }

    /// The rows of a test's `select text …`.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()))
            .fetch_all(&self.pool)
            .await
            .expect("the test's SQL is right")
    }

    /// Takes the advisory lock of a text, until the transaction ends.
    pub async fn lock(&self, transaction: &mut PgConnection, text: &str) {
        sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(text)
            .execute(transaction)
            .await
            .expect("the lock is free");
    }

    /// Another session that holds a lock until the test ends its transaction.
    pub async fn hold(&self, lock: &str) -> Transaction {
        let mut holder = Transaction::begin(&self.pool).await.expect("a transaction begins");
        for statement in ["set local idle_in_transaction_session_timeout = 0", lock] {
            sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()))
                .execute(&mut *holder)
                .await
                .expect("the lock is free");
        }
        holder
    }

    /// Moves the database's clock.
    pub async fn move_clock(&self, by: &str) {
        self.execute(&format!(
            "create or replace function db_now() returns timestamptz language sql stable parallel safe as $$ select clock_timestamp() + interval '{by}' $$"
        ))
        .await;
    }
}

fn with_database(server: &str, name: &str) -> String {
    let (address, parameters) = server.split_once('?').map_or((server, None), |(a, p)| (a, Some(p)));
    let base = match address
        .find("://")
        .and_then(|scheme| address[scheme + 3..].find('/').map(|slash| scheme + 3 + slash))
    {
        Some(slash) => &address[..slash],
        None => address,
    };
    match parameters {
        Some(parameters) => format!("{base}/{name}?{parameters}"),
        None => format!("{base}/{name}"),
    }
}
