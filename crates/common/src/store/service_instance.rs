//! The running services and their hosts.

use super::{Error, event_queue::interval};
use attune_domain::ExecutionId;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgExecutor, PgPool};
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

/// An instance with an older heartbeat is considered dead: it missed three.
pub(super) const ALIVE_SECONDS: f64 = 10.0;

#[derive(Debug)]
pub struct Instance {
    pub id: Uuid,
    pub kind: &'static str,
    pub host: String,
    pub pid: i32,
    pub version: &'static str,
}

/// Registers the instance, or renews its heartbeat.
pub async fn beat(pool: &PgPool, instance: &Instance, detail: &Value) -> Result<(), Error> {
    sqlx::query!(
        "insert into service_instance (id, kind, host, pid, version, detail)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (id) do update set heartbeat_at = db_now(), detail = excluded.detail, lost_at = null",
        instance.id,
        instance.kind,
        instance.host,
        instance.pid,
        instance.version,
        detail
    )
    .execute(pool)
    .await
    .map(drop)
}

/// Marks the workers whose last heartbeat is older than `patience` as lost, once. Returns how many there are. A lease may be
/// shorter than the pause between two heartbeats, so it takes ten seconds at least.
pub async fn mark_lost(db: impl PgExecutor<'_>, patience: Duration) -> Result<u64, Error> {
    sqlx::query!(
        "update service_instance set lost_at = db_now()
         where kind = 'worker' and lost_at is null and heartbeat_at < db_now() - greatest($1::interval, make_interval(secs => $2))",
        interval(patience),
        ALIVE_SECONDS
    )
    .execute(db)
    .await
    .map(|marked| marked.rows_affected())
}

/// Removes the row of a service that shut down.
pub async fn leave(pool: &PgPool, id: Uuid) -> Result<(), Error> {
    sqlx::query!("delete from service_instance where id = $1", id)
        .execute(pool)
        .await
        .map(drop)
}

/// A service instance.
#[derive(Debug, Serialize, ToSchema)]
pub struct Service {
    pub id: Uuid,
    pub kind: String,
    pub host: String,
    pub pid: i32,
    pub version: String,
    pub started_at: DateTime<Utc>,
    pub heartbeat_at: DateTime<Utc>,
    /// Whether its heartbeat is at most ten seconds old. It may still hang: see the status of its loops in `detail`.
    pub alive: bool,
    pub detail: Value,
}

/// All services, or those of one kind.
pub async fn list(pool: &PgPool, kind: Option<&str>) -> Result<Vec<Service>, Error> {
    sqlx::query_as!(
        Service,
        r#"select id, kind, host, pid, version, started_at, heartbeat_at, heartbeat_at > db_now() - make_interval(secs => $2) as "alive!", detail
           from service_instance where $1::text is null or kind = $1 order by kind, started_at, id limit 1000"#,
        kind,
        ALIVE_SECONDS
    )
    .fetch_all(pool)
    .await
}

/// Those of these executions that are ready but whose pool has no live worker, with the pool.
pub async fn without_worker(pool: &PgPool, ids: &[Uuid]) -> Result<Vec<(ExecutionId, String)>, Error> {
    let rows = sqlx::query!(
        "select q.execution_id, q.pool from execution_queue q
         where q.execution_id = any($1) and q.ready
           and not exists (select from service_instance s
                           where s.kind = 'worker' and s.heartbeat_at > db_now() - make_interval(secs => $2) and s.detail ->> 'pool' = q.pool)",
        ids,
        ALIVE_SECONDS
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.execution_id, row.pool)).collect())
}
