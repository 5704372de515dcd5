//! What each statement on the way of an execution costs, counted by PostgreSQL itself (`pg_stat_statements`).

use attune_common::store::Error;
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use std::str::FromStr as _;

/// The steps, in their order, and what their statements look like.
pub const STEPS: [(&str, &str); 6] = [
    (
        "joint commit",
        "%insert into event_dedup as d%insert into event_decision %",
    ),
    (
        "T1 ingest",
        "%insert into event_dedup as d%insert into event_queue (event_id) select id from fresh order by id%",
    ),
    (
        "T2 claim",
        "%update event_queue q set tries = q.tries + %left join lateral%",
    ),
    ("T2 decide", "%delete from event_queue q%insert into event_decision %"),
    ("T3 claim", "%from execution_claim(%"),
    ("T4 finish", "%delete from execution_queue q%update execution e%"),
];

/// What a step cost in all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    pub calls: i64,
    pub milliseconds: f64,
    pub wal_bytes: f64,
    pub wal_records: i64,
}

/// The superuser's connection to a private PostgreSQL.
pub struct Statements(PgConnection);

impl Statements {
    /// From now on the statements of new sessions are counted. Nothing where this PostgreSQL cannot count.
    pub async fn open(url: &str) -> Result<Option<Self>, Error> {
        let options = PgConnectOptions::from_str(url)?.username("postgres");
        let Ok(mut connection) = PgConnection::connect_with(&options).await else {
            return Ok(None);
        };
        for statement in [
            "create extension if not exists pg_stat_statements",
            "select pg_stat_statements_reset()",
            "alter role attune set pg_stat_statements.track = 'top'",
            "alter role attune set pg_stat_statements.track_planning = 'on'",
        ] {
            if let Err(error) = sqlx::query(statement).execute(&mut connection).await {
                tracing::warn!(%error, "this PostgreSQL cannot count statements");
                return Ok(None);
            }
        }
        Ok(Some(Self(connection)))
    }

    /// Forgets what was counted.
    pub async fn reset(&mut self) -> Result<(), Error> {
        sqlx::query("select pg_stat_statements_reset()")
            .execute(&mut self.0)
            .await
            .map(drop)
    }

    /// Not checked at compile time: the extension belongs to no migration.
    pub async fn of(&mut self, like: &str) -> Result<Cost, Error> {
        let (calls, milliseconds, wal_bytes, wal_records) = sqlx::query_as(
            r"select coalesce(sum(calls), 0)::bigint, coalesce(sum(total_plan_time + total_exec_time), 0)::float8,
                     coalesce(sum(wal_bytes), 0)::float8, coalesce(sum(wal_records), 0)::bigint
              from pg_stat_statements where regexp_replace(query, '\s+', ' ', 'g') like $1",
        )
        .bind(like)
        .fetch_one(&mut self.0)
        .await?;
        Ok(Cost {
            calls,
            milliseconds,
            wal_bytes,
            wal_records,
        })
    }

    /// New sessions are not counted any more.
    pub async fn close(mut self) -> Result<(), Error> {
        for name in ["track", "track_planning"] {
            let statement = format!("alter role attune reset pg_stat_statements.{name}");
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut self.0).await?;
        }
        self.0.close().await
    }
}
