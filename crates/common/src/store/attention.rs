//! What needs the attention of a person: each function answers one question with few rows.

use super::{Error, page::planned};
use attune_domain::{EventId, RuleRef, TriggerRef, id};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

const ROWS_MAX: i64 = 50;
/// The newest executions that failure rates are computed from.
const SAMPLE: i64 = 5_000;
/// Fewer executions or requests do not make a rate.
const LEAST: i64 = 5;

/// A timer that cannot be evaluated.
#[derive(Debug)]
pub struct BrokenTimer {
    pub trigger_ref: TriggerRef,
    pub error: String,
}

pub async fn broken_timers(pool: &PgPool) -> Result<Vec<BrokenTimer>, Error> {
    sqlx::query_as!(
        BrokenTimer,
        r#"select t.ref as trigger_ref, m.last_error as "error!" from timer m join trigger t on t.id = m.trigger_id
           where m.error_count > 0 and m.last_error is not null and t.enabled and t.kind = 'timer' order by t.ref limit $1"#,
        ROWS_MAX
    )
    .fetch_all(pool)
    .await
}

/// A timer with missed occurrences.
#[derive(Debug)]
pub struct MissedTimer {
    pub trigger_ref: TriggerRef,
    pub since: DateTime<Utc>,
    pub missed: i64,
}

/// Timers that missed occurrences within a day, other than by their own policy `skip` or because they were changed.
pub async fn missed_timers(pool: &PgPool) -> Result<Vec<MissedTimer>, Error> {
    sqlx::query_as!(
        MissedTimer,
        r#"select t.ref as trigger_ref, min(g.from_at) as "since!", sum(g.missed)::bigint as "missed!"
           from trigger t cross join lateral (
               select from_at, missed, reason, created_at from timer_gap where trigger_id = t.id order by id desc limit 20) g
           where t.kind = 'timer' and g.created_at > db_now() - interval '1 day' and g.reason in ('latest', 'catchup_window', 'catchup_max', 'max_age')
           group by t.ref order by t.ref limit $1"#,
        ROWS_MAX
    )
    .fetch_all(pool)
    .await
}

/// An event whose decision failed repeatedly.
#[derive(Debug)]
pub struct QuarantinedEvent {
    pub event_id: EventId,
    pub trigger_ref: Option<TriggerRef>,
    pub since: DateTime<Utc>,
    pub error: Option<String>,
}

pub async fn quarantined(pool: &PgPool) -> Result<Vec<QuarantinedEvent>, Error> {
    sqlx::query_as!(
        QuarantinedEvent,
        r#"select q.event_id, e.trigger_ref as "trigger_ref?", q.quarantined_at as "since!", q.last_error as error
           from event_queue q left join event e on e.id = q.event_id
           where q.quarantined_at is not null order by q.quarantined_at limit $1"#,
        ROWS_MAX
    )
    .fetch_all(pool)
    .await
}

/// A rule of whose executions more than half failed within an hour.
#[derive(Debug)]
pub struct FailingRule {
    pub rule_ref: RuleRef,
    pub since: DateTime<Utc>,
    pub ended: i64,
    pub failed: i64,
}

pub async fn failing_rules(pool: &PgPool, now: DateTime<Utc>) -> Result<Vec<FailingRule>, Error> {
    sqlx::query_as!(
        FailingRule,
        r#"select rule_ref as "rule_ref!: RuleRef", min(finished_at) filter (where bad) as "since!", count(*) as "ended!",
                  count(*) filter (where bad) as "failed!"
           from (select rule_ref, finished_at, status in ('failed', 'timed_out', 'lost') as bad, status
                 from execution where id >= $1 and rule_ref is not null order by id desc limit $2) newest
           where bad or status = 'succeeded'
           group by rule_ref having count(*) >= $3 and 2 * count(*) filter (where bad) > count(*)
           order by rule_ref limit $4"#,
        id::floor(now - TimeDelta::hours(1)),
        SAMPLE,
        LEAST,
        ROWS_MAX
    )
    .fetch_all(&mut *planned(pool).await?)
    .await
}

/// A webhook that rejected most requests within an hour.
#[derive(Debug)]
pub struct RejectingWebhook {
    pub trigger_ref: TriggerRef,
    pub since: DateTime<Utc>,
    pub rejected: i64,
    pub reason: Option<String>,
}

pub async fn rejecting_webhooks(pool: &PgPool, now: DateTime<Utc>) -> Result<Vec<RejectingWebhook>, Error> {
    sqlx::query_as!(
        RejectingWebhook,
        r#"select trigger_ref as "trigger_ref!: TriggerRef", min(received_at) filter (where verdict = 'rejected') as "since!",
                  count(*) filter (where verdict = 'rejected') as "rejected!", max(detail) filter (where verdict = 'rejected') as reason
           from (select * from webhook_request where id >= $1 order by id desc limit $2) newest
           group by trigger_ref
           having count(*) filter (where verdict = 'rejected') >= $3 and 2 * count(*) filter (where verdict = 'rejected') > count(*)
           order by trigger_ref limit $4"#,
        id::floor(now - TimeDelta::hours(1)),
        SAMPLE,
        LEAST,
        ROWS_MAX
    )
    .fetch_all(&mut *planned(pool).await?)
    .await
}
