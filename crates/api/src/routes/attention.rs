//! What needs the attention of a person, in one list: what is broken, and what is worth checking.

use crate::{answer::List, api::Api, problem::Problem};
use attune_common::store::{
    attention::{self, BrokenTimer, FailingRule, MissedTimer, QuarantinedEvent, RejectingWebhook},
    backlog::{self, Backlog},
    db,
    service_instance::{self, Service},
};
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// Without one of them, work stops.
const NEEDED: [&str; 3] = ["sensor", "executor", "worker"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something does not work.
    Bad,
    /// Worth checking.
    Warn,
}

/// Something that needs attention.
#[derive(Debug, Serialize, ToSchema)]
pub struct Attention {
    /// The same as long as it is the same: the kind and what it is about.
    id: String,
    severity: Severity,
    /// `timer_error`, `timer_missed`, `event_quarantined`, `pool_unserved`, `service_missing`, `service_silent`,
    /// `rule_failing`, `webhook_rejecting` or `overloaded`.
    kind: &'static str,
    /// The definition that it is about.
    r#ref: Option<String>,
    since: Option<DateTime<Utc>>,
    /// A sentence for people.
    #[serde(rename = "says")]
    text: String,
    /// The request that repairs it, if there is one.
    fix: Option<Fix>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Fix {
    label: &'static str,
    method: &'static str,
    path: String,
}

impl Attention {
    fn new(severity: Severity, kind: &'static str, about: &str, text: String) -> Self {
        Self {
            id: format!("{kind}:{about}"),
            severity,
            kind,
            r#ref: None,
            since: None,
            text,
            fix: None,
        }
    }

    fn about(self, reference: impl Into<String>) -> Self {
        Self {
            r#ref: Some(reference.into()),
            ..self
        }
    }

    fn since(self, since: DateTime<Utc>) -> Self {
        Self {
            since: Some(since),
            ..self
        }
    }
}

pub async fn list(State(api): State<Api>) -> Result<List<Attention>, Problem> {
    let pool = &api.pool;
    let now = db::now(pool).await?;
    let services = service_instance::list(pool, None).await?;
    let mut items = Vec::new();
    items.extend(overload(&api));
    items.extend(NEEDED.into_iter().filter_map(|kind| missing(kind, &services)));
    items.extend(backlog::of_pools(pool).await?.iter().filter_map(unserved));
    items.extend(attention::broken_timers(pool).await?.into_iter().map(broken));
    items.extend(attention::missed_timers(pool).await?.into_iter().map(missed));
    items.extend(attention::quarantined(pool).await?.into_iter().map(quarantined));
    items.extend(attention::failing_rules(pool, now).await?.into_iter().map(failing));
    items.extend(
        attention::rejecting_webhooks(pool, now)
            .await?
            .into_iter()
            .map(rejecting),
    );
    items.extend(services.iter().filter(|service| !service.alive).map(silent));
    items.sort_by_key(|item| item.severity);
    Ok(List::whole(items))
}

fn overload(api: &Api) -> Option<Attention> {
    if api.backlog.refused().is_empty() {
        return None;
    }
    let text = format!(
        "Events have waited {} s; the API refuses requests for history.",
        api.backlog.seconds()
    );
    Some(Attention::new(Severity::Bad, "overloaded", "api", text))
}

fn missing(kind: &str, services: &[Service]) -> Option<Attention> {
    if services.iter().any(|service| service.kind == kind && service.alive) {
        return None;
    }
    let article = if kind == "executor" { "an" } else { "a" };
    let text = format!("No {kind} is running. Start {article} {kind}.");
    Some(Attention::new(Severity::Bad, "service_missing", kind, text))
}

fn silent(service: &Service) -> Attention {
    let text = format!(
        "The {} on {} (pid {}) does not report.",
        service.kind, service.host, service.pid
    );
    let item = Attention::new(Severity::Warn, "service_silent", &service.id.to_string(), text);
    item.since(service.heartbeat_at)
}

fn unserved(backlog: &Backlog) -> Option<Attention> {
    if !backlog.is_unserved() {
        return None;
    }
    let executions = counted(backlog.overdue, "execution is", "executions are");
    let text = format!("{executions} waiting: no worker serves the pool {}.", backlog.pool);
    Some(Attention::new(Severity::Bad, "pool_unserved", &backlog.pool, text))
}

fn broken(timer: BrokenTimer) -> Attention {
    let text = format!("{} does not fire: {}", timer.trigger_ref, timer.error);
    Attention::new(Severity::Bad, "timer_error", timer.trigger_ref.as_str(), text).about(timer.trigger_ref)
}

fn missed(timer: MissedTimer) -> Attention {
    let occurrences = counted(timer.missed, "occurrence", "occurrences");
    let text = format!("{} missed {occurrences} within a day.", timer.trigger_ref);
    let item = Attention::new(Severity::Warn, "timer_missed", timer.trigger_ref.as_str(), text);
    item.about(timer.trigger_ref).since(timer.since)
}

fn quarantined(event: QuarantinedEvent) -> Attention {
    let trigger = event.trigger_ref.map(String::from);
    let of = trigger.as_deref().unwrap_or("a removed trigger");
    let error = event
        .error
        .unwrap_or_else(|| "its decision failed repeatedly".to_owned());
    let text = format!("An event of {of} is quarantined: {error}");
    let item = Attention::new(Severity::Bad, "event_quarantined", &event.event_id.to_string(), text);
    Attention {
        fix: Some(Fix {
            label: "Retry",
            method: "POST",
            path: format!("/api/v1/queue/{}/replay", event.event_id),
        }),
        r#ref: trigger,
        ..item.since(event.since)
    }
}

fn failing(rule: FailingRule) -> Attention {
    let text = format!(
        "{} of the last {} executions of {} failed.",
        rule.failed, rule.ended, rule.rule_ref
    );
    let item = Attention::new(Severity::Warn, "rule_failing", rule.rule_ref.as_str(), text);
    item.about(rule.rule_ref).since(rule.since)
}

fn rejecting(webhook: RejectingWebhook) -> Attention {
    let requests = counted(webhook.rejected, "request", "requests");
    let reason = webhook.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let text = format!("{} rejected {requests} within an hour{reason}", webhook.trigger_ref);
    let item = Attention::new(Severity::Warn, "webhook_rejecting", webhook.trigger_ref.as_str(), text);
    item.about(webhook.trigger_ref).since(webhook.since)
}

fn counted(count: i64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
