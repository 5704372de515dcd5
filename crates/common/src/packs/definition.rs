//! What the files of a pack say. The names of the fields are those of the API.
//!
//! `enabled` counts when a definition is made; afterwards it belongs to the people who run Attune.

use super::check;
use attune_domain::{
    FieldErrors, Ref,
    definition::{OnLost, OutputFormat, RuntimeKind, TriggerKind},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The text of each file, by its path inside of the pack (`triggers/timer_10s.yaml`).
pub type Files = BTreeMap<String, String>;

/// A whole pack, checked.
#[derive(Debug, Clone)]
pub struct Pack {
    pub manifest: Manifest,
    pub runtimes: Vec<Runtime>,
    pub triggers: Vec<Trigger>,
    pub actions: Vec<Action>,
    pub rules: Vec<Rule>,
}

impl Pack {
    /// What works, and is hardly meant: a secret that is easily guessed, names that lead nowhere.
    pub fn doubts(&self) -> FieldErrors {
        check::doubts(self)
    }
}

/// `pack.yaml`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub r#ref: String,
    pub label: String,
    pub description: Option<String>,
    pub version: String,
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// `runtimes/*.yaml`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    pub r#ref: Ref,
    pub label: String,
    pub description: Option<String>,
    pub kind: RuntimeKind,
    #[serde(default)]
    pub command: Vec<String>,
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// `triggers/*.yaml`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    pub r#ref: Ref,
    pub label: String,
    pub description: Option<String>,
    pub kind: TriggerKind,
    #[serde(default = "empty_object")]
    pub config: Value,
    pub payload_schema: Option<Value>,
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// `actions/*.yaml`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    pub r#ref: Ref,
    pub label: String,
    pub description: Option<String>,
    pub runtime_ref: Ref,
    pub entry_point: String,
    #[serde(default = "any_object")]
    pub parameters_schema: Value,
    pub output_schema: Option<Value>,
    #[serde(default = "text")]
    pub output_format: OutputFormat,
    #[serde(default = "default_pool")]
    pub pool: String,
    #[serde(default = "an_hour")]
    pub timeout_seconds: i32,
    #[serde(default = "fail")]
    pub on_lost: OnLost,
    pub retry: Option<Value>,
    pub concurrency: Option<Value>,
    pub resources: Option<Value>,
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// `rules/*.yaml`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub r#ref: Ref,
    pub label: String,
    pub description: Option<String>,
    pub trigger_ref: Ref,
    pub action_ref: Ref,
    pub condition: Option<Value>,
    #[serde(default = "empty_object")]
    pub action_params: Value,
    pub retry: Option<Value>,
    pub concurrency: Option<Value>,
    pub rate_limit: Option<Value>,
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

fn empty_object() -> Value {
    json!({})
}

fn any_object() -> Value {
    json!({"type": "object"})
}

fn text() -> OutputFormat {
    OutputFormat::Text
}

fn default_pool() -> String {
    "default".to_owned()
}

fn an_hour() -> i32 {
    3600
}

fn fail() -> OnLost {
    OnLost::Fail
}
