//! Triggers, and firing them by hand.

use crate::{
    answer::{Created, List, Versioned},
    api::Api,
    auth::{Caller, hex},
    change::{self, found, keeps_ref, location, switched, taken},
    check::{self, Before},
    known,
    problem::Problem,
    request::{Changes, Draft, IfMatch, Name, OneOf, Query, form, query},
};
use attune_common::{
    clock,
    store::{PgConnection, Transaction, db, known::Noun, pack, rule, trigger, upkeep, webhook::Address},
};
use attune_domain::{
    FieldErrors, PackId,
    definition::{Trigger, TriggerKind},
    identity::Role,
    reference::Key,
    timer::{Limits, Origin, Timer, TimerConfig, plan},
    webhook::{check_new_secrets, drop_expired, keep_masked},
};
use axum::{extract::State, http::StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

form! {
    #[derive(Serialize)]
    pub struct TriggerForm {
        r#ref: String,
        pack_ref: Option<String>,
        pack: Option<i64>,
        label: Option<String>,
        description: Option<String>,
        kind: TriggerKind as (TriggerKind::Custom),
        /// By kind; of a timer: `{"type": "interval", "seconds": 10}`, `{"type": "cron", "expression": "0 * * * *"}`,
        /// `{"type": "one_shot", "fire_at": "2027-01-20T15:00:00Z"}`; of a webhook: `{"verify": "github", "secret": "…"}`.
        config: Value = json!({}),
        /// What a payload looks like.
        payload_schema: Option<Value>,
        enabled: bool = true,
    }
}

form! {
    pub struct TriggerFilter {
        /// One, or several with commas.
        #[schema(inline)]
        pack_ref: Option<OneOf<String>>,
        /// One, or several with commas.
        #[schema(inline)]
        kind: Option<OneOf<TriggerKind>>,
        enabled: Option<bool>,
        limit: u16 = 50,
        cursor: Option<String>,
    }
}

/// A trigger as its reader may see it.
#[derive(Debug, Serialize, ToSchema)]
pub struct TriggerView {
    #[serde(flatten)]
    trigger: Trigger,
    /// Where its webhook is called; told to those who may fire it.
    webhook_url: Option<String>,
}

const READ_ONLY: [&str; 10] = [
    "id",
    "managed",
    "created_at",
    "updated_at",
    "owner_rule_ref",
    "next_fire_at",
    "last_fired_at",
    "last_error",
    "webhook_url",
    "webhook_key",
];

pub async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(asked): Query<TriggerFilter>,
) -> Result<List<TriggerView>, Problem> {
    let page = query::page(asked.limit, asked.cursor)?;
    known::check(&api.pool, &[("pack_ref", Noun::Pack, asked.pack_ref.as_ref())]).await?;
    let kind = asked.kind.map(|any| any.texts());
    let filter = trigger::Filter {
        pack_ref: asked.pack_ref.as_ref().map(|any| any.0.as_slice()),
        kind: kind.as_deref(),
        enabled: asked.enabled,
    };
    let rows = trigger::page(&api.pool, &filter, &page).await?;
    let views = rows.into_iter().map(|row| view(&api, &caller, row)).collect();
    Ok(List::of(views, page.limit, |view| view.trigger.r#ref.clone()))
}

pub async fn get(State(api): State<Api>, caller: Caller, Name(key): Name) -> Result<Versioned<TriggerView>, Problem> {
    let row = trigger::get(&api.pool, &key).await?;
    found(row, &key).map(|found| shown(&api, &caller, found))
}

pub async fn create(
    State(api): State<Api>,
    caller: Caller,
    body: Draft<TriggerForm>,
) -> Result<Created<Versioned<TriggerView>>, Problem> {
    let mut form = body.form;
    let mut tx = api.begin_definitions().await?;
    let pack = checked(&api, &mut tx, &mut form, body.errors, None).await?;
    let address = new_address(&api, &form);
    let id = trigger::insert(&mut tx, None, &write(&form, pack, address.as_ref()))
        .await
        .map_err(|error| taken::<Trigger>(error, &form.r#ref))?;
    let mut made = trigger::get(&mut *tx, &Key::Id(id.0))
        .await?
        .ok_or_else(Problem::internal)?;
    foretell(&mut tx, None, &mut made).await?;
    change::commit(&api, tx, &caller, "create", (None, Some(&made))).await?;
    Ok(Created {
        location: location(&made),
        body: shown(&api, &caller, made),
    })
}

pub async fn update(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    seen: IfMatch,
    changes: Changes,
) -> Result<Versioned<TriggerView>, Problem> {
    let mut tx = api.begin_definitions().await?;
    let before = found(trigger::lock(&mut tx, &key).await?, &key)?;
    seen.check(before.version)?;
    let current = as_form(&before, &changes);
    let (mut form, errors) = changes.over(&current, &READ_ONLY)?;
    keeps_ref(&before, &form.r#ref)?;
    if before.owner_rule_ref.is_some() && form.kind != TriggerKind::Timer {
        return Err(Problem::field(
            "kind",
            "cannot be changed: it is the timer that a rule carries",
        ));
    }
    let pack = checked(&api, &mut tx, &mut form, errors, Some(&before)).await?;
    let address = new_address(&api, &form);
    trigger::update(&mut tx, before.id, &write(&form, pack, address.as_ref())).await?;
    let mut after = trigger::get(&mut *tx, &key).await?.ok_or_else(Problem::internal)?;
    if after.config != before.config {
        rule::touch_owner(&mut tx, before.id).await?;
    }
    foretell(&mut tx, Some(&before), &mut after).await?;
    change::commit(&api, tx, &caller, "update", (Some(&before), Some(&after))).await?;
    Ok(shown(&api, &caller, after))
}

pub async fn enable(api: State<Api>, caller: Caller, name: Name) -> Result<Versioned<TriggerView>, Problem> {
    switch(api, caller, name, true).await
}

pub async fn disable(api: State<Api>, caller: Caller, name: Name) -> Result<Versioned<TriggerView>, Problem> {
    switch(api, caller, name, false).await
}

async fn switch(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    enabled: bool,
) -> Result<Versioned<TriggerView>, Problem> {
    let mut tx = api.begin_definitions().await?;
    let before = found(trigger::lock(&mut tx, &key).await?, &key)?;
    trigger::set_enabled(&mut tx, before.id, enabled).await?;
    let mut after = trigger::get(&mut *tx, &key).await?.ok_or_else(Problem::internal)?;
    foretell(&mut tx, Some(&before), &mut after).await?;
    change::commit(&api, tx, &caller, switched(enabled), (Some(&before), Some(&after))).await?;
    Ok(shown(&api, &caller, after))
}

/// What a sensor is about to plan. It does so within a second; whoever has just made the change need not ask again.
async fn foretell(tx: &mut Transaction, before: Option<&Trigger>, after: &mut Trigger) -> Result<(), Problem> {
    let moved =
        |before: &Trigger| (before.kind, before.enabled, &before.config) != (after.kind, after.enabled, &after.config);
    if after.kind != TriggerKind::Timer || !before.is_none_or(moved) {
        return Ok(());
    }
    let origin = match before.filter(|before| before.kind == TriggerKind::Timer) {
        None => Origin::Created,
        Some(before) if before.enabled => Origin::Edited,
        Some(_) => Origin::Enabled,
    };
    let pack = pack::get(&mut **tx, &Key::Ref(after.pack_ref.clone())).await?;
    let runs = after.enabled && pack.is_some_and(|pack| pack.enabled);
    // A configuration that SQL has broken shows its error when the sensor has seen it.
    let timer = TimerConfig::parse(&after.config).and_then(|config| Timer::compile(&config, after.id));
    after.next_fire_at = timer
        .ok()
        .filter(|_| runs)
        .and_then(|timer| plan(&timer, after.updated_at, origin, None).next);
    Ok(())
}

pub async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    seen: IfMatch,
) -> Result<StatusCode, Problem> {
    let mut tx = api.begin_definitions().await?;
    let before = found(trigger::lock(&mut tx, &key).await?, &key)?;
    seen.check(before.version)?;
    let users = trigger::users(&mut tx, before.id).await?;
    if !users.is_empty() {
        let advice = "delete them first, or give them another trigger";
        return Err(Problem::in_use(&before.r#ref, "is used by", users, advice));
    }
    trigger::delete(&mut tx, before.id).await?;
    change::commit(&api, tx, &caller, "delete", (Some(&before), None)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(api: &Api, caller: &Caller, trigger: Trigger) -> Versioned<TriggerView> {
    Versioned::new(trigger.version, view(api, caller, trigger))
}

fn view(api: &Api, caller: &Caller, mut trigger: Trigger) -> TriggerView {
    if trigger.kind == TriggerKind::FileWatch {
        trigger.last_error = Some("nothing observes files yet: it fires by hand only".to_owned());
    }
    if trigger.kind == TriggerKind::Webhook {
        drop_expired(&mut trigger.config, clock::now());
    }
    let shows_url = trigger.kind == TriggerKind::Webhook && caller.role.covers(Role::Operator);
    let webhook_url = if shows_url {
        webhook_url(api, &mut trigger)
    } else {
        None
    };
    TriggerView { trigger, webhook_url }
}

fn webhook_url(api: &Api, trigger: &mut Trigger) -> Option<String> {
    if let Some(key) = &trigger.webhook_key {
        return Some(api.webhook_url(key));
    }
    let sealed = trigger.webhook_key_sealed.as_deref()?;
    match api.webhooks.sealer.open_webhook_key(sealed, &trigger.r#ref) {
        Ok(key) => Some(api.webhook_url(&key)),
        Err(error) => {
            trigger.last_error.get_or_insert(format!(
                "the webhook's address cannot be shown ({error}); it still works, and POST …/rotate-key gives a new one"
            ));
            None
        }
    }
}

/// A new address: 256 random bits. A trigger that has an address keeps it.
fn new_address(api: &Api, form: &TriggerForm) -> Option<Address> {
    (form.kind == TriggerKind::Webhook).then(|| {
        let key = hex(&rand::random::<[u8; 32]>());
        Address::new(&api.webhooks.sealer, &key, &form.r#ref)
    })
}

/// Checks a form. Secrets leave it sealed.
async fn checked(
    api: &Api,
    tx: &mut Transaction,
    form: &mut TriggerForm,
    mut errors: FieldErrors,
    before: Option<&Trigger>,
) -> Result<PackId, Problem> {
    let kept = before.map_or(&Value::Null, |before| &before.config);
    if form.kind == TriggerKind::Webhook
        && let Err(bad) = check_new_secrets(&form.config, kept)
    {
        check::add_all(&mut errors, check::nested("config", bad));
    }
    if before.is_some() {
        keep_masked(&mut form.config, kept);
    }
    // Checked as it will be used: with its secrets in the clear.
    let mut opened = form.config.clone();
    if let Err(error) = api.webhooks.sealer.open_config(&mut opened, &form.r#ref) {
        errors.add("config.secret", format!("must be written again: {error}"));
    }
    check::texts(&mut errors, form.label.as_deref(), form.description.as_deref());
    if let Some(bad) = form.payload_schema.as_ref().filter(|schema| !schema.is_object()) {
        errors.add(
            "payload_schema",
            format!("must be a JSON schema, not {}", attune_domain::json::kind(bad)),
        );
    }
    if let Err(bad) = config(tx, form.kind, &opened, before).await? {
        check::add_all(&mut errors, bad);
    }
    if let Err(error) = api.webhooks.sealer.seal_config(&mut form.config, &form.r#ref) {
        errors.add("config.secret", error.to_string());
    }
    match check::pack_of(tx, &mut errors, &form.r#ref, form.pack_ref.as_deref(), form.pack).await? {
        Some(pack) if errors.is_empty() => Ok(pack.id),
        _ => Err(Problem::invalid(errors)),
    }
}

/// Checks a configuration at the database's present.
pub async fn config(
    connection: &mut PgConnection,
    kind: TriggerKind,
    config: &Value,
    before: Option<&Trigger>,
) -> Result<Result<(), FieldErrors>, Problem> {
    let now = db::now(&mut *connection).await?;
    let before = before
        .filter(|before| before.kind == TriggerKind::Timer)
        .map(|before| Before {
            config: &before.config,
            spent: before.next_fire_at.is_none() && before.last_fired_at.is_some(),
        });
    let limits = Limits::of_days(upkeep::event_days(connection).await?);
    Ok(check::config(kind, config, before.as_ref(), now, limits))
}

fn as_form(trigger: &Trigger, changes: &Changes) -> TriggerForm {
    TriggerForm {
        r#ref: trigger.r#ref.clone(),
        pack_ref: (!changes.has("pack")).then(|| trigger.pack_ref.clone()),
        pack: None,
        label: Some(trigger.label.clone()),
        description: trigger.description.clone(),
        kind: trigger.kind,
        config: trigger.config.clone(),
        payload_schema: trigger.payload_schema.clone(),
        enabled: trigger.enabled,
    }
}

fn write<'a>(form: &'a TriggerForm, pack_id: PackId, address: Option<&'a Address>) -> trigger::Write<'a> {
    trigger::Write {
        r#ref: &form.r#ref,
        pack_id,
        label: form.label.as_deref().unwrap_or(&form.r#ref),
        description: form.description.as_deref(),
        kind: form.kind,
        config: &form.config,
        payload_schema: form.payload_schema.as_ref(),
        address,
        enabled: form.enabled,
    }
}

/// The configuration of a timer trigger, or why it has none.
pub fn timer_config(trigger: &Trigger) -> Result<TimerConfig, Problem> {
    if trigger.kind != TriggerKind::Timer {
        let detail = format!("{} is no timer: it has no occurrences to tell", trigger.r#ref);
        return Err(Problem::conflict("not_a_timer", detail));
    }
    TimerConfig::parse(&trigger.config).map_err(|errors| Problem::invalid(check::nested("config", errors)))
}
