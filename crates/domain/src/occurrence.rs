//! Occurrences as the API shows them: events, enforcements and executions.

use crate::{
    ActionRef, EnforcementId, EventId, ExecutionId, RuleRef, TriggerRef, execution::ExecutionStatus, spelled::spelled,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// An occurrence of a trigger.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Event {
    pub id: EventId,
    #[schema(value_type = String)]
    pub trigger_ref: TriggerRef,
    pub source: EventSource,
    pub payload: Value,
    pub scheduled_at: Option<DateTime<Utc>>,
    pub received_at: DateTime<Utc>,
    pub status: EventStatus,
    pub trace_id: Uuid,
    /// The ids of the rules whose executions led to this event, oldest first; 0 stands for an execution without a rule. Absent if
    /// the cause is external.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<Vec<i64>>,
}

/// The decision of a rule to act on an event.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Enforcement {
    pub id: EnforcementId,
    pub event_id: EventId,
    #[schema(value_type = String)]
    pub rule_ref: RuleRef,
    pub status: EnforcementStatus,
    /// Why no execution was created.
    pub reason: Option<String>,
    pub parameters: Option<Value>,
    pub created_at: DateTime<Utc>,
}

/// One run of an action, with all its attempts.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Execution {
    pub id: ExecutionId,
    #[schema(value_type = String)]
    pub action_ref: ActionRef,
    #[schema(value_type = Option<String>)]
    pub rule_ref: Option<RuleRef>,
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
    /// The files of the action's pack that every attempt runs with: see the pack's `hash`.
    pub pack_hash: Option<String>,
}

/// An execution in a list, of bounded size.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ExecutionSummary {
    pub id: ExecutionId,
    #[schema(value_type = String)]
    pub action_ref: ActionRef,
    #[schema(value_type = Option<String>)]
    pub rule_ref: Option<RuleRef>,
    pub event_id: Option<EventId>,
    pub enforcement_id: Option<EnforcementId>,
    pub status: ExecutionStatus,
    pub attempt: i32,
    /// Null when their JSON is longer than 512 bytes; `parameters_preview` then shows its beginning.
    pub parameters: Option<Value>,
    /// The first 512 bytes of longer parameters. A string, because it may be cut anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters_preview: Option<String>,
    /// Only with `view=full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// The last 120 characters of the output; of an execution that failed, of its standard error if it wrote any.
    pub output_tail: Option<String>,
    pub error: Option<String>,
    pub exit_code: Option<i32>,
    pub created_at: DateTime<Utc>,
    pub scheduled_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// From the start of the last attempt to the end.
    pub duration_ms: Option<i64>,
    /// The worker that ran the last attempt.
    pub worker: Option<Uuid>,
    pub rerun_of: Option<ExecutionId>,
    pub trace_id: Uuid,
}

/// How many characters of the output are stored with the result.
const OUTPUT_TAIL: usize = 120;

/// The end of the output of an attempt, for lists. An attempt that failed shows its standard error first.
pub fn output_tail(status: ExecutionStatus, result: &Value) -> Option<String> {
    let written = |stream: &str| {
        result[stream]
            .as_str()
            .map(str::trim_end)
            .filter(|text| !text.is_empty())
    };
    let (stdout, stderr) = (written("stdout"), written("stderr"));
    let text = if status == ExecutionStatus::Succeeded {
        stdout.or(stderr)
    } else {
        stderr.or(stdout)
    }?;
    let start = text
        .char_indices()
        .rev()
        .take(OUTPUT_TAIL)
        .last()
        .map_or(0, |(start, _)| start);
    Some(text[start..].to_owned())
}

/// One attempt of an execution.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    pub attempt: i32,
    /// Absent if only a late result of it is known.
    pub worker: Option<Uuid>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    /// The status of the execution; for an earlier attempt, how it ended: `failed`, `timed_out`, `lost`,
    /// or `not_started` if its worker died before the action was started.
    pub outcome: Option<String>,
    pub reason: Option<String>,
    /// The result that its worker reported after the attempt had been superseded.
    pub late_outcome: Option<String>,
    /// Whether output of this attempt is stored. The logs show it under the attempt's number.
    pub logged: bool,
}

spelled! {
    EventSource {
        Timer = "timer",
        Webhook = "webhook",
        FileWatch = "file_watch",
        Api = "api",
        Manual = "manual",
        /// Attune itself.
        System = "system",
    }
}

spelled! {
    EventStatus {
        Pending = "pending",
        Decided = "decided",
        /// Its decision failed repeatedly: it waits for a user.
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
    /// The outcome of a request to a webhook.
    WebhookVerdict {
        Accepted = "accepted",
        /// A duplicate: its event is that of the first request.
        Duplicate = "duplicate",
        Rejected = "rejected",
        /// A user redelivered a stored request.
        Redelivered = "redelivered",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_end_of_the_output() {
        use ExecutionStatus::{Failed, Succeeded, TimedOut};
        let check = |status, result: Value, expected: Option<&str>| {
            assert_eq!(output_tail(status, &result).as_deref(), expected, "{result}");
        };
        check(Succeeded, json!({"stdout": "a\nb\n", "stderr": "warn"}), Some("a\nb"));
        check(Succeeded, json!({"stdout": " \n", "stderr": "warn\n"}), Some("warn"));
        check(Failed, json!({"stdout": "a", "stderr": "b"}), Some("b"));
        check(TimedOut, json!({"stdout": "a", "stderr": ""}), Some("a"));
        check(Succeeded, json!({}), None);
        check(Succeeded, json!({"stdout": 7}), None);
        let long = format!("{}{}", "x".repeat(50), "é".repeat(120));
        check(Succeeded, json!({"stdout": long}), Some(&"é".repeat(120)));
        check(Succeeded, json!({"stdout": "é".repeat(119)}), Some(&"é".repeat(119)));
    }
}
