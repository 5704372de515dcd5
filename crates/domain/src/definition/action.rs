//! Actions.

use super::{
    draft::{Draft, definition, in_pack},
    text,
};
use crate::{
    ActionId, ActionRef, FieldErrors, PackRef, Ref,
    execution::OnLost,
    form,
    json::kind,
    parameters::{Schema, check_schema},
    policy::Concurrency,
    raw::Raw,
    resources::Resources,
    retry::RetryPolicy,
    spelled::spelled,
    variables,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

const ENTRY_POINT_BYTES_MAX: usize = 64 * 1024;
const FILE_PATH_BYTES_MAX: usize = 1024;
const TIMEOUT_SECONDS_MAX: i32 = 604_800;
const POOL_CHARS_MAX: usize = 32;
const LABELS_MAX: usize = 32;
const LABEL_NAME_CHARS_MAX: usize = 64;
const LABEL_CHARS_MAX: usize = 256;
const SECRETS_MAX: usize = 32;

/// Something that can be done.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Action {
    pub id: ActionId,
    #[schema(value_type = String)]
    pub r#ref: ActionRef,
    #[schema(value_type = String)]
    pub pack_ref: PackRef,
    pub runtime_ref: String,
    pub label: String,
    pub description: Option<String>,
    /// A script for the runtime, the path of a file of the pack, or the name of a native action.
    pub entry_point: String,
    pub entry_kind: EntryKind,
    pub parameters_schema: Value,
    pub output_schema: Option<Value>,
    pub output_format: OutputFormat,
    pub pool: String,
    pub timeout_seconds: i32,
    pub on_lost: OnLost,
    #[schema(value_type = Option<Value>)]
    pub retry: Option<Raw<RetryPolicy>>,
    /// How many executions may run at once, for each key.
    #[schema(value_type = Option<Value>)]
    pub concurrency: Option<Raw<Concurrency<ActionId>>>,
    /// Limits of one run: `memory_mb`, `cpu`, `processes`, `files`; the worker's settings have the defaults.
    #[schema(value_type = Option<Value>)]
    pub resources: Option<Raw<Resources>>,
    /// Labels to filter actions by.
    #[schema(value_type = BTreeMap<String, String>)]
    pub labels: Value,
    /// Variables with secrets: `{"GITHUB_TOKEN": "github.token"}`.
    #[schema(value_type = BTreeMap<String, String>)]
    pub secrets: Value,
    pub secret_delivery: SecretDelivery,
    pub enabled: bool,
    pub managed: bool,
    #[serde(skip)]
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

spelled! {
    EntryKind {
        /// The entry point is what the runtime runs: a script, or a name.
        Text = "text",
        /// The entry point is the path of a file of the pack.
        File = "file",
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
    /// How a run receives secrets.
    SecretDelivery {
        /// In variables and on standard input, like every parameter.
        Environment = "environment",
        /// In files that only the run's user can read; `ATTUNE_SECRET_<NAME>_FILE` names each.
        File = "file",
    }
}

form! {
    #[derive(Clone, Serialize)]
    #[schema(as = ActionForm)]
    pub struct ActionDraft {
        r#ref: String,
        pack_ref: Option<String>,
        pack: Option<i64>,
        runtime_ref: Option<String>,
        runtime: Option<i64>,
        label: Option<String>,
        description: Option<String>,
        /// A script for the runtime, the path of a file of the pack, or the name of a native action.
        entry_point: String,
        /// `file` or `text`. Default: `file` if the pack carries a file with the path `entry_point`.
        entry_kind: Option<EntryKind>,
        /// A JSON schema.
        parameters_schema: Value = json!({"type": "object"}),
        /// A JSON schema.
        output_schema: Option<Value>,
        output_format: OutputFormat = OutputFormat::Text,
        /// The pool of workers that run it.
        pool: String = "default".to_owned(),
        timeout_seconds: i32 where (1..=TIMEOUT_SECONDS_MAX) = 3600,
        on_lost: OnLost = OnLost::Fail,
        /// `{"max_attempts": 3, "backoff_seconds": 2}`: how often and after which delays a failure is retried.
        #[schema(value_type = Option<Value>)]
        retry: Option<Raw<RetryPolicy>>,
        /// `{"limit": 1, "key": "{{ parameters.host }}", "overflow": "queue"}`: how many executions may run at once, in
        /// total or for each key; `overflow` may be `queue`, `skip` or `cancel_previous`.
        #[schema(value_type = Option<Value>)]
        concurrency: Option<Raw<Concurrency<ActionId>>>,
        /// `{"memory_mb": 512, "cpu": 1, "processes": 64, "files": 256}`: limits of one run. A field that
        /// is left out has the default of the worker's settings.
        #[schema(value_type = Option<Value>)]
        resources: Option<Raw<Resources>>,
        /// `{"team": "billing", "tier": "1"}`: labels to filter actions by. At most 32, each with a value of at most
        /// 256 characters.
        #[schema(value_type = BTreeMap<String, String>)]
        labels: Value = json!({}),
        /// `{"GITHUB_TOKEN": "github.token"}`: variables, each with the ref of a secret. At most 32.
        #[schema(value_type = BTreeMap<String, String>)]
        secrets: Value = json!({}),
        /// How a run receives secrets: in variables and on standard input, or in files.
        secret_delivery: SecretDelivery = SecretDelivery::Environment,
        enabled: bool = true,
    }
}

definition!(Action, ActionDraft, "action");

impl Draft for ActionDraft {
    in_pack!();

    fn doubts(&self, _: Option<&Self>) -> FieldErrors {
        let concurrency = self.concurrency.as_ref().and_then(|raw| raw.parse().ok());
        concurrency.map(|right| right.unknown_references()).unwrap_or_default()
    }
}

impl ActionDraft {
    pub(super) fn of(action: &Action) -> Self {
        Self {
            r#ref: action.r#ref.to_string(),
            pack_ref: Some(action.pack_ref.to_string()),
            pack: None,
            runtime_ref: Some(action.runtime_ref.clone()),
            runtime: None,
            label: Some(action.label.clone()),
            description: action.description.clone(),
            entry_point: action.entry_point.clone(),
            entry_kind: Some(action.entry_kind),
            parameters_schema: action.parameters_schema.clone(),
            output_schema: action.output_schema.clone(),
            output_format: action.output_format,
            pool: action.pool.clone(),
            timeout_seconds: action.timeout_seconds,
            on_lost: action.on_lost,
            retry: action.retry.clone(),
            concurrency: action.concurrency.clone(),
            resources: action.resources.clone(),
            labels: action.labels.clone(),
            secrets: action.secrets.clone(),
            secret_delivery: action.secret_delivery,
            enabled: action.enabled,
        }
    }

    pub fn label(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.r#ref)
    }

    /// Whether it depends on the files of the pack what the entry point is.
    pub fn may_be_file(&self) -> bool {
        let is_path = |text: &str| text.len() <= FILE_PATH_BYTES_MAX && !text.contains(char::is_whitespace);
        match self.entry_kind {
            Some(EntryKind::Text) => false,
            Some(EntryKind::File) => true,
            None => is_path(&self.entry_point),
        }
    }

    /// Decides what the entry point is. `is_file`: the pack carries a file with this path.
    pub fn decide_entry(&mut self, is_file: bool) -> Result<(), FieldErrors> {
        match self.entry_kind {
            Some(EntryKind::File) if !is_file => {
                let message = format!(
                    "the pack has no file {:?}; correct the path, or set entry_kind to text",
                    self.entry_point
                );
                return Err(FieldErrors::one("entry_point", message));
            }
            Some(_) => {}
            None if is_file => self.entry_kind = Some(EntryKind::File),
            None => self.entry_kind = Some(EntryKind::Text),
        }
        Ok(())
    }

    pub fn entry_kind(&self) -> EntryKind {
        self.entry_kind.unwrap_or(EntryKind::Text)
    }

    /// Checks everything that does not need the database.
    pub fn validate(&self) -> Result<(), FieldErrors> {
        let (label, description) = (self.label.as_deref(), self.description.as_deref());
        let mut errors = text::common(&self.r#ref, self.pack_ref.as_deref(), label, description);
        text::link(
            "runtime",
            self.runtime_ref.as_deref(),
            self.runtime.is_some(),
            &mut errors,
        );
        text::not_blank("entry_point", &self.entry_point, &mut errors);
        let bytes = self.entry_point.len();
        text::at_most("entry_point", bytes, ENTRY_POINT_BYTES_MAX, "bytes", &mut errors);
        errors.collect(Schema::compile(&self.parameters_schema).and_then(|schema| schema.check_defaults()));
        if let Some(schema) = &self.output_schema {
            errors.collect(check_schema("output_schema", schema));
        }
        text::name("pool", &self.pool, POOL_CHARS_MAX, &mut errors);
        errors.collect(self.retry.as_ref().map(Raw::parse).transpose());
        errors.collect(self.concurrency.as_ref().map(Raw::parse).transpose());
        errors.collect(self.resources.as_ref().map(Raw::parse).transpose());
        check_labels(&self.labels, &mut errors);
        check_secrets(&self.secrets, &mut errors);
        self.check_key(&mut errors);
        errors.into_result()
    }
}

impl ActionDraft {
    /// A key is stored and shown, so it must not contain a secret.
    fn check_key(&self, errors: &mut FieldErrors) {
        let policy = self.concurrency.as_ref().and_then(|raw| raw.parse().ok());
        let Some(name) = policy.and_then(|policy| policy.secret_in_key(&self.parameters_schema)) else {
            return;
        };
        errors.add(
            "concurrency.key",
            format!("must not contain the parameter {name}, which is declared secret"),
        );
    }
}

fn check_secrets(secrets: &Value, errors: &mut FieldErrors) {
    let Value::Object(secrets) = secrets else {
        return errors.add("secrets", format!("must be an object of refs, not {}", kind(secrets)));
    };
    text::at_most("secrets", secrets.len(), SECRETS_MAX, "entries", errors);
    for (name, reference) in secrets {
        let field = format!("secrets.{name}");
        if !variables::is_available(name) {
            errors.add(
                &field,
                "is not a name for a variable: use upper-case letters, digits and `_`, and none of those that Attune sets",
            );
        }
        match reference.as_str().map(str::parse::<Ref>) {
            Some(Ok(_)) => {}
            Some(Err(error)) => errors.add(field, error.to_string()),
            None => errors.add(field, format!("must be the ref of a secret, not {}", kind(reference))),
        }
    }
}

fn check_labels(labels: &Value, errors: &mut FieldErrors) {
    let Value::Object(labels) = labels else {
        return errors.add("labels", format!("must be an object of strings, not {}", kind(labels)));
    };
    text::at_most("labels", labels.len(), LABELS_MAX, "entries", errors);
    for (name, label) in labels {
        let field = format!("labels.{name}");
        text::name(&field, name, LABEL_NAME_CHARS_MAX, errors);
        match label.as_str() {
            Some(label) if label.contains("{{") && label.contains("secrets.") => {
                errors.add(field, "must not contain a secret: labels are shown");
            }
            Some(label) => text::at_most(&field, label.chars().count(), LABEL_CHARS_MAX, "characters", errors),
            None => errors.add(field, format!("must be text, not {}", kind(label))),
        }
    }
}

impl Action {
    /// The errors in the policies of a row that was written by SQL.
    pub fn flaws(&self) -> FieldErrors {
        let mut errors = FieldErrors::new();
        errors.collect(Schema::compile(&self.parameters_schema));
        errors.collect(self.retry.as_ref().map(Raw::parse).transpose());
        errors.collect(self.concurrency.as_ref().map(Raw::parse).transpose());
        errors.collect(self.resources.as_ref().map(Raw::parse).transpose());
        errors
    }
}
