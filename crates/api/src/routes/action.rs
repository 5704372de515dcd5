//! Actions.

use crate::{
    answer::{Created, List, Versioned},
    api::Api,
    auth::Caller,
    change::{self, created, found, keeps_ref, shown, taken},
    check::{self, Link},
    known,
    problem::Problem,
    request::{Changes, Draft, IfMatch, Name, OneOf, Query, form, query},
};
use attune_common::store::{Transaction, action, known::Noun, rule, runtime};
use attune_domain::{
    ActionId, FieldErrors, PackId, RuntimeId,
    definition::{Action, OnLost, OutputFormat, Rule},
    parameters::mismatches,
    policy::Owner,
    reference::Key,
    variables,
};
use axum::{extract::State, http::StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

form! {
    #[derive(Serialize)]
    pub struct ActionForm {
        r#ref: String,
        pack_ref: Option<String>,
        pack: Option<i64>,
        runtime_ref: Option<String>,
        runtime: Option<i64>,
        label: Option<String>,
        description: Option<String>,
        /// A script for the runtime, or the name of a native action.
        entry_point: String,
        /// A JSON schema.
        parameters_schema: Value = json!({"type": "object"}),
        /// A JSON schema.
        output_schema: Option<Value>,
        output_format: OutputFormat = OutputFormat::Text,
        /// The pool of workers that run it.
        pool: String = "default".to_owned(),
        timeout_seconds: i32 = 3600,
        on_lost: OnLost = OnLost::Fail,
        /// `{"max_attempts": 3, "backoff_seconds": 2}`: how often, and how patiently, a failure is tried again.
        retry: Option<Value>,
        /// `{"limit": 1, "key": "{{ parameters.host }}", "overflow": "queue"}`: how many at once, of all or of each key;
        /// `overflow` may be `queue`, `skip` or `cancel_previous`.
        concurrency: Option<Value>,
        /// `{"memory_mb": 512, "cpu": 1, "processes": 64, "files": 256}`: bounds of one run. What is left out is as the
        /// worker's settings say.
        resources: Option<Value>,
        enabled: bool = true,
    }
}

form! {
    pub struct ActionFilter {
        /// One, or several with commas.
        #[schema(inline)]
        pack_ref: Option<OneOf<String>>,
        enabled: Option<bool>,
        limit: u16 = 50,
        cursor: Option<String>,
    }
}

const READ_ONLY: [&str; 4] = ["id", "managed", "created_at", "updated_at"];
const ENTRY_POINT_MAX: usize = 64 * 1024;

pub async fn list(State(api): State<Api>, Query(asked): Query<ActionFilter>) -> Result<List<Action>, Problem> {
    let page = query::page(asked.limit, asked.cursor)?;
    known::check(&api.pool, &[("pack_ref", Noun::Pack, asked.pack_ref.as_ref())]).await?;
    let filter = action::Filter {
        pack_ref: asked.pack_ref.as_ref().map(|any| any.0.as_slice()),
        enabled: asked.enabled,
    };
    let rows = action::page(&api.pool, &filter, &page).await?;
    Ok(List::of(rows, page.limit, |action| action.r#ref.clone()))
}

pub async fn get(State(api): State<Api>, Name(key): Name) -> Result<Versioned<Action>, Problem> {
    let row = action::get(&api.pool, &key).await?;
    found(row, &key).map(shown)
}

pub async fn create(
    State(api): State<Api>,
    caller: Caller,
    body: Draft<ActionForm>,
) -> Result<Created<Versioned<Action>>, Problem> {
    let form = body.form;
    let mut tx = api.begin_definitions().await?;
    let (pack, runtime) = checked(&mut tx, &form, body.errors).await?;
    let id = action::insert(&mut tx, &write(&form, pack, runtime))
        .await
        .map_err(|error| taken::<Action>(error, &form.r#ref))?;
    let made = action::get(&mut *tx, &Key::Id(id.0))
        .await?
        .ok_or_else(Problem::internal)?;
    change::commit(&api, tx, &caller, "create", (None, Some(&made))).await?;
    let mut created = created(made);
    created.body.warnings = variables::warnings(&created.body.data.parameters_schema);
    Ok(created)
}

pub async fn update(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    seen: IfMatch,
    changes: Changes,
) -> Result<Versioned<Action>, Problem> {
    let mut tx = api.begin_definitions().await?;
    let before = found(action::lock(&mut tx, &key).await?, &key)?;
    seen.check(before.version)?;
    let current = as_form(&before, &changes);
    let (form, errors) = changes.over(&current, &READ_ONLY)?;
    let (pack, runtime) = checked(&mut tx, &form, errors).await?;
    keeps_ref(&before, &form.r#ref)?;
    action::update(&mut tx, before.id, &write(&form, pack, runtime)).await?;
    let after = action::get(&mut *tx, &key).await?.ok_or_else(Problem::internal)?;
    let mut shown = shown(after);
    if before.parameters_schema != shown.data.parameters_schema {
        shown.warnings = left_behind(&mut tx, &shown.data).await?;
        shown
            .warnings
            .extend(variables::warnings(&shown.data.parameters_schema));
    }
    change::commit(&api, tx, &caller, "update", (Some(&before), Some(&shown.data))).await?;
    Ok(shown)
}

/// Rules that cannot start the action any more since its schema was changed.
async fn left_behind(tx: &mut Transaction, action: &Action) -> Result<Vec<String>, Problem> {
    let filter = rule::Filter {
        action_ref: Some(std::slice::from_ref(&action.r#ref)),
        ..rule::Filter::default()
    };
    let page = query::page(query::LIMIT_MAX, None)?;
    let mut rules = rule::page(&mut **tx, &filter, &page).await?;
    let more = rules.len() > usize::from(page.limit);
    rules.truncate(usize::from(page.limit));
    let warning = |rule: &Rule| {
        let bad = mismatches(&action.parameters_schema, &rule.action_params).err()?;
        Some(format!("every event of the rule {} fails now: {bad}", rule.r#ref))
    };
    let mut warnings: Vec<String> = rules.iter().filter_map(warning).collect();
    if more {
        warnings.push(format!(
            "only the first {} rules of {} were looked at: GET /api/v1/rules/REF tells of each whether it fits",
            page.limit, action.r#ref
        ));
    }
    Ok(warnings)
}

pub async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    seen: IfMatch,
) -> Result<StatusCode, Problem> {
    let mut tx = api.begin_definitions().await?;
    let before = found(action::lock(&mut tx, &key).await?, &key)?;
    seen.check(before.version)?;
    let users = action::users(&mut tx, before.id).await?;
    if !users.is_empty() {
        let advice = "delete them first, or give them another action";
        return Err(Problem::in_use(&before.r#ref, "is used by", users, advice));
    }
    action::delete(&mut tx, before.id).await?;
    change::commit(&api, tx, &caller, "delete", (Some(&before), None)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Everything that can be wrong with an action, and what it refers to.
async fn checked(
    tx: &mut Transaction,
    form: &ActionForm,
    mut errors: FieldErrors,
) -> Result<(PackId, RuntimeId), Problem> {
    check::texts(&mut errors, form.label.as_deref(), form.description.as_deref());
    check::schemas(&mut errors, &form.parameters_schema, form.output_schema.as_ref());
    check::retry(&mut errors, form.retry.as_ref());
    check::concurrency(&mut errors, form.concurrency.as_ref(), Owner::Action(ActionId(0)), true);
    check::resources(&mut errors, form.resources.as_ref());
    if form.entry_point.is_empty() || form.entry_point.len() > ENTRY_POINT_MAX {
        errors.add("entry_point", format!("must have 1 to {ENTRY_POINT_MAX} bytes"));
    }
    if !attune_domain::reference::is_name(&form.pool) || form.pool.len() > 32 {
        errors.add(
            "pool",
            "must be lower-case letters, digits and `_`, beginning with a letter, at most 32",
        );
    }
    if !(1..=604_800).contains(&form.timeout_seconds) {
        errors.add(
            "timeout_seconds",
            format!("is {}: must be 1 to 604800 (a week)", form.timeout_seconds),
        );
    }
    let pack = check::pack_of(tx, &mut errors, &form.r#ref, form.pack_ref.as_deref(), form.pack).await?;
    let link = Link {
        noun: "runtime",
        reference: form.runtime_ref.as_deref(),
        id: form.runtime,
    };
    let mut runtime = None;
    if let Some(key) = link.key(&mut errors) {
        runtime = runtime::get(&mut **tx, &key).await?;
        link.check(&mut errors, runtime.as_ref().map(|runtime| runtime.r#ref.as_str()));
    }
    match (pack, runtime) {
        (Some(pack), Some(runtime)) if errors.is_empty() => Ok((pack.id, runtime.id)),
        _ => Err(Problem::invalid(errors)),
    }
}

/// The action as it could have been sent. What the changes address by number is not addressed by reference too.
fn as_form(action: &Action, changes: &Changes) -> ActionForm {
    ActionForm {
        r#ref: action.r#ref.clone(),
        pack_ref: (!changes.has("pack")).then(|| action.pack_ref.clone()),
        pack: None,
        runtime_ref: (!changes.has("runtime")).then(|| action.runtime_ref.clone()),
        runtime: None,
        label: Some(action.label.clone()),
        description: action.description.clone(),
        entry_point: action.entry_point.clone(),
        parameters_schema: action.parameters_schema.clone(),
        output_schema: action.output_schema.clone(),
        output_format: action.output_format,
        pool: action.pool.clone(),
        timeout_seconds: action.timeout_seconds,
        on_lost: action.on_lost,
        retry: action.retry.clone(),
        concurrency: action.concurrency.clone(),
        resources: action.resources.clone(),
        enabled: action.enabled,
    }
}

fn write(form: &ActionForm, pack_id: PackId, runtime_id: RuntimeId) -> action::Write<'_> {
    action::Write {
        r#ref: &form.r#ref,
        pack_id,
        runtime_id,
        label: form.label.as_deref().unwrap_or(&form.r#ref),
        description: form.description.as_deref(),
        entry_point: &form.entry_point,
        parameters_schema: &form.parameters_schema,
        output_schema: form.output_schema.as_ref(),
        output_format: form.output_format,
        pool: &form.pool,
        timeout_seconds: form.timeout_seconds,
        on_lost: form.on_lost,
        retry: form.retry.as_ref(),
        concurrency: form.concurrency.as_ref(),
        resources: form.resources.as_ref(),
        enabled: form.enabled,
    }
}
