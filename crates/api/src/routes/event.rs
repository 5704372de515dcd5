//! Events. A program creates one, or a person fires a trigger manually.

use crate::{
    answer::{self, List, One},
    api::Api,
    audit,
    auth::Caller,
    catalog::{Known, Target},
    creation::{Created, Creation, Work},
    definitions::links::Link,
    known,
    problem::Problem,
    request::{
        Body, Draft, Id, Name, OneOf, Query, Texts, form,
        idempotency::{self, Begun, IdempotencyKey},
        query,
    },
    routes::trigger::timer_config,
};
use attune_common::{
    clock,
    ingest::{IngestError, announce_new, insert},
    store::{
        PgConnection, PgExecutor, event,
        ingest::{Accepted, Dedup, NewEvent},
        known::Noun,
        pack, trigger,
    },
};
use attune_domain::{
    EventId, FieldErrors, dedup,
    definition::{CorruptDefinition, Trigger, TriggerKind},
    moment::Moment,
    occurrence::{Event, EventSource, EventStatus},
    reference::Key,
    timer::{Timer, manual_payload},
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

type Sources = OneOf<EventSource>;
type Statuses = OneOf<EventStatus>;

/// How often definitions may change while a request is written.
pub(super) const READS_MAX: usize = 8;

form! {
    pub struct EventForm {
        trigger_ref: Option<String>,
        trigger: Option<i64>,
        payload: Value = json!({}),
        /// A repeat with the same key within `dedup_window_seconds` of the trigger (seven days, at most the retention of events)
        /// returns the first event.
        dedup_key: Option<String>,
    }
}

form! {
    pub struct FireForm {
        /// Merged into the payload that a timer would send, so for a timer it must be an object.
        payload: Option<Value>,
    }
}

form! {
    pub struct EventFilter {
        /// One value, or several separated by commas.
        #[schema(inline)]
        trigger_ref: Option<Texts>,
        /// One value, or several separated by commas.
        #[schema(inline)]
        source: Option<Sources>,
        /// One value, or several separated by commas.
        #[schema(inline)]
        status: Option<Statuses>,
        /// Filters by the time in the id: when the event was received; for a timer, when it was scheduled.
        /// A time, a date (its midnight in UTC), or an age: `2026-11-30T10:00:00+02:00`, `2026-11-30`, `24h`, `7d`.
        #[schema(value_type = Option<String>)]
        since: Option<Moment>,
        /// Like `since`, but exclusive.
        #[schema(value_type = Option<String>)]
        until: Option<Moment>,
        limit: u16 where (1..=query::LIMIT_MAX) = 50,
        cursor: Option<Uuid>,
    }
}

pub async fn list(State(api): State<Api>, Query(params): Query<EventFilter>) -> Result<List<Event>, Problem> {
    let span = query::span(params.limit, params.cursor)
        .since(query::past(params.since))
        .until(query::past(params.until));
    known::check(
        &api.pool,
        &[("trigger_ref", Noun::Trigger, params.trigger_ref.as_ref())],
    )
    .await?;
    let source = params.source.map(|any| any.texts());
    let filter = event::Filter {
        trigger_ref: params.trigger_ref.as_ref().map(|any| any.0.as_slice()),
        source: source.as_deref(),
        status: params.status.as_ref().map(|any| any.0.as_slice()),
    };
    let rows = event::page(&api.pool, &filter, &span).await?;
    Ok(List::of(rows, span.limit, |row| row.id.to_string()))
}

pub async fn get(State(api): State<Api>, Id(id): Id<EventId>) -> Result<One<Event>, Problem> {
    Ok(One::new(found(&api.pool, id).await?))
}

async fn found<'e>(db: impl PgExecutor<'e>, id: EventId) -> Result<Event, Problem> {
    event::get(db, id).await?.ok_or_else(|| Problem::not_found("event", id))
}

pub async fn create(State(api): State<Api>, key: IdempotencyKey, body: Draft<EventForm>) -> Result<Response, Problem> {
    let Draft { form, errors, hash } = body;
    let key = key.of(hash, "").into_key();
    let mut fresh = false;
    for _ in 0..READS_MAX {
        let target = target(&api, &form, errors.clone(), fresh).await?;
        let event = submitted(&target, &form);
        let submitted = match &key {
            // Batched with concurrent requests.
            None => api.ingest.submit(event.clone()).await.map(Created::Event),
            Some(key) => {
                let creation = Creation {
                    key: Some(key.clone()),
                    work: Work::Event(Box::new(event.clone())),
                };
                api.creations.submit(creation).await
            }
        };
        match submitted {
            Ok(Created::Event(accepted)) if !accepted.outdated => return created(&api, accepted, event).await,
            Ok(Created::Claimed(claim)) => return repeated(&api, &idempotency::repeated(claim)?).await,
            Ok(Created::Event(_)) | Err(IngestError::Outdated) => fresh = true,
            Ok(Created::Execution(_)) => return Err(Problem::internal()),
            Err(error) => return Err(error.into()),
        }
    }
    Err(IngestError::Outdated.into())
}

/// The event as it was written, or the first one of its dedup key.
async fn created(api: &Api, accepted: Accepted, event: NewEvent) -> Result<Response, Problem> {
    let event = match accepted.received_at {
        Some(received_at) => Event {
            id: event.id,
            trigger_ref: event.trigger_ref,
            source: event.source,
            payload: event.payload,
            scheduled_at: event.scheduled_at,
            received_at,
            status: EventStatus::Pending,
            trace_id: event.trace_id,
            chain: None,
        },
        None => found(&api.pool, accepted.event_id).await?,
    };
    Ok(answer(accepted, event))
}

/// Does not affect the schedule or the counters of a timer. Also works for a disabled or spent trigger.
pub async fn fire(
    State(api): State<Api>,
    caller: Caller,
    Name(name): Name,
    key: IdempotencyKey,
    body: Body<FireForm>,
) -> Result<Response, Problem> {
    let key = key.of(body.hash, &name.to_string());
    let trigger = trigger::get(&api.pool, &name)
        .await?
        .ok_or_else(|| Problem::not_found("trigger", &name))?;
    let payload = manual(&trigger, body.form.payload)?;
    let event = new(&trigger, EventSource::Manual, payload);
    let mut tx = match key.begin(&api).await? {
        Begun::First(tx) => tx,
        Begun::Repeat(answer) => return repeated(&api, &answer).await,
    };
    let (accepted, row) = accept(&mut tx, &event).await?;
    key.remember(&mut tx, &json!({"event_id": accepted.event_id})).await?;
    audit::note(&mut tx, &caller, "fire", &format!("trigger {}", trigger.r#ref)).await?;
    tx.commit().await?;
    announce_new(&*api.bus, &[event], &[accepted]);
    Ok(answer(accepted, row))
}

/// What is disabled: the trigger, or its pack.
async fn disabled(api: &Api, trigger: &Trigger) -> Result<Option<String>, Problem> {
    if !trigger.enabled {
        return Ok(Some(trigger.r#ref.to_string()));
    }
    let pack = pack::get(&api.pool, &Key::Ref(trigger.pack_ref.to_string())).await?;
    Ok(pack
        .filter(|pack| !pack.enabled)
        .map(|pack| format!("the pack {}", pack.r#ref)))
}

/// The trigger of an event, from memory unless `fresh`. Reports the errors of the form too.
async fn target(api: &Api, form: &EventForm, mut errors: FieldErrors, fresh: bool) -> Result<Known<Target>, Problem> {
    let link = form.link();
    let Some(key) = form.check(&mut errors) else {
        return Err(Problem::invalid(errors));
    };
    let known = find(api, &key, &link, errors.clone(), fresh).await?;
    link.check(&mut errors, Some(known.definition.r#ref.as_str()));
    errors.into_result()?;
    Ok(known)
}

impl EventForm {
    pub(super) fn link(&self) -> Link<'_> {
        Link {
            noun: "trigger",
            reference: self.trigger_ref.as_deref(),
            id: self.trigger,
        }
    }

    /// Checks what needs no other definition, and returns the trigger that the form names.
    pub(super) fn check(&self, errors: &mut FieldErrors) -> Option<Key> {
        let bad_key = |key: &String| key.trim().is_empty() || key.len() > 512;
        if self.dedup_key.as_ref().is_some_and(bad_key) {
            errors.add(
                "dedup_key",
                "must have 1 to 512 bytes, not only spaces; omit it for no deduplication",
            );
        }
        self.link().key(errors)
    }
}

/// A trigger that accepts events, from memory unless `fresh`.
pub(super) async fn find(
    api: &Api,
    key: &Key,
    link: &Link<'_>,
    errors: FieldErrors,
    fresh: bool,
) -> Result<Known<Target>, Problem> {
    let read = accepting(api, key, link, errors);
    api.triggers.find((&api.pool, key, fresh), read).await
}

async fn accepting(api: &Api, key: &Key, link: &Link<'_>, mut errors: FieldErrors) -> Result<Target, Problem> {
    let trigger = trigger::get(&api.pool, key).await?;
    link.check(&mut errors, trigger.as_ref().map(|trigger| trigger.r#ref.as_str()));
    let trigger = trigger
        .filter(|_| errors.is_empty())
        .ok_or_else(|| Problem::invalid(errors))?;
    if let Some(disabled) = disabled(api, &trigger).await? {
        let detail = format!("{disabled} is disabled; enable it, or fire {} manually", trigger.r#ref);
        return Err(Problem::conflict("disabled", detail));
    }
    let window_seconds = dedup::parse(&trigger.config).map_err(|flaws| {
        let corrupt = CorruptDefinition::new(format!("the trigger {}", trigger.r#ref), flaws.under("config"));
        Problem::conflict("policy", corrupt.to_string())
    })?;
    Ok(Target {
        id: trigger.id,
        r#ref: trigger.r#ref,
        window_seconds,
    })
}

fn manual(trigger: &Trigger, given: Option<Value>) -> Result<Value, Problem> {
    if trigger.kind != TriggerKind::Timer {
        return Ok(given.unwrap_or_else(|| json!({})));
    }
    let timer = Timer::compile(&timer_config(trigger)?, trigger.id)?;
    let mut payload = manual_payload(&timer, clock::now());
    match (&mut payload, given) {
        (_, None) => {}
        (Value::Object(payload), Some(Value::Object(given))) => payload.extend(given),
        (_, Some(other)) => {
            let found = attune_domain::json::kind(&other);
            return Err(Problem::field(
                "payload",
                format!("must be an object, not {found}, because it is merged into the payload of the timer"),
            ));
        }
    }
    Ok(payload)
}

pub(super) fn new(trigger: &Trigger, source: EventSource, payload: Value) -> NewEvent {
    let id = EventId::random(clock::now(), rand::random());
    NewEvent {
        id,
        trigger_id: trigger.id,
        trigger_ref: trigger.r#ref.clone(),
        source,
        payload,
        scheduled_at: None,
        trace_id: id.0,
        dedup: None,
        definitions: None,
    }
}

/// The event of a program.
pub(super) fn submitted(target: &Known<Target>, form: &EventForm) -> NewEvent {
    let id = EventId::random(clock::now(), rand::random());
    NewEvent {
        id,
        trigger_id: target.definition.id,
        trigger_ref: target.definition.r#ref.clone(),
        source: EventSource::Api,
        payload: form.payload.clone(),
        scheduled_at: None,
        trace_id: id.0,
        dedup: form.dedup_key.as_ref().map(|key| Dedup {
            key: Sha256::digest(key).into(),
            window_seconds: target.definition.window_seconds,
        }),
        definitions: Some(target.version),
    }
}

/// Inserts one event in a transaction that also stores the answer to its key. The event is read before the commit, after
/// which nothing may fail.
pub(super) async fn accept(connection: &mut PgConnection, event: &NewEvent) -> Result<(Accepted, Event), Problem> {
    let accepted = insert(&mut *connection, std::slice::from_ref(event)).await?;
    let accepted = accepted.first().copied().ok_or_else(Problem::internal)?;
    Ok((accepted, found(connection, accepted.event_id).await?))
}

pub(super) fn answer(accepted: Accepted, event: Event) -> Response {
    let body = One::new(event);
    if accepted.duplicate {
        return body.into_response();
    }
    let location = format!("/api/v1/events/{}", accepted.event_id);
    answer::Created { location, body }.into_response()
}

pub(super) async fn repeated(api: &Api, answer: &Value) -> Result<Response, Problem> {
    let id = answer["event_id"]
        .as_str()
        .and_then(|id| id.parse().ok())
        .ok_or_else(Problem::internal)?;
    Ok(One::new(found(&api.pool, id).await?).into_response())
}
