//! Facts from the database.

use attune_common::{
    store::{Error, PgPool, invariants, is_unavailable},
    testing::eventually,
};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use std::time::Duration;
use tokio::time::timeout;

/// The timeout of a query while the database may be unavailable.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);

/// One number.
pub async fn number(pool: &PgPool, sql: &str) -> i64 {
    query_number(pool, sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// One number, unless the database is unavailable now, or was a moment ago.
pub async fn number_if_there(pool: &PgPool, sql: &str) -> Option<i64> {
    match timeout(ANSWERED_WITHIN, query_number(pool, sql)).await {
        Ok(Err(error)) if !is_unavailable(&error) => panic!("{sql}: {error}"),
        answer => answer.ok()?.ok(),
    }
}

async fn query_number(pool: &PgPool, sql: &str) -> Result<i64, Error> {
    sqlx::query_scalar(AssertSqlSafe(format!("select ({sql})::bigint")))
        .fetch_one(pool)
        .await
}

/// One value as JSON.
pub async fn value(pool: &PgPool, sql: &str) -> Value {
    let found: Option<Value> = sqlx::query_scalar(AssertSqlSafe(format!("select to_jsonb(({sql}))")))
        .fetch_one(pool)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    found.unwrap_or(Value::Null)
}

pub async fn execute(pool: &PgPool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(pool)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Waits until a condition in SQL is true. The database may be unavailable meanwhile.
pub async fn holds(pool: &PgPool, what: &str, within: Duration, sql: &str) {
    let sql = format!("case when {sql} then 1 else 0 end");
    let check = async || (number_if_there(pool, &sql).await? == 1).then_some(());
    eventually(what, within, check).await;
}

/// Waits until at least this many executions of a rule have succeeded and printed hello.
pub async fn hello(pool: &PgPool, rule: &str, at_least: i64) {
    let count = format!(
        "select count(*) from execution where rule_ref = '{rule}' and status = 'succeeded' and result->>'stdout' like 'Hello World%'"
    );
    let what = format!("{at_least} Hello World by {rule}");
    holds(
        pool,
        &what,
        Duration::from_secs(30),
        &format!("({count}) >= {at_least}"),
    )
    .await;
}

/// Disables all timers by SQL, and waits until nothing is pending or running. A backlog may take long on a slow machine, so
/// `within` bounds the time without progress.
pub async fn drain(pool: &PgPool, within: Duration) {
    execute(
        pool,
        "update trigger set enabled = false where kind = 'timer' and enabled",
    )
    .await;
    let left = "(select count(*) from timer_change) + (select count(*) from timer where next_fire_at is not null)
                + (select count(*) from event_queue) + (select count(*) from execution_queue)";
    let mut least = i64::MAX;
    while least > 0 {
        let what = format!("fewer than {least} rows are pending or running");
        let fewer = async || Some(number(pool, left).await).filter(|now| *now < least);
        least = eventually(&what, within, fewer).await;
    }
}

/// Every invariant of `common/sql/invariants`.
pub async fn assert_invariants(pool: &PgPool) {
    let mut connection = pool.acquire().await.expect("the database answers");
    let violations = invariants::violations(&mut connection)
        .await
        .expect("the invariants can be checked");
    assert!(
        violations.is_empty(),
        "{} violations: {violations:#?}",
        violations.len()
    );
}
