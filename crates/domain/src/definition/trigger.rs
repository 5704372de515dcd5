//! Triggers and their configuration, by kind.

use super::{
    draft::{Draft, definition, in_pack},
    text,
};
use crate::{
    FieldErrors, PackRef, RuleRef, TriggerId, TriggerRef, dedup,
    file_watch::FileWatchConfig,
    form,
    parameters::check_schema,
    spelled::spelled,
    timer::{Limits, TimerConfig},
    webhook::{SECRET_FIELDS, WebhookConfig, check_new_secrets},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// A source of events: what happens, and how it is observed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Trigger {
    pub id: TriggerId,
    #[schema(value_type = String)]
    pub r#ref: TriggerRef,
    #[schema(value_type = String)]
    pub pack_ref: PackRef,
    pub label: String,
    pub description: Option<String>,
    pub kind: TriggerKind,
    /// Depends on the kind. Secrets in it are write-only.
    #[serde(serialize_with = "crate::webhook::serialize_masked")]
    pub config: Value,
    pub payload_schema: Option<Value>,
    pub enabled: bool,
    pub managed: bool,
    /// The rule that carries this timer inline.
    #[schema(value_type = Option<String>)]
    pub owner_rule_ref: Option<RuleRef>,
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

spelled! {
    TriggerKind {
        Timer = "timer",
        Webhook = "webhook",
        FileWatch = "file_watch",
        Custom = "custom",
        /// Attune itself: [`SYSTEM_TRIGGERS`].
        System = "system",
    }
}

/// The triggers of the kind `system`. The database writes their events with what causes them
/// (`migrations/0028_system_events.sql`).
pub const SYSTEM_TRIGGERS: [&str; 10] = [
    "core.definition_changed",
    "core.event_quarantined",
    "core.execution_finished",
    "core.pool_unserved",
    "core.rule_failed",
    "core.service_started",
    "core.timer_failed",
    "core.timer_missed",
    "core.webhook_rejected",
    "core.worker_lost",
];

/// How a trigger observes what happens.
#[derive(Debug)]
pub enum TriggerConfig {
    Timer(TimerConfig),
    Webhook(Box<WebhookConfig>),
    FileWatch(Box<FileWatchConfig>),
    Custom { dedup_window_seconds: i64 },
}

impl TriggerConfig {
    /// Parses the configuration of a kind. Secrets must be decrypted. Paths begin with `config`.
    pub fn parse(kind: TriggerKind, config: &Value) -> Result<Self, FieldErrors> {
        Self::read(kind, config).map_err(|errors| errors.under("config"))
    }

    fn read(kind: TriggerKind, config: &Value) -> Result<Self, FieldErrors> {
        match kind {
            TriggerKind::Timer => TimerConfig::parse(config).map(Self::Timer),
            TriggerKind::Webhook => WebhookConfig::parse(config).map(|config| Self::Webhook(Box::new(config))),
            TriggerKind::FileWatch => FileWatchConfig::parse(config).map(|config| Self::FileWatch(Box::new(config))),
            TriggerKind::Custom | TriggerKind::System => {
                dedup::parse(config).map(|dedup_window_seconds| Self::Custom { dedup_window_seconds })
            }
        }
    }
}

impl Trigger {
    /// The timer, for a draft that replaces it.
    pub fn before(&self) -> Before<'_> {
        Before {
            config: &self.config,
            spent: self.next_fire_at.is_none() && self.last_fired_at.is_some(),
        }
    }

    /// The errors in the configuration of a row that was written by SQL. Encrypted secrets are not checked.
    pub fn flaws(&self) -> FieldErrors {
        let is_sealed = |field: &str| SECRET_FIELDS.contains(&field) && self.config[field]["sealed"].is_string();
        let errors = TriggerConfig::read(self.kind, &self.config).err().unwrap_or_default();
        errors.of_fields(|field| !is_sealed(field)).under("config")
    }
}

/// The current time and the limits, against which a timer is validated.
#[derive(Debug)]
pub struct Present<'a> {
    pub now: DateTime<Utc>,
    pub limits: Limits,
    /// The timer that the draft replaces.
    pub before: Option<Before<'a>>,
}

/// A timer that is being replaced.
#[derive(Debug)]
pub struct Before<'a> {
    pub config: &'a Value,
    /// It has fired and has nothing left to fire.
    pub spent: bool,
}

form! {
    #[derive(Clone, Serialize)]
    #[schema(as = TriggerForm)]
    pub struct TriggerDraft {
        r#ref: String,
        pack_ref: Option<String>,
        pack: Option<i64>,
        label: Option<String>,
        description: Option<String>,
        kind: TriggerKind as (TriggerKind::Custom),
        /// Depends on the kind. A timer: `{"type": "interval", "seconds": 10}`,
        /// `{"type": "cron", "expression": "0 * * * *"}`, `{"type": "one_shot", "fire_at": "2027-01-20T15:00:00Z"}`; a
        /// webhook: `{"verify": "github", "secret": "…"}`; a file watch: `{"path": "/srv/inbox", "patterns": ["*.csv"]}`.
        config: Value = json!({}),
        /// The schema of a payload.
        payload_schema: Option<Value>,
        enabled: bool = true,
    }
}

definition!(Trigger, TriggerDraft, "trigger");

impl Draft for TriggerDraft {
    const DEPENDENT: &'static [(&'static str, &'static str)] = &[("config", "kind")];

    in_pack!();

    fn doubts(&self, before: Option<&Self>) -> FieldErrors {
        let stored = before.map_or(&Value::Null, |before| &before.config);
        match self.kind {
            TriggerKind::Webhook => check_new_secrets(&self.config, stored)
                .map_err(|errors| errors.under("config"))
                .err()
                .unwrap_or_default(),
            _ => FieldErrors::new(),
        }
    }
}

impl TriggerDraft {
    pub(super) fn of(trigger: &Trigger) -> Self {
        Self {
            r#ref: trigger.r#ref.to_string(),
            pack_ref: Some(trigger.pack_ref.to_string()),
            pack: None,
            label: Some(trigger.label.clone()),
            description: trigger.description.clone(),
            kind: trigger.kind,
            config: trigger.config.clone(),
            payload_schema: trigger.payload_schema.clone(),
            enabled: trigger.enabled,
        }
    }

    pub fn label(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.r#ref)
    }

    /// Checks everything that does not need the database, and if `present` is given, also what depends on the current time.
    /// Secrets must be decrypted.
    pub fn validate(&self, present: Option<&Present<'_>>) -> Result<(), FieldErrors> {
        let (label, description) = (self.label.as_deref(), self.description.as_deref());
        let mut errors = text::common(&self.r#ref, self.pack_ref.as_deref(), label, description);
        if let Some(schema) = &self.payload_schema {
            errors.collect(check_schema("payload_schema", schema));
        }
        errors.collect(self.check_config(present));
        if self.kind == TriggerKind::System && !SYSTEM_TRIGGERS.contains(&self.r#ref.as_str()) {
            let known = SYSTEM_TRIGGERS.join(", ");
            errors.add("kind", format!("system is reserved for {known}; use custom"));
        }
        errors.into_result()
    }

    /// Paths begin with `config`.
    pub fn check_config(&self, present: Option<&Present<'_>>) -> Result<(), FieldErrors> {
        match (self.kind, present) {
            (TriggerKind::Timer, Some(present)) => {
                let before = present.before.as_ref();
                let before = before.and_then(|before| Some((TimerConfig::parse(before.config).ok()?, before.spent)));
                let before = before.as_ref().map(|(config, spent)| (config, *spent));
                TimerConfig::check(&self.config, before, present.now, present.limits)
                    .map(drop)
                    .map_err(|errors| errors.under("config"))
            }
            (kind, present) => {
                TriggerConfig::parse(kind, &self.config)?;
                let seconds = present.map(|present| present.limits.event_retention_seconds.into());
                seconds
                    .map_or(Ok(()), |seconds| dedup::check_retention(&self.config, seconds))
                    .map_err(|errors| errors.under("config"))
            }
        }
    }
}
