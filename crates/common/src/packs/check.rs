//! What must hold inside of one pack, before anything of it is written. Whether definitions of *other* packs exist is
//! known to the database only and is checked by `load`.

use super::{Action, Manifest, Pack, Rule, Runtime, Trigger};
use attune_domain::{
    ActionId, FieldErrors, Ref, RuleId,
    condition::Condition,
    dedup,
    definition::{RuntimeKind, TriggerKind},
    parameters::{Schema, mismatches},
    policy::{Concurrency, Owner, RateLimit},
    reference::is_name,
    resources::Resources,
    retry::RetryPolicy,
    template::Template,
    timer::TimerConfig,
    webhook::{WebhookConfig, check_new_secrets},
};
use serde_json::Value;

const LABEL_CHARS_MAX: usize = 200;
const TIMEOUT_SECONDS_MAX: i32 = 604_800;
const POOL_CHARS_MAX: usize = 32;

pub(super) fn check(pack: &Pack, errors: &mut FieldErrors) {
    let mut file = FieldErrors::new();
    check_manifest(&pack.manifest, &mut file);
    place("pack.yaml", file, errors);
    for runtime in &pack.runtimes {
        let mut file = common(pack, &runtime.r#ref, &runtime.label);
        check_runtime(runtime, &mut file);
        place(&path("runtimes", &runtime.r#ref), file, errors);
    }
    for trigger in &pack.triggers {
        let mut file = common(pack, &trigger.r#ref, &trigger.label);
        check_trigger(trigger, &mut file);
        place(&path("triggers", &trigger.r#ref), file, errors);
    }
    for action in &pack.actions {
        let mut file = common(pack, &action.r#ref, &action.label);
        check_action(pack, action, &mut file);
        place(&path("actions", &action.r#ref), file, errors);
    }
    for rule in &pack.rules {
        let mut file = common(pack, &rule.r#ref, &rule.label);
        check_rule(pack, rule, &mut file);
        place(&path("rules", &rule.r#ref), file, errors);
    }
}

/// What works, and is hardly meant: a secret that is easily guessed, names that lead nowhere.
pub(super) fn doubts(pack: &Pack) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let mut add = |folder, reference: &Ref, found: Vec<FieldErrors>| {
        for file in found {
            place(&path(folder, reference), file, &mut errors);
        }
    };
    for trigger in &pack.triggers {
        let guessed = check_new_secrets(&trigger.config, &Value::Null).map_err(|bad| bad.under("config"));
        add("triggers", &trigger.r#ref, guessed.err().into_iter().collect());
    }
    for rule in &pack.rules {
        let condition = Condition::compile(rule.condition.as_ref().unwrap_or(&Value::Null));
        let template = Template::compile(&rule.action_params);
        let lost = [
            condition.map(|c| c.unknown_references()),
            template.map(|t| t.unknown_references()),
        ];
        add("rules", &rule.r#ref, lost.into_iter().flatten().collect());
    }
    errors
}

/// The file in which a definition stands.
pub(super) fn path(folder: &str, reference: &Ref) -> String {
    let name = reference.as_str().split_once('.').map_or("", |(_, name)| name);
    format!("{folder}/{name}.yaml")
}

/// Takes over the errors of a file, with its path in front.
pub(super) fn place(path: &str, file: FieldErrors, errors: &mut FieldErrors) {
    for error in file.into_vec() {
        let place = if error.path.is_empty() {
            path.to_owned()
        } else {
            format!("{path}: {}", error.path)
        };
        errors.add(place, error.message);
    }
}

fn check_manifest(manifest: &Manifest, errors: &mut FieldErrors) {
    if !is_name(&manifest.r#ref) {
        errors.add(
            "ref",
            "must be lower-case letters, digits and `_`, starting with a letter, at most 64 characters",
        );
    }
    check_label(&manifest.label, errors);
    if manifest.version.trim().is_empty() {
        errors.add("version", "must not be empty, write for example 0.1.0");
    }
}

fn common(pack: &Pack, reference: &Ref, label: &str) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let owner = &pack.manifest.r#ref;
    if reference.pack() != owner {
        errors.add(
            "ref",
            format!("{reference} does not belong to the pack {owner}: it must start with `{owner}.`"),
        );
    }
    check_label(label, &mut errors);
    errors
}

fn check_label(label: &str, errors: &mut FieldErrors) {
    if label.trim().is_empty() || label.chars().count() > LABEL_CHARS_MAX {
        errors.add("label", format!("must have 1 to {LABEL_CHARS_MAX} characters"));
    }
}

fn check_runtime(runtime: &Runtime, errors: &mut FieldErrors) {
    match runtime.kind {
        RuntimeKind::Process if runtime.command.first().is_none_or(String::is_empty) => {
            errors.add("command", "must name the program to start, for example [/bin/sh, -c]");
        }
        RuntimeKind::Native if !runtime.command.is_empty() => {
            errors.add(
                "command",
                "must be left out: what is built into the worker starts no program",
            );
        }
        RuntimeKind::Process | RuntimeKind::Native => {}
    }
}

fn check_trigger(trigger: &Trigger, errors: &mut FieldErrors) {
    let config = match trigger.kind {
        TriggerKind::Timer => TimerConfig::parse(&trigger.config).map(drop),
        TriggerKind::Webhook => WebhookConfig::parse(&trigger.config).map(drop),
        TriggerKind::FileWatch | TriggerKind::Custom => dedup::check(&trigger.config),
    };
    if let Err(config) = config {
        errors.nest("config", config);
    }
    if let Some(schema) = &trigger.payload_schema {
        check_schema("payload_schema", schema, errors);
    }
}

fn check_action(pack: &Pack, action: &Action, errors: &mut FieldErrors) {
    check_known(
        "runtime_ref",
        pack,
        &action.runtime_ref,
        pack.runtimes.iter().map(|runtime| &runtime.r#ref),
        errors,
    );
    if action.entry_point.trim().is_empty() {
        errors.add("entry_point", "must not be empty");
    }
    check_schema("parameters_schema", &action.parameters_schema, errors);
    if let Some(Err(bad)) = Schema::compile(&action.parameters_schema)
        .ok()
        .map(|schema| schema.check_defaults())
    {
        errors.nest("", bad);
    }
    if let Some(schema) = &action.output_schema {
        check_schema("output_schema", schema, errors);
    }
    if !is_name(&action.pool) || action.pool.len() > POOL_CHARS_MAX {
        errors.add("pool", format!("must be lower-case letters, digits and `_`, starting with a letter, at most {POOL_CHARS_MAX} characters"));
    }
    if !(1..=TIMEOUT_SECONDS_MAX).contains(&action.timeout_seconds) {
        errors.add(
            "timeout_seconds",
            format!("must be between 1 and {TIMEOUT_SECONDS_MAX} (7 days)"),
        );
    }
    let owner = Owner::Action(ActionId(0));
    check_policies(action.retry.as_ref(), action.concurrency.as_ref(), owner, errors);
    if let Some(Err(bad)) = action.resources.as_ref().map(Resources::parse) {
        errors.nest("", bad);
    }
}

fn check_rule(pack: &Pack, rule: &Rule, errors: &mut FieldErrors) {
    check_known(
        "trigger_ref",
        pack,
        &rule.trigger_ref,
        pack.triggers.iter().map(|trigger| &trigger.r#ref),
        errors,
    );
    check_known(
        "action_ref",
        pack,
        &rule.action_ref,
        pack.actions.iter().map(|action| &action.r#ref),
        errors,
    );
    check_policies(
        rule.retry.as_ref(),
        rule.concurrency.as_ref(),
        Owner::Rule(RuleId(0)),
        errors,
    );
    if let Some(Err(bad)) = rule.rate_limit.as_ref().map(RateLimit::parse) {
        errors.nest("", bad);
    }
    check_object("action_params", &rule.action_params, errors);
    let action = pack.actions.iter().find(|action| action.r#ref == rule.action_ref);
    if let Some(Err(bad)) = action.map(|action| mismatches(&action.parameters_schema, &rule.action_params)) {
        errors.nest("", bad);
    }
    let template = Template::compile(&rule.action_params).map(drop);
    let condition = Condition::compile(rule.condition.as_ref().unwrap_or(&Value::Null)).map(drop);
    for error in [template, condition]
        .into_iter()
        .filter_map(Result::err)
        .flat_map(FieldErrors::into_vec)
    {
        errors.add(error.path, error.message);
    }
}

fn check_policies(retry: Option<&Value>, concurrency: Option<&Value>, owner: Owner, errors: &mut FieldErrors) {
    if let Some(Err(bad)) = retry.map(RetryPolicy::parse) {
        errors.nest("", bad);
    }
    if let Some(Err(bad)) = concurrency.map(|concurrency| Concurrency::parse(concurrency, owner)) {
        errors.nest("", bad);
    }
}

/// A ref into this pack must lead to one of its files.
fn check_known<'a>(
    field: &str,
    pack: &Pack,
    reference: &Ref,
    mut known: impl Iterator<Item = &'a Ref>,
    errors: &mut FieldErrors,
) {
    if reference.pack() == pack.manifest.r#ref && !known.any(|known| known == reference) {
        errors.add(field, format!("{reference} is not defined in this pack"));
    }
}

fn check_object(field: &str, value: &Value, errors: &mut FieldErrors) {
    if !value.is_object() {
        errors.add(field, "must be an object");
    }
}

fn check_schema(field: &str, schema: &Value, errors: &mut FieldErrors) {
    if !schema.is_object() {
        return check_object(field, schema, errors);
    }
    // Its errors say `parameters_schema`, whatever the schema is for.
    for error in Schema::compile(schema)
        .err()
        .map(FieldErrors::into_vec)
        .unwrap_or_default()
    {
        errors.add(error.path.replacen("parameters_schema", field, 1), error.message);
    }
}
