//! What must hold of the rows, whatever happened: the statements of `sql/invariants`, each of which must find nothing.
//!
//! They read all of the history, so they are for tests and for a person who doubts, never for a service. A person runs
//! `attune check`, or one of them with psql: `psql "$URL" -f crates/common/sql/invariants/I02_interval_accounted.sql`.

use super::{Error, Transaction};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

macro_rules! invariants {
    ($($name:literal),* $(,)?) => {
        /// Name and statement.
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
);

/// The one that holds only when nothing is under way.
pub const ENDED: &str = "I05_everything_ended";

/// How many rows of one invariant are found.
pub const ROWS_MAX: usize = 20;

/// A row that contradicts an invariant.
#[derive(Debug)]
pub struct Violation {
    pub invariant: &'static str,
    pub row: Value,
}

/// Everything that does not hold in one instant of a database that may be at work.
pub async fn snapshot(pool: &PgPool) -> Result<Vec<Violation>, Error> {
    let mut tx = Transaction::begin(pool).await?;
    // These statements read everything: what bounds and steers the short ones of services would be in their way.
    let large = "set transaction isolation level repeatable read, read only; set local statement_timeout = 0;
                 set local enable_seqscan = on; set local plan_cache_mode = auto";
    sqlx::raw_sql(large).execute(&mut *tx).await?;
    let found = violations(&mut tx).await?;
    tx.rollback().await?;
    Ok(found)
}

/// Everything that does not hold, at most [`ROWS_MAX`] rows of each invariant. [`ENDED`] is right only when nothing is
/// under way; the others, when nothing changes between them.
pub async fn violations(connection: &mut PgConnection) -> Result<Vec<Violation>, Error> {
    let mut found = Vec::new();
    for (invariant, sql) in ALL {
        // Not checked at compile time: the same files are read by people.
        let statement = AssertSqlSafe(format!("select to_jsonb(v) from ({sql}) v limit {ROWS_MAX}"));
        let rows: Vec<Value> = sqlx::query_scalar(statement).fetch_all(&mut *connection).await?;
        found.extend(rows.into_iter().map(|row| Violation { invariant, row }));
    }
    Ok(found)
}
