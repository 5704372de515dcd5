//! Is a definition right? Whatever can be known when it is written is told then, field by field.

use attune_common::store::{self, PgConnection, pack};
use attune_domain::{
    FieldErrors, Ref, RuleId, TriggerId, dedup,
    definition::{Pack, TriggerKind},
    parameters::Schema,
    policy::{Concurrency, Owner, RateLimit},
    reference::Key,
    resources::Resources,
    retry::RetryPolicy,
    rule::{CompiledRule, RuleFacts},
    timer::{Limits, TimerConfig},
    webhook::WebhookConfig,
};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::sync::Arc;

const LABEL_MAX: usize = 200;
const DESCRIPTION_MAX: usize = 10_000;

/// Texts for people have bounds.
pub fn texts(errors: &mut FieldErrors, label: Option<&str>, description: Option<&str>) {
    let mut check = |path: &str, text: Option<&str>, max: usize| match text.map(|text| text.chars().count()) {
        Some(0) if path == "label" => errors.add(path, "must not be empty"),
        Some(length) if length > max => errors.add(path, format!("has {length} characters: at most {max}")),
        _ => {}
    };
    check("label", label, LABEL_MAX);
    check("description", description, DESCRIPTION_MAX);
}

/// How something else is addressed in a body: by reference, by number, or by both, which must then agree.
#[derive(Debug, Clone, Copy)]
pub struct Link<'a> {
    /// The field's name without `_ref`.
    pub noun: &'a str,
    pub reference: Option<&'a str>,
    pub id: Option<i64>,
}

impl Link<'_> {
    pub fn key(&self, errors: &mut FieldErrors) -> Option<Key> {
        match (self.id, self.reference) {
            (Some(id), _) => Some(Key::Id(id)),
            (None, Some(reference)) => Some(Key::Ref(reference.to_owned())),
            // Said already of the other field.
            (None, None) if errors.iter().any(|error| error.path == self.noun) => None,
            (None, None) => {
                let message = format!("is missing: write the reference of the {}", self.noun);
                errors.add(format!("{}_ref", self.noun), message);
                None
            }
        }
    }

    /// What was found has to be what both say.
    pub fn check(&self, errors: &mut FieldErrors, found: Option<&str>) {
        let field = if self.id.is_some() {
            self.noun.to_owned()
        } else {
            format!("{}_ref", self.noun)
        };
        match (found, self.reference) {
            (None, _) => {
                let named = self
                    .id
                    .map_or_else(|| self.reference.unwrap_or_default().to_owned(), |id| id.to_string());
                let named: String = named.chars().take(128).collect();
                let hint = if self.noun == "pack" {
                    ": POST /api/v1/packs makes it"
                } else {
                    ""
                };
                errors.add(field, format!("there is no {} {named}{hint}", self.noun));
            }
            (Some(found), Some(reference)) if self.id.is_some() && found != reference => {
                errors.add(field, format!("is {found}, but {}_ref says {reference}", self.noun));
            }
            _ => {}
        }
    }
}

/// The pack of a new definition: what the body names, or what its reference begins with.
pub async fn pack_of(
    connection: &mut PgConnection,
    errors: &mut FieldErrors,
    reference: &str,
    pack_ref: Option<&str>,
    pack_id: Option<i64>,
) -> Result<Option<Pack>, store::Error> {
    let own = match reference.parse::<Ref>() {
        Ok(own) => Some(own),
        Err(error) => {
            errors.add("ref", error.to_string());
            None
        }
    };
    let implied = own.as_ref().map(|own| own.pack().to_owned());
    let link = Link {
        noun: "pack",
        reference: pack_ref.or(implied.as_deref().filter(|_| pack_id.is_none())),
        id: pack_id,
    };
    if own.is_none() && link.reference.is_none() && link.id.is_none() {
        // The reference would have said it.
        return Ok(None);
    }
    let Some(key) = link.key(errors) else {
        return Ok(None);
    };
    let found = pack::get(connection, &key).await?;
    link.check(errors, found.as_ref().map(|pack| pack.r#ref.as_str()));
    if let (Some(pack), Some(own)) = (&found, &own)
        && pack.r#ref != own.pack()
    {
        errors.add("ref", format!("must begin with the name of its pack: {}.…", pack.r#ref));
    }
    Ok(found)
}

/// What is known of a timer that is changed.
#[derive(Debug)]
pub struct Before<'a> {
    pub config: &'a Value,
    /// It fired and has nothing left to fire.
    pub spent: bool,
}

/// The configuration of a trigger, by its kind. Paths begin with `config`.
pub fn config(
    kind: TriggerKind,
    config: &Value,
    before: Option<&Before<'_>>,
    now: DateTime<Utc>,
    limits: Limits,
) -> Result<(), FieldErrors> {
    let checked = match kind {
        TriggerKind::Timer => timer(config, before, now, limits),
        TriggerKind::Webhook => WebhookConfig::parse(config).map(drop),
        TriggerKind::FileWatch | TriggerKind::Custom => dedup::check(config),
    };
    let checked = checked.and_then(|()| match kind {
        // A timer has a limit of its own, and checks it itself.
        TriggerKind::Timer => Ok(()),
        _ => dedup::check_retention(config, limits.event_retention_seconds.into()),
    });
    checked.map_err(|inner| nested("config", inner))
}

fn timer(config: &Value, before: Option<&Before<'_>>, now: DateTime<Utc>, limits: Limits) -> Result<(), FieldErrors> {
    let previous = before.and_then(|before| Some((TimerConfig::parse(before.config).ok()?, before.spent)));
    let previous = previous.as_ref().map(|(previous, spent)| (previous, *spent));
    TimerConfig::check(config, previous, now, limits).map(drop)
}

/// The schemas of an action.
pub fn schemas(errors: &mut FieldErrors, parameters: &Value, output: Option<&Value>) {
    if let Err(bad) = Schema::compile(parameters).and_then(|schema| schema.check_defaults()) {
        add_all(errors, bad);
    }
    if let Some(Err(bad)) = output.map(Schema::compile) {
        for error in bad.into_vec() {
            errors.add(
                error.path.replacen("parameters_schema", "output_schema", 1),
                error.message,
            );
        }
    }
}

/// A rule's condition and templates. What is stored and not changed is not judged again, so that a rule which an earlier
/// version took can still be renamed or switched off; its events fail with the reason.
pub fn rule(
    errors: &mut FieldErrors,
    condition: Option<&Value>,
    action_params: &Value,
    parameters_schema: Option<&Value>,
    changed: bool,
) {
    if !changed {
        return;
    }
    let schema = Schema::compile(parameters_schema.unwrap_or(&Value::Null));
    let compiled = CompiledRule::compile(RuleFacts {
        id: RuleId(0),
        r#ref: String::new(),
        version: 1,
        created_at: DateTime::UNIX_EPOCH,
        enabled: true,
        trigger_id: TriggerId(0),
        action_ref: String::new(),
        condition: condition.cloned(),
        action_params: action_params.clone(),
        schema: Arc::new(schema),
    });
    if let Some(bad) = compiled.problems() {
        add_all(errors, bad.clone());
    }
    add_all(errors, compiled.unknown_references());
}

/// Parameters for an action, completed by its defaults.
pub fn parameters(schema: &Value, values: Value) -> Result<Value, FieldErrors> {
    Schema::compile(schema)?.validate(values)
}

pub fn nested(prefix: &str, inner: FieldErrors) -> FieldErrors {
    let mut errors = FieldErrors::new();
    errors.nest(prefix, inner);
    errors
}

pub fn add_all(errors: &mut FieldErrors, more: FieldErrors) {
    for error in more.into_vec() {
        errors.add(error.path, error.message);
    }
}

/// A retry policy of an action or a rule.
pub fn retry(errors: &mut FieldErrors, retry: Option<&Value>) {
    if let Some(Err(bad)) = retry.map(RetryPolicy::parse) {
        add_all(errors, bad);
    }
}

/// How many at once. As in [`rule`], what is not changed is not judged.
pub fn concurrency(errors: &mut FieldErrors, concurrency: Option<&Value>, owner: Owner, changed: bool) {
    match concurrency.map(|concurrency| Concurrency::parse(concurrency, owner)) {
        Some(Ok(right)) if changed => add_all(errors, right.unknown_references()),
        Some(Err(bad)) if changed => add_all(errors, bad),
        _ => {}
    }
}

/// Bounds of one run.
pub fn resources(errors: &mut FieldErrors, resources: Option<&Value>) {
    if let Some(Err(bad)) = resources.map(Resources::parse) {
        add_all(errors, bad);
    }
}

/// How often.
pub fn rate_limit(errors: &mut FieldErrors, rate_limit: Option<&Value>) {
    if let Some(Err(bad)) = rate_limit.map(RateLimit::parse) {
        add_all(errors, bad);
    }
}
