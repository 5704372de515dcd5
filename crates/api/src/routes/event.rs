//! Events. A program creates one, or a person fires a trigger manually.

use crate::{
    answer::{Created, List, One},
    api::Api,
    audit,
    auth::Caller,
    definitions::links::Link,
    known,
    problem::Problem,
    request::{
        Body, Draft, Id, Name, OneOf, Query, Texts, form,
        idempotency::{Begun, IdempotencyKey},
        query,
    },
    routes::trigger::timer_config,
};
use attune_common::{
    clock, failpoint,
    ingest::{announce_new, insert},
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
    let form = body.form;
    let key = key.of(body.hash, "");
    let trigger = checked_trigger(&api, &form, body.errors).await?;
    if let Some(disabled) = disabled(&api, &trigger).await? {
        let detail = format!("{disabled} is disabled; enable it, or fire {} manually", trigger.r#ref);
        return Err(Problem::conflict("disabled", detail));
    }
    let window_seconds = dedup::parse(&trigger.config).map_err(|flaws| {
        let corrupt = CorruptDefinition::new(format!("the trigger {}", trigger.r#ref), flaws.under("config"));
        Problem::conflict("policy", corrupt.to_string())
    })?;
    let dedup = form.dedup_key.map(|key| Dedup {
        key: Sha256::digest(key).into(),
        window_seconds,
    });
    let event = new(&trigger, EventSource::Api, form.payload, dedup);
    if !key.is_given() {
        // Batched with concurrent requests.
        let written = as_written(&event);
        let accepted = api.ingest.submit(event).await?;
        let event = match found(&api.pool, accepted.event_id).await {
            // It is committed. An error would make the client send it again.
            Err(_) if !accepted.duplicate => written,
            found => found?,
        };
        return Ok(answer(accepted, event));
    }
    let mut tx = match key.begin(&api).await? {
        Begun::First(tx) => tx,
        Begun::Repeat(answer) => return repeated(&api, &answer).await,
    };
    let (accepted, row) = accept(&mut tx, &event).await?;
    key.remember(&mut tx, &json!({"event_id": accepted.event_id})).await?;
    failpoint::hit("event.before_commit").await;
    tx.commit().await?;
    failpoint::hit("event.after_commit").await;
    announce_new(&*api.bus, &[event], &[accepted]);
    Ok(answer(accepted, row))
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
    let event = new(&trigger, EventSource::Manual, payload, None);
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

async fn checked_trigger(api: &Api, form: &EventForm, mut errors: FieldErrors) -> Result<Trigger, Problem> {
    if form
        .dedup_key
        .as_ref()
        .is_some_and(|key| key.trim().is_empty() || key.len() > 512)
    {
        errors.add(
            "dedup_key",
            "must have 1 to 512 bytes, not only spaces; omit it for no deduplication",
        );
    }
    let link = Link {
        noun: "trigger",
        reference: form.trigger_ref.as_deref(),
        id: form.trigger,
    };
    let mut trigger = None;
    if let Some(key) = link.key(&mut errors) {
        trigger = trigger::get(&api.pool, &key).await?;
        link.check(&mut errors, trigger.as_ref().map(|trigger| trigger.r#ref.as_str()));
    }
    trigger
        .filter(|_| errors.is_empty())
        .ok_or_else(|| Problem::invalid(errors))
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

pub(super) fn new(trigger: &Trigger, source: EventSource, payload: Value, dedup: Option<Dedup>) -> NewEvent {
    let id = EventId::random(clock::now(), rand::random());
    NewEvent {
        id,
        trigger_id: trigger.id,
        trigger_ref: trigger.r#ref.clone(),
        source,
        payload,
        scheduled_at: None,
        trace_id: id.0,
        dedup,
    }
}

/// Inserts one event in a transaction that also stores the answer to its key. The event is read before the commit, after
/// which nothing may fail.
pub(super) async fn accept(connection: &mut PgConnection, event: &NewEvent) -> Result<(Accepted, Event), Problem> {
    let accepted = insert(&mut *connection, std::slice::from_ref(event)).await?;
    let accepted = accepted.first().copied().ok_or_else(Problem::internal)?;
    Ok((accepted, found(connection, accepted.event_id).await?))
}

/// The event without another query.
fn as_written(event: &NewEvent) -> Event {
    Event {
        id: event.id,
        trigger_ref: event.trigger_ref.clone(),
        source: event.source,
        payload: event.payload.clone(),
        scheduled_at: event.scheduled_at,
        received_at: clock::now(),
        status: EventStatus::Pending,
        trace_id: event.trace_id,
    }
}

pub(super) fn answer(accepted: Accepted, event: Event) -> Response {
    let body = One::new(event);
    if accepted.duplicate {
        return body.into_response();
    }
    let location = format!("/api/v1/events/{}", accepted.event_id);
    Created { location, body }.into_response()
}

pub(super) async fn repeated(api: &Api, answer: &Value) -> Result<Response, Problem> {
    let id = answer["event_id"]
        .as_str()
        .and_then(|id| id.parse().ok())
        .ok_or_else(Problem::internal)?;
    Ok(One::new(found(&api.pool, id).await?).into_response())
}
