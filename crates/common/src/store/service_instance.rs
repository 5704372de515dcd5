//! Which services live, and where.

use super::Error;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

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
         on conflict (id) do update set heartbeat_at = db_now(), detail = excluded.detail",
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

/// A service that stopped cleanly takes its row along.
pub async fn leave(pool: &PgPool, id: Uuid) -> Result<(), Error> {
    sqlx::query!("delete from service_instance where id = $1", id)
        .execute(pool)
        .await
        .map(drop)
}
