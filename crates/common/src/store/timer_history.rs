//! The changes of timers that no sensor has applied yet, recorded by the database itself.

use super::Error;
use attune_domain::TriggerId;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};

/// The most changes of one timer that a transaction applies.
const PENDING_MAX: i64 = 1_000;

/// The state of a trigger between two changes.
#[derive(Debug, Clone)]
pub struct Pending {
    pub trigger_id: TriggerId,
    pub version: i64,
    pub enabled: bool,
    pub is_timer: bool,
    pub config: Value,
    pub changed_at: DateTime<Utc>,
}

/// The changes after these versions, oldest first. Includes the present state even if it was not recorded: before an upgrade, or
/// while the database's triggers were disabled.
pub async fn pending(tx: &mut PgConnection, seen: &[(TriggerId, i64)]) -> Result<Vec<Pending>, Error> {
    let (ids, versions): (Vec<i64>, Vec<i64>) = seen.iter().map(|(id, version)| (id.0, *version)).unzip();
    sqlx::query_as!(
        Pending,
        r#"select g.id as "trigger_id!: TriggerId", v.version as "version!", v.enabled as "enabled!", v.is_timer as "is_timer!", v.config as "config!", v.changed_at as "changed_at!"
           from unnest($1::bigint[], $2::bigint[]) as g (id, seen) cross join lateral (
               select h.version, h.enabled, h.is_timer, h.config, h.changed_at from timer_history h where h.trigger_id = g.id and h.version > g.seen
               union all
               select t.version, t.enabled and p.enabled and m.stopped_version is distinct from t.version, t.kind = 'timer', t.config, t.updated_at
               from trigger t join pack p on p.id = t.pack_id left join timer m on m.trigger_id = t.id
               where t.id = g.id and t.version > g.seen
                 and not exists (select from timer_history h where h.trigger_id = t.id and h.version = t.version)
               order by version limit $3
           ) v order by 1, 2"#,
        &ids,
        &versions,
        PENDING_MAX
    )
    .fetch_all(tx)
    .await
}

/// Removes applied changes.
pub async fn forget(tx: &mut PgConnection, seen: &[(TriggerId, i64)]) -> Result<(), Error> {
    let (ids, versions): (Vec<i64>, Vec<i64>) = seen.iter().map(|(id, version)| (id.0, *version)).unzip();
    sqlx::query!(
        "delete from timer_history h using unnest($1::bigint[], $2::bigint[]) as g (id, seen) where h.trigger_id = g.id and h.version <= g.seen",
        &ids,
        &versions
    )
    .execute(tx)
    .await
    .map(drop)
}

/// Removes all applied changes, including those applied by a sensor of an earlier release, which did not remove them.
pub async fn forget_applied(db: impl PgExecutor<'_>) -> Result<u64, Error> {
    sqlx::query!(
        "delete from timer_history h using timer m where m.trigger_id = h.trigger_id and h.version <= m.seen_version"
    )
    .execute(db)
    .await
    .map(|done| done.rows_affected())
}
