//! Statements that only the load of a pack needs. It writes definitions with the same functions as the API.

use super::Error;
use attune_domain::PackId;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Makes this transaction the load of a pack: the database marks the rows that it writes as `managed`. Locks the
/// definitions counter, which every change of a definition locks until it commits, so that nothing changes between the
/// comparison of a row with its file and the write.
pub async fn begin(tx: &mut PgConnection) -> Result<(), Error> {
    sqlx::query!("select set_config('attune.loading', 'on', true) as loading")
        .fetch_one(&mut *tx)
        .await?;
    sqlx::query!("select version from definitions for update")
        .fetch_one(tx)
        .await
        .map(drop)
}

/// The current time and the limits, against which new timers are validated.
#[derive(Debug)]
pub struct Present {
    pub now: DateTime<Utc>,
    pub event_keep_days: i32,
}

pub async fn present(tx: &mut PgConnection) -> Result<Present, Error> {
    sqlx::query_as!(
        Present,
        r#"select db_now() as "now!", keep_days as event_keep_days from partitioned_table where name = 'event'"#
    )
    .fetch_one(tx)
    .await
}

/// A definition that a file of the pack made.
#[derive(Debug)]
pub struct Defined {
    pub noun: String,
    pub r#ref: String,
}

pub async fn defined(tx: &mut PgConnection, pack: PackId) -> Result<Vec<Defined>, Error> {
    sqlx::query_as!(
        Defined,
        r#"select u.noun as "noun!", u.ref as "ref!" from (
               select 'rule' as noun, ref::text, pack_id, managed from rule where owner_rule_id is null
               union all select 'trigger', ref, pack_id, managed from trigger where owner_rule_id is null
               union all select 'action', ref, pack_id, managed from action
               union all select 'runtime', ref, pack_id, managed from runtime
           ) u where u.pack_id = $1 and u.managed order by 1, 2"#,
        pack.0
    )
    .fetch_all(tx)
    .await
}
