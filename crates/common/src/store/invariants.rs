//! The invariants of the rows: the statements in `sql/invariants`, each of which must return nothing.
//!
//! They read all of the history, so they are for tests and operators, and not for services. An operator runs `attune check`, or
//! one of them with psql: `psql "$URL" -f crates/common/sql/invariants/I02_interval_accounted.sql`.

use super::{Error, Transaction};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

macro_rules! invariants {
    ($($name:literal),* $(,)?) => {
        /// Names and statements.
        pub const ALL: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../sql/invariants/", $name, ".sql")))),*
        ];
    };
}

invariants!(
    "I01_timer_fires_once",
    "I02_interval_accounted",
    "I03_rules_met",
    "I04_enforcement_followed",
    "I05_everything_ended",
    "I06_one_result",
    "I07_result_of_its_attempt",
    "I08_started_once",
    "I09_queue_agrees",
    "I10_event_not_forgotten",
    "I11_attempts_in_order",
    "I12_promised_ids",
    "I13_slots_agree",
    "I14_limits_held",
    "I15_files_accounted",
    "I16_ends_reported",
    "I17_chains_bounded",
);

/// The invariant that holds only if no work is in progress.
pub const ENDED: &str = "I05_everything_ended";

/// The most rows that one invariant returns.
pub const ROWS_MAX: usize = 20;

/// A row that contradicts an invariant.
#[derive(Debug)]
pub struct Violation {
    pub invariant: &'static str,
    pub row: Value,
}

/// All violations at one instant of a database that may be in use.
pub async fn snapshot(pool: &PgPool) -> Result<Vec<Violation>, Error> {
    let mut tx = Transaction::begin(pool).await?;
    // These statements read everything: the limits and planner settings of services do not suit them.
    let large = "set transaction isolation level repeatable read, read only; set local statement_timeout = 0;
                 set local enable_seqscan = on; set local plan_cache_mode = auto";
    sqlx::raw_sql(large).execute(&mut *tx).await?;
    let found = violations(&mut tx).await?;
    tx.rollback().await?;
    Ok(found)
}

/// All violations, at most [`ROWS_MAX`] rows of each invariant. [`ENDED`] is meaningful only if no work is in progress, and the
/// others if nothing changes between them.
pub async fn violations(connection: &mut PgConnection) -> Result<Vec<Violation>, Error> {
    let mut found = Vec::new();
    for (invariant, sql) in ALL {
        // Not checked at compile time: the same files are run with psql.
        let statement = AssertSqlSafe(format!("select to_jsonb(v) from ({sql}) v limit {ROWS_MAX}"));
        let rows: Vec<Value> = sqlx::query_scalar(statement).fetch_all(&mut *connection).await?;
        found.extend(rows.into_iter().map(|row| Violation { invariant, row }));
    }
    Ok(found)
}
