//! Definitions as people see them: what the store reads and the API answers.

use crate::{ActionId, PackId, RuleId, RuntimeId, TriggerId, spelled::spelled};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A folder of definitions that belong together.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Pack {
    pub id: PackId,
    pub r#ref: String,
    pub label: String,
    pub description: Option<String>,
    #[serde(rename = "version")]
    pub pack_version: String,
    pub enabled: bool,
    /// Still as its file says: loading the pack may update it.
    pub managed: bool,
    #[serde(skip)]
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// How the actions of a kind are run.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Runtime {
    pub id: RuntimeId,
    pub r#ref: String,
    pub pack_ref: String,
    pub label: String,
    pub description: Option<String>,
    pub kind: RuntimeKind,
    /// The program and the arguments in front of an action's entry point.
    pub command: Vec<String>,
    pub enabled: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Something that can happen, and how it is observed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Trigger {
    pub id: TriggerId,
    pub r#ref: String,
    pub pack_ref: String,
    pub label: String,
    pub description: Option<String>,
    pub kind: TriggerKind,
    /// By kind. Secrets in it are written and never shown.
    #[serde(serialize_with = "crate::webhook::serialize_masked")]
    pub config: Value,
    pub payload_schema: Option<Value>,
    pub enabled: bool,
    pub managed: bool,
    /// The rule that carries this timer inline.
    pub owner_rule_ref: Option<String>,
    pub next_fire_at: Option<DateTime<Utc>>,
    pub last_fired_at: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
    /// The secret part of the webhook's address, until the API has encrypted it.
    #[serde(skip)]
    pub webhook_key: Option<String>,
    /// The secret part of the webhook's address, encrypted.
    #[serde(skip)]
    pub webhook_key_sealed: Option<String>,
    #[serde(skip)]
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Something that can be done.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Action {
    pub id: ActionId,
    pub r#ref: String,
    pub pack_ref: String,
    pub runtime_ref: String,
    pub label: String,
    pub description: Option<String>,
    /// A script for the runtime, or the name of a native action.
    pub entry_point: String,
    pub parameters_schema: Value,
    pub output_schema: Option<Value>,
    pub output_format: OutputFormat,
    pub pool: String,
    pub timeout_seconds: i32,
    pub on_lost: OnLost,
    pub retry: Option<Value>,
    /// How many executions at once, for each key.
    pub concurrency: Option<Value>,
    /// Bounds of one run: `memory_mb`, `cpu`, `processes`, `files`; the worker's settings have the defaults.
    pub resources: Option<Value>,
    pub enabled: bool,
    pub managed: bool,
    #[serde(skip)]
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// When this happens, under this condition, do that.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Rule {
    pub id: RuleId,
    pub r#ref: String,
    pub pack_ref: String,
    pub label: String,
    pub description: Option<String>,
    pub trigger_ref: String,
    /// The timer of the rule's own, as it was given; null where others may share the trigger.
    pub trigger: Option<Value>,
    pub action_ref: String,
    pub condition: Option<Value>,
    pub action_params: Value,
    /// In place of the action's.
    pub retry: Option<Value>,
    /// How many executions at once, for each key; the action's counts as well.
    pub concurrency: Option<Value>,
    /// How often.
    pub rate_limit: Option<Value>,
    pub enabled: bool,
    pub managed: bool,
    #[serde(skip)]
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

spelled! {
    RuntimeKind {
        /// A child process.
        Process = "process",
        /// Built into the worker.
        Native = "native",
    }
}

spelled! {
    TriggerKind {
        Timer = "timer",
        Webhook = "webhook",
        FileWatch = "file_watch",
        Custom = "custom",
    }
}

spelled! {
    OutputFormat {
        Text = "text",
        /// Standard output is one JSON value.
        Json = "json",
    }
}

spelled! {
    /// What follows when the worker of a running execution vanishes.
    OnLost {
        /// At most once: it ends `lost`, and a person decides.
        Fail = "fail",
        /// At least once, for actions that bear a second start.
        Requeue = "requeue",
    }
}
