//! What must hold of the rows, whatever happened: the statements of `sql/invariants`, each of which must find nothing.
//!
//! They read all of the history, so they are for tests and for a person who doubts, never for a service. A person runs
//! them with psql too: `psql "$URL" -f crates/common/sql/invariants/I02_interval_accounted.sql`.

use super::Error;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};

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
);

/// A row that contradicts an invariant.
#[derive(Debug)]
pub struct Violation {
    pub invariant: &'static str,
    pub row: Value,
}

/// Everything that does not hold, at most 20 rows of each invariant. Right only when nothing is under way.
pub async fn violations(connection: &mut PgConnection) -> Result<Vec<Violation>, Error> {
    let mut found = Vec::new();
    for (invariant, sql) in ALL {
        // Not checked at compile time: the same files are read by people.
        let statement = AssertSqlSafe(format!("select to_jsonb(v) from ({sql}) v limit 20"));
        let rows: Vec<Value> = sqlx::query_scalar(statement).fetch_all(&mut *connection).await?;
        found.extend(rows.into_iter().map(|row| Violation { invariant, row }));
    }
    Ok(found)
}
