//! Counts the statements of a server of [`super::PostgresNode::counting`] (`pg_stat_statements`).

use crate::postgres::Postgres;
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use std::str::FromStr as _;

/// The superuser's connection.
#[derive(Debug)]
pub struct Statements(PgConnection);

impl Statements {
    /// From now on the statements of new sessions are counted.
    pub async fn open(postgres: &Postgres) -> Self {
        let options = PgConnectOptions::from_str(&postgres.url()).expect("the address is well formed");
        let connection = PgConnection::connect_with(&options.username("postgres")).await;
        let mut this = Self(connection.expect("the superuser may connect"));
        this.run("create extension if not exists pg_stat_statements").await;
        this.run("alter role attune set pg_stat_statements.track = 'top'").await;
        this
    }

    pub async fn reset(&mut self) {
        self.run("select pg_stat_statements_reset()").await;
    }

    /// The statements since the last reset, the most frequent first.
    pub async fn counted(&mut self) -> Vec<(i64, String)> {
        sqlx::query_as(
            "select s.calls, s.query from pg_stat_statements s join pg_roles r on r.oid = s.userid
             where r.rolname = 'attune' order by s.calls desc",
        )
        .fetch_all(&mut self.0)
        .await
        .expect("statements are counted")
    }

    async fn run(&mut self, statement: &'static str) {
        sqlx::query(statement)
            .execute(&mut self.0)
            .await
            .expect("PostgreSQL has pg_stat_statements");
    }
}
