//! Reading timers: next fire time, lateness, and missed occurrences.

use super::{Error, Page};
use attune_domain::{TriggerId, TriggerRef, timer::GapReason};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgPool, types::Json};
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
pub struct Timer {
    pub trigger_id: TriggerId,
    #[schema(value_type = String)]
    pub trigger_ref: TriggerRef,
    pub enabled: bool,
    pub config: Value,
    pub next_fire_at: Option<DateTime<Utc>>,
    /// The last occurrence that became an event: its scheduled time, and when it fired.
    pub last_scheduled_at: Option<DateTime<Utc>>,
    pub last_fired_at: Option<DateTime<Utc>>,
    pub fired: i64,
    /// How many of those were later than their `grace_seconds`.
    pub late: i64,
    /// How late the last one was.
    pub last_late_ms: Option<i64>,
    pub missed: i64,
    pub error_count: i32,
    pub last_error: Option<String>,
    /// The latest missed occurrences, newest first, at most five.
    #[schema(value_type = Vec<TimerGap>)]
    pub gaps: Json<Vec<TimerGap>>,
}

/// Consecutive occurrences that did not fire.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TimerGap {
    pub from_at: DateTime<Utc>,
    pub to_at: DateTime<Utc>,
    pub missed: i64,
    #[schema(value_type = GapReason)]
    pub reason: String,
    pub created_at: DateTime<Utc>,
}

pub async fn page(pool: &PgPool, page: &Page) -> Result<Vec<Timer>, Error> {
    sqlx::query_as!(
        Timer,
        r#"select t.id as trigger_id, t.ref as trigger_ref, t.enabled, t.config, m.next_fire_at as "next_fire_at?",
                  m.last_scheduled_at as "last_scheduled_at?", m.last_fired_at as "last_fired_at?", coalesce(m.fired, 0) as "fired!",
                  coalesce(m.late, 0) as "late!", (extract(epoch from m.last_fired_at - m.last_scheduled_at) * 1000)::bigint as last_late_ms,
                  coalesce(m.missed, 0) as "missed!", coalesce(m.error_count, 0) as "error_count!", m.last_error as "last_error?",
                  (select coalesce(jsonb_agg(g order by g.created_at desc), '[]')
                   from (select from_at, to_at, missed, reason, created_at from timer_gap where trigger_id = t.id order by id desc limit 5) g) as "gaps!: Json<Vec<TimerGap>>"
           from trigger t left join timer m on m.trigger_id = t.id
           where t.kind = 'timer' and t.ref > coalesce($1, '') order by t.ref limit $2"#,
        page.after.as_deref(),
        page.rows()
    )
    .fetch_all(pool)
    .await
}
