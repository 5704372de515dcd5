//! Rules. A rule may carry its timer inline; that trigger is then its own, `<rule ref>.timer`, and lives and dies with it.

use crate::{
    answer::{Created, List, Versioned},
    api::Api,
    auth::Caller,
    change::{self, found, keeps_ref, location, switched, taken},
    check::{self, Link},
    known,
    problem::Problem,
    request::{Changes, Draft, IfMatch, Name, OneOf, Query, form, query},
    routes::rule_trigger::{Source, placed, source},
};
use attune_common::store::{PgExecutor, Transaction, action, known::Noun, rule, trigger};
use attune_domain::{
    ActionId, FieldErrors, PackId, RuleId, TriggerId,
    definition::{Action, Rule, Trigger},
    parameters::mismatches,
    policy::Owner,
    reference::Key,
};
use axum::{extract::State, http::StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

form! {
    #[derive(Serialize)]
    pub struct RuleForm {
        r#ref: String,
        pack_ref: Option<String>,
        pack: Option<i64>,
        label: Option<String>,
        description: Option<String>,
        trigger_ref: Option<String>,
        /// A trigger's number, or a timer of the rule's own: `{"type": "interval", "seconds": 10}`.
        trigger: Option<Value>,
        action_ref: Option<String>,
        action: Option<i64>,
        /// Null, an expression, or a list of operators: `{"all": [{"path": "event.payload.level", "operator": "equals", "value": 3}]}`.
        /// A clause may have `"missing": false`, `true` or `"fail"`: what it says where the event has nothing at its path.
        condition: Option<Value>,
        /// Templates over `event`: `{"message": "Hello at {{ event.payload.fired_at }}"}`.
        action_params: Value = json!({}),
        /// In place of the action's.
        retry: Option<Value>,
        /// `{"limit": 1, "overflow": "skip"}`: how many of this rule's executions at once; the action's limit counts as well.
        concurrency: Option<Value>,
        /// `{"limit": 10, "window_seconds": 60}`: how often; more than that are `throttled`.
        rate_limit: Option<Value>,
        enabled: bool = true,
    }
}

form! {
    pub struct RuleFilter {
        /// One, or several with commas.
        #[schema(inline)]
        pack_ref: Option<OneOf<String>>,
        /// One, or several with commas.
        #[schema(inline)]
        trigger_ref: Option<OneOf<String>>,
        /// One, or several with commas.
        #[schema(inline)]
        action_ref: Option<OneOf<String>>,
        enabled: Option<bool>,
        limit: u16 = 50,
        cursor: Option<String>,
    }
}

const READ_ONLY: [&str; 4] = ["id", "managed", "created_at", "updated_at"];

pub async fn list(State(api): State<Api>, Query(asked): Query<RuleFilter>) -> Result<List<Rule>, Problem> {
    let page = query::page(asked.limit, asked.cursor)?;
    let named = [
        ("pack_ref", Noun::Pack, asked.pack_ref.as_ref()),
        ("trigger_ref", Noun::Trigger, asked.trigger_ref.as_ref()),
        ("action_ref", Noun::Action, asked.action_ref.as_ref()),
    ];
    known::check(&api.pool, &named).await?;
    let [pack_ref, trigger_ref, action_ref] = named.map(|(_, _, refs)| refs.map(|any| any.0.as_slice()));
    let filter = rule::Filter {
        pack_ref,
        trigger_ref,
        action_ref,
        enabled: asked.enabled,
    };
    let rows = rule::page(&api.pool, &filter, &page).await?;
    Ok(List::of(rows, page.limit, |rule| rule.r#ref.clone()))
}

pub async fn get(State(api): State<Api>, Name(key): Name) -> Result<Versioned<Rule>, Problem> {
    let row = rule::get(&api.pool, &key).await?;
    shown(&api.pool, found(row, &key)?).await
}

pub async fn create(
    State(api): State<Api>,
    caller: Caller,
    body: Draft<RuleForm>,
) -> Result<Created<Versioned<Rule>>, Problem> {
    let form = body.form;
    let mut tx = api.begin_definitions().await?;
    let links = checked(&mut tx, &form, body.errors, None).await?;
    // Before its own timer is refused in its place.
    if rule::get(&mut *tx, &Key::Ref(form.r#ref.clone())).await?.is_some() {
        return Err(Problem::exists("rule", &form.r#ref));
    }
    let id = rule::reserve(&mut tx).await?;
    let trigger_id = placed(&mut tx, &form, id, (links.pack, &links.source), None).await?;
    rule::insert(&mut tx, id, &write(&form, &links, trigger_id))
        .await
        .map_err(|error| taken::<Rule>(error, &form.r#ref))?;
    let made = rule::get(&mut *tx, &Key::Id(id.0))
        .await?
        .ok_or_else(Problem::internal)?;
    let location = location(&made);
    let body = shown(&mut *tx, made).await?;
    change::commit(&api, tx, &caller, "create", (None, Some(&body.data))).await?;
    Ok(Created { location, body })
}

pub async fn update(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    seen: IfMatch,
    changes: Changes,
) -> Result<Versioned<Rule>, Problem> {
    let mut tx = api.begin_definitions().await?;
    let before = found(rule::lock(&mut tx, &key).await?, &key)?;
    seen.check(before.version)?;
    let current = as_form(&before, &changes);
    let (form, errors) = changes.over(&current, &READ_ONLY)?;
    keeps_ref(&before, &form.r#ref)?;
    let owned = trigger::owned_by(&mut tx, before.id).await?;
    let links = checked(&mut tx, &form, errors, Some((&before, owned.as_ref()))).await?;
    let trigger_id = placed(&mut tx, &form, before.id, (links.pack, &links.source), owned.as_ref()).await?;
    rule::update(&mut tx, before.id, &write(&form, &links, trigger_id)).await?;
    match owned {
        Some(owned) if owned.id != trigger_id => trigger::delete(&mut tx, owned.id).await?,
        Some(owned) if owned.enabled != form.enabled => trigger::set_enabled(&mut tx, owned.id, form.enabled).await?,
        _ => {}
    }
    let after = rule::get(&mut *tx, &key).await?.ok_or_else(Problem::internal)?;
    let shown = shown(&mut *tx, after).await?;
    change::commit(&api, tx, &caller, "update", (Some(&before), Some(&shown.data))).await?;
    Ok(shown)
}

pub async fn enable(api: State<Api>, caller: Caller, name: Name) -> Result<Versioned<Rule>, Problem> {
    switch(api, caller, name, true).await
}

pub async fn disable(api: State<Api>, caller: Caller, name: Name) -> Result<Versioned<Rule>, Problem> {
    switch(api, caller, name, false).await
}

async fn switch(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    enabled: bool,
) -> Result<Versioned<Rule>, Problem> {
    let mut tx = api.begin_definitions().await?;
    let before = found(rule::lock(&mut tx, &key).await?, &key)?;
    rule::set_enabled(&mut tx, before.id, enabled).await?;
    let after = rule::get(&mut *tx, &key).await?.ok_or_else(Problem::internal)?;
    let shown = shown(&mut *tx, after).await?;
    let changed = (Some(&before), Some(&shown.data));
    change::commit(&api, tx, &caller, switched(enabled), changed).await?;
    Ok(shown)
}

pub async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    seen: IfMatch,
) -> Result<StatusCode, Problem> {
    let mut tx = api.begin_definitions().await?;
    let before = found(rule::lock(&mut tx, &key).await?, &key)?;
    seen.check(before.version)?;
    rule::delete(&mut tx, before.id).await?;
    change::commit(&api, tx, &caller, "delete", (Some(&before), None)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A rule, with what is wrong with it since its action was changed. Of a change it is asked before the commit: afterwards
/// nothing may fail any more.
async fn shown<'e>(db: impl PgExecutor<'e>, rule: Rule) -> Result<Versioned<Rule>, Problem> {
    let action = action::get(db, &Key::Ref(rule.action_ref.clone())).await?;
    let mismatches = action.map(|action| mismatches(&action.parameters_schema, &rule.action_params));
    let mut shown = Versioned::new(rule.version, rule);
    if let Some(Err(mismatches)) = mismatches {
        let warning = format!(
            "every event fails: {} does not take these parameters: {mismatches}",
            shown.data.action_ref
        );
        shown.warnings.push(warning);
    }
    Ok(shown)
}

/// What a rule refers to.
struct Links {
    pack: PackId,
    action: ActionId,
    source: Source,
}

/// Everything that can be wrong with a rule, and what it refers to.
async fn checked(
    tx: &mut Transaction,
    form: &RuleForm,
    mut errors: FieldErrors,
    before: Option<(&Rule, Option<&Trigger>)>,
) -> Result<Links, Problem> {
    check::texts(&mut errors, form.label.as_deref(), form.description.as_deref());
    let pack = check::pack_of(tx, &mut errors, &form.r#ref, form.pack_ref.as_deref(), form.pack).await?;
    let source = source(tx, &mut errors, form, before.and_then(|(_, owned)| owned)).await?;
    let link = Link {
        noun: "action",
        reference: form.action_ref.as_deref(),
        id: form.action,
    };
    let mut action = None;
    if let Some(key) = link.key(&mut errors) {
        action = action::get(&mut **tx, &key).await?;
        link.check(&mut errors, action.as_ref().map(|action| action.r#ref.as_str()));
    }
    let schema = action.as_ref().map(|action| &action.parameters_schema);
    let changed = before
        .is_none_or(|(before, _)| (&before.condition, &before.action_params) != (&form.condition, &form.action_params));
    check::rule(
        &mut errors,
        form.condition.as_ref(),
        &form.action_params,
        schema,
        changed,
    );
    // What does not fit since its action was changed may still be renamed or switched off.
    let judged = |action: &&Action| {
        before.is_none_or(|(before, _)| before.action_params != form.action_params || before.action_ref != action.r#ref)
    };
    if let Some(Err(bad)) = action
        .as_ref()
        .filter(judged)
        .map(|action| mismatches(&action.parameters_schema, &form.action_params))
    {
        check::add_all(&mut errors, bad);
    }
    check::retry(&mut errors, form.retry.as_ref());
    let changed = before.is_none_or(|(before, _)| before.concurrency != form.concurrency);
    check::concurrency(&mut errors, form.concurrency.as_ref(), Owner::Rule(RuleId(0)), changed);
    check::rate_limit(&mut errors, form.rate_limit.as_ref());
    match (pack, action, source) {
        (Some(pack), Some(action), Some(source)) if errors.is_empty() => Ok(Links {
            pack: pack.id,
            action: action.id,
            source,
        }),
        _ => Err(Problem::invalid(errors)),
    }
}

fn as_form(rule: &Rule, changes: &Changes) -> RuleForm {
    RuleForm {
        r#ref: rule.r#ref.clone(),
        pack_ref: (!changes.has("pack")).then(|| rule.pack_ref.clone()),
        pack: None,
        label: Some(rule.label.clone()),
        description: rule.description.clone(),
        trigger_ref: (!changes.has("trigger")).then(|| rule.trigger_ref.clone()),
        trigger: None,
        action_ref: (!changes.has("action")).then(|| rule.action_ref.clone()),
        action: None,
        condition: rule.condition.clone(),
        action_params: rule.action_params.clone(),
        retry: rule.retry.clone(),
        concurrency: rule.concurrency.clone(),
        rate_limit: rule.rate_limit.clone(),
        enabled: rule.enabled,
    }
}

fn write<'a>(form: &'a RuleForm, links: &Links, trigger_id: TriggerId) -> rule::Write<'a> {
    rule::Write {
        r#ref: &form.r#ref,
        pack_id: links.pack,
        label: form.label.as_deref().unwrap_or(&form.r#ref),
        description: form.description.as_deref(),
        trigger_id,
        action_id: links.action,
        condition: form.condition.as_ref(),
        action_params: &form.action_params,
        retry: form.retry.as_ref(),
        concurrency: form.concurrency.as_ref(),
        rate_limit: form.rate_limit.as_ref(),
        enabled: form.enabled,
    }
}
