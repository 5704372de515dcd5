//! The floor under everything: one small durable commit.

use attune_common::store::{Error, PgConnection};
use sqlx::PgPool;

/// The schema of the tables for floors, separate from everything else.
pub const SCHEMA: &str = "attune_bench";

pub async fn make_schema(pool: &PgPool) -> Result<(), Error> {
    // Not checked at compile time: these tables belong to no migration.
    sqlx::query("create schema if not exists attune_bench")
        .execute(pool)
        .await?;
    sqlx::query("create table if not exists attune_bench.commit_floor (id bigint generated always as identity primary key, written_at timestamptz not null default now())")
        .execute(pool)
        .await
        .map(drop)
}

/// One row, one commit, one round trip.
pub async fn commit(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query("insert into attune_bench.commit_floor default values")
        .execute(connection)
        .await
        .map(drop)
}

pub async fn has_pgbench_tables(pool: &PgPool) -> Result<bool, Error> {
    sqlx::query_scalar!(r#"select to_regclass('attune_bench.pgbench_history') is not null as "there!""#)
        .fetch_one(pool)
        .await
}
