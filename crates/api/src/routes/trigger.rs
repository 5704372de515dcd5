//! Triggers, and firing them by hand.

use crate::{
    answer::{Created, List, Versioned},
    api::Api,
    auth::Caller,
    definitions::{
        self, Editable,
        links::{all_errors, find_pack},
        map_conflict, or_not_found,
    },
    known,
    problem::Problem,
    request::{Changes, Draft, IfMatch, Name, OneOf, Query, Texts, form, query},
};
use attune_common::{
    clock, hex,
    store::{self, PgConnection, db, known::Noun, pack, rule, trigger, upkeep, webhook::Address},
};
pub use attune_domain::definition::TriggerDraft as TriggerForm;
use attune_domain::{
    FieldErrors, PackId,
    definition::{CorruptDefinition, Definition, Draft as _, Present, Trigger, TriggerConfig, TriggerKind},
    identity::Role,
    reference::Key,
    timer::{Limits, Origin, Timer, TimerConfig, plan},
    webhook::{drop_expired, keep_masked},
};
use axum::{extract::State, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

type Kinds = OneOf<TriggerKind>;

form! {
    pub struct TriggerFilter {
        /// One value, or several separated by commas.
        #[schema(inline)]
        pack_ref: Option<Texts>,
        /// One value, or several separated by commas.
        #[schema(inline)]
        kind: Option<Kinds>,
        enabled: Option<bool>,
        limit: u16 where (1..=query::LIMIT_MAX) = 50,
        cursor: Option<String>,
    }
}

/// A trigger as its reader may see it.
#[derive(Debug, Serialize, ToSchema)]
pub struct TriggerView {
    #[serde(flatten)]
    trigger: Trigger,
    /// The address of its webhook; shown only to callers who may fire it.
    webhook_url: Option<String>,
}

pub async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(params): Query<TriggerFilter>,
) -> Result<List<TriggerView>, Problem> {
    let page = query::page(params.limit, params.cursor)?;
    known::check(&api.pool, &[("pack_ref", Noun::Pack, params.pack_ref.as_ref())]).await?;
    let kind = params.kind.map(|any| any.texts());
    let filter = trigger::Filter {
        pack_ref: params.pack_ref.as_ref().map(|any| any.0.as_slice()),
        kind: kind.as_deref(),
        enabled: params.enabled,
    };
    let rows = trigger::page(&api.pool, &filter, &page).await?;
    let views = rows.into_iter().map(|row| view(&api, &caller, row)).collect();
    Ok(List::of(views, page.limit, |view| view.trigger.r#ref.to_string()))
}

pub async fn get(State(api): State<Api>, caller: Caller, Name(key): Name) -> Result<Versioned<TriggerView>, Problem> {
    let found = or_not_found(trigger::get(&api.pool, &key).await?, &key)?;
    let shown = Versioned::new(found.version, found);
    Ok(viewed(&api, &caller, shown))
}

pub async fn create(
    State(api): State<Api>,
    caller: Caller,
    body: Draft<TriggerForm>,
) -> Result<Created<Versioned<TriggerView>>, Problem> {
    let Created { location, body } = definitions::create(&api, &caller, body).await?;
    let body = viewed(&api, &caller, body);
    Ok(Created { location, body })
}

pub async fn update(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    seen: IfMatch,
    changes: Changes,
) -> Result<Versioned<TriggerView>, Problem> {
    let shown = definitions::update(&api, &caller, (&key, seen), changes).await?;
    Ok(viewed(&api, &caller, shown))
}

pub async fn enable(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
) -> Result<Versioned<TriggerView>, Problem> {
    let shown = definitions::switch(&api, &caller, &key, true).await?;
    Ok(viewed(&api, &caller, shown))
}

pub async fn disable(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
) -> Result<Versioned<TriggerView>, Problem> {
    let shown = definitions::switch(&api, &caller, &key, false).await?;
    Ok(viewed(&api, &caller, shown))
}

pub async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    seen: IfMatch,
) -> Result<StatusCode, Problem> {
    definitions::delete::<Trigger>(&api, &caller, (&key, seen)).await
}

/// The answer, as its reader may see it, with what is wrong with a row that was written past the API.
fn viewed(api: &Api, caller: &Caller, shown: Versioned<Trigger>) -> Versioned<TriggerView> {
    let Versioned {
        version,
        data,
        mut warnings,
    } = shown;
    let mut config = data.config.clone();
    // Secrets that cannot be decrypted are reported by the webhook itself.
    if api.webhooks.sealer.open_config(&mut config, &data.r#ref).is_ok()
        && let Err(flaws) = TriggerConfig::parse(data.kind, &config)
    {
        warnings.push(CorruptDefinition::new(format!("the trigger {}", data.r#ref), flaws).to_string());
    }
    Versioned {
        version,
        data: view(api, caller, data),
        warnings,
    }
}

/// What a sensor is about to plan. It does so within a second; the answer of the change shows it already.
async fn predict_next_fire(
    tx: &mut PgConnection,
    before: Option<&Trigger>,
    after: &mut Trigger,
) -> Result<(), Problem> {
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
    let pack = pack::get(&mut *tx, &Key::Ref(after.pack_ref.to_string())).await?;
    let runs = after.enabled && pack.is_some_and(|pack| pack.enabled);
    // A configuration that SQL has broken shows its error when the sensor has seen it.
    let timer = TimerConfig::parse(&after.config).and_then(|config| Timer::compile(&config, after.id));
    after.next_fire_at = timer
        .ok()
        .filter(|_| runs)
        .and_then(|timer| plan(&timer, after.updated_at, origin, None).next);
    Ok(())
}

fn view(api: &Api, caller: &Caller, mut trigger: Trigger) -> TriggerView {
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
        let key = hex::encode(&rand::random::<[u8; 32]>());
        Address::new(&api.webhooks.sealer, &key, &form.r#ref)
    })
}

impl Editable for Trigger {
    type Links = PackId;
    const READ_ONLY: &'static [&'static str] = &[
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

    async fn get(tx: &mut PgConnection, key: &Key) -> Result<Option<Self>, store::Error> {
        trigger::get(tx, key).await
    }

    async fn lock(tx: &mut PgConnection, key: &Key) -> Result<Option<Self>, store::Error> {
        trigger::lock(tx, key).await
    }

    /// Secrets leave the draft sealed.
    async fn check(
        api: &Api,
        tx: &mut PgConnection,
        draft: &mut TriggerForm,
        mut read: FieldErrors,
        before: Option<&Self>,
    ) -> Result<PackId, Problem> {
        if before.is_some_and(|before| before.owner_rule_ref.is_some()) && draft.kind != TriggerKind::Timer {
            let message = "is immutable: the trigger is the timer that a rule carries";
            return Err(Problem::field("kind", message));
        }
        let pack = (draft.pack_ref.clone(), draft.pack);
        let pack = find_pack(tx, draft, pack, &mut read).await?;
        let stored = before.map(Definition::draft);
        if let Some(stored) = &stored {
            keep_masked(&mut draft.config, &stored.config);
        }
        let mut found = draft.doubts(stored.as_ref());
        // Checked as it will be used: with its secrets in the clear.
        let mut opened = draft.clone();
        if let Err(error) = api.webhooks.sealer.open_config(&mut opened.config, &draft.r#ref) {
            let message = format!("cannot be decrypted with the current key; set it again: {error}");
            found.add("config.secret", message);
        }
        let present = present(tx, before).await?;
        found.collect(opened.validate(Some(&present)));
        let mut errors = all_errors(read, draft, stored.as_ref(), found);
        if let Err(error) = api.webhooks.sealer.seal_config(&mut draft.config, &draft.r#ref) {
            errors.add("config.secret", error.to_string());
        }
        pack.filter(|_| errors.is_empty())
            .ok_or_else(|| Problem::invalid(errors))
    }

    async fn insert(api: &Api, tx: &mut PgConnection, draft: &TriggerForm, pack: &PackId) -> Result<(), Problem> {
        let address = new_address(api, draft);
        let made = trigger::insert(tx, (*pack, None), draft, address.as_ref()).await;
        made.map(drop)
            .map_err(|error| map_conflict::<Self>(error, &draft.r#ref))
    }

    async fn update(&self, api: &Api, tx: &mut PgConnection, draft: &TriggerForm, _: &PackId) -> Result<(), Problem> {
        let address = new_address(api, draft);
        trigger::update(tx, self.id, draft, address.as_ref()).await?;
        if draft.config != self.config {
            rule::touch_owner(tx, self.id).await?;
        }
        Ok(())
    }

    async fn set_enabled(&self, tx: &mut PgConnection, enabled: bool) -> Result<(), store::Error> {
        trigger::set_enabled(tx, self.id, enabled).await
    }

    async fn delete(&self, tx: &mut PgConnection) -> Result<(), Problem> {
        let users = trigger::users(tx, self.id).await?;
        if !users.is_empty() {
            let advice = "delete the rules that use it, or change their trigger";
            return Err(Problem::in_use(&self.r#ref, "is used by", users, advice));
        }
        Ok(trigger::delete(tx, self.id).await?)
    }

    async fn shown(mut self, tx: &mut PgConnection, before: Option<&Self>) -> Result<Versioned<Self>, Problem> {
        predict_next_fire(tx, before, &mut self).await?;
        Ok(Versioned::new(self.version, self))
    }
}

/// The database's present, for a timer that is new or takes the place of another.
pub async fn present<'b>(tx: &mut PgConnection, before: Option<&'b Trigger>) -> Result<Present<'b>, Problem> {
    Ok(Present {
        now: db::now(&mut *tx).await?,
        limits: Limits::of_days(upkeep::event_days(tx).await?),
        before: before
            .filter(|before| before.kind == TriggerKind::Timer)
            .map(Trigger::before),
    })
}

/// The configuration of a timer trigger, or why it has none.
pub fn timer_config(trigger: &Trigger) -> Result<TimerConfig, Problem> {
    if trigger.kind != TriggerKind::Timer {
        let detail = format!("{} is not a timer and has no scheduled occurrences", trigger.r#ref);
        return Err(Problem::conflict("not_a_timer", detail));
    }
    TimerConfig::parse(&trigger.config).map_err(|errors| Problem::invalid(errors.under("config")))
}
