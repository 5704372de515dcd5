//! Occurrences as people see them: what happened, what followed, and what came of it.

use crate::{EnforcementId, EventId, ExecutionId, execution::ExecutionStatus, spelled::spelled};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// A trigger happened.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Event {
    pub id: EventId,
    pub trigger_ref: String,
    pub source: EventSource,
    pub payload: Value,
    pub scheduled_at: Option<DateTime<Utc>>,
    pub received_at: DateTime<Utc>,
    pub status: EventStatus,
    pub trace_id: Uuid,
}

/// An event met a rule.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Enforcement {
    pub id: EnforcementId,
    pub event_id: EventId,
    pub rule_ref: String,
    pub status: EnforcementStatus,
    /// Why there is no execution.
    pub reason: Option<String>,
    pub parameters: Option<Value>,
    pub created_at: DateTime<Utc>,
}

/// One run of an action, with all its attempts.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Execution {
    pub id: ExecutionId,
    pub action_ref: String,
    pub rule_ref: Option<String>,
    pub event_id: Option<EventId>,
    pub enforcement_id: Option<EnforcementId>,
    pub status: ExecutionStatus,
    pub attempt: i32,
    pub parameters: Value,
    pub result: Option<Value>,
    pub error: Option<String>,
    pub exit_code: Option<i32>,
    pub created_at: DateTime<Utc>,
    pub scheduled_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// The worker that ran the last attempt.
    pub worker: Option<Uuid>,
    pub rerun_of: Option<ExecutionId>,
    pub trace_id: Uuid,
}

/// One try of an execution.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Attempt {
    pub attempt: i32,
    /// Absent where only a late result is known of it.
    pub worker: Option<Uuid>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    /// A status of the execution; of an earlier attempt how it ended: `failed`, `timed_out`, `lost`.
    pub outcome: Option<String>,
    pub reason: Option<String>,
    /// What its worker told after it had been given up.
    pub late_outcome: Option<String>,
    /// Pieces of its output are kept: the logs show them under its number.
    pub logged: bool,
}

spelled! {
    EventSource {
        Timer = "timer",
        Webhook = "webhook",
        FileWatch = "file_watch",
        Api = "api",
        Manual = "manual",
    }
}

spelled! {
    EventStatus {
        Pending = "pending",
        Decided = "decided",
        /// Its decision failed again and again: it waits for a person.
        Quarantined = "quarantined",
    }
}

spelled! {
    EnforcementStatus {
        /// It started an execution.
        Created = "created",
        /// The rule could not be evaluated on this event.
        Failed = "failed",
        Skipped = "skipped",
        Throttled = "throttled",
    }
}

spelled! {
    /// What became of a request to a webhook.
    WebhookVerdict {
        Accepted = "accepted",
        /// It had come before: its event is the first one.
        Duplicate = "duplicate",
        Rejected = "rejected",
        /// A person let a kept request through.
        Redelivered = "redelivered",
    }
}
