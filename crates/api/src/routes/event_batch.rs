//! Creating many events with one request. Each item has an outcome of its own; all that are accepted are committed together.

use super::event::{EventForm, READS_MAX, find, submitted};
use crate::{
    answer::One,
    api::Api,
    catalog::{Known, Target},
    limits::BATCH_MAX,
    problem::Problem,
    request::{
        Items, form,
        idempotency::{Begun, IdempotencyKey},
    },
};
use attune_common::{
    ingest::{IngestError, announce_new, insert},
    store::ingest::{Accepted, NewEvent},
};
use attune_domain::{EventId, FieldError, FieldErrors, reference::Key};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::HashMap;
use utoipa::ToSchema;

/// Events in one statement, which compares its rows with each other.
const STATEMENT: usize = 100;

/// The outcomes of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventBatch {
    accepted: usize,
    duplicates: usize,
    refused: usize,
    /// In the order of the request.
    items: Vec<EventBatchItem>,
}

/// The outcome of one item.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EventBatchItem {
    outcome: EventBatchOutcome,
    /// The event; for a duplicate, the first one. Null if the item is refused.
    event_id: Option<EventId>,
    /// Why the item is refused.
    problem: Option<EventBatchProblem>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventBatchOutcome {
    Accepted,
    Duplicate,
    Refused,
}

/// The problem that the item alone would have had.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EventBatchProblem {
    #[serde(rename = "type")]
    kind: String,
    status: u16,
    detail: String,
    errors: Vec<FieldError>,
}

pub async fn create(State(api): State<Api>, key: IdempotencyKey, body: Items) -> Result<Response, Problem> {
    let count = body.items.len();
    if !(1..=BATCH_MAX).contains(&count) {
        let message = format!("the body has {count} items; 1 to {BATCH_MAX} are allowed");
        return Err(Problem::field("", message));
    }
    let key = key.of(body.hash, "");
    let forms: Vec<_> = body.items.into_iter().map(read).collect();
    for attempt in 0..READS_MAX {
        let batch = Batch::prepare(&api, &forms, attempt > 0).await;
        let mut tx = match key.begin(&api).await? {
            Begun::First(tx) => tx,
            Begun::Repeat(answer) => return Ok(One::new(answer).into_response()),
        };
        let mut accepted = Vec::with_capacity(batch.events.len());
        for events in batch.events.chunks(STATEMENT) {
            accepted.extend(insert(&mut tx, events).await?);
        }
        if accepted.iter().any(|accepted| accepted.outdated) {
            tx.rollback().await?;
            continue;
        }
        let outcomes = batch.outcomes(&accepted);
        if key.is_given() {
            let answer = serde_json::to_value(&outcomes).map_err(|_| Problem::internal())?;
            key.remember(&mut tx, &answer).await?;
        }
        tx.commit().await?;
        announce_new(&*api.bus, &batch.events, &accepted);
        return Ok(One::new(outcomes).into_response());
    }
    Err(IngestError::Outdated.into())
}

type Read = Result<(EventForm, FieldErrors), Problem>;

fn read(item: Result<Map<String, Value>, Problem>) -> Read {
    Ok(form::draft(item?, Map::new())?)
}

/// What is written, and what becomes of each item.
struct Batch {
    events: Vec<NewEvent>,
    places: Vec<Place>,
}

enum Place {
    /// The number of its event.
    Event(usize),
    /// An earlier item has the same key and this event.
    SameAs(usize),
    Refused(Problem),
}

impl Batch {
    async fn prepare(api: &Api, forms: &[Read], fresh: bool) -> Self {
        let mut targets = Targets {
            api,
            fresh,
            found: HashMap::new(),
        };
        let (mut events, mut keys) = (Vec::<NewEvent>::new(), HashMap::new());
        let mut places = Vec::with_capacity(forms.len());
        for form in forms {
            let found = match form {
                Ok((form, errors)) => targets.find(form, errors).await.map(|target| submitted(&target, form)),
                Err(problem) => Err(problem.clone()),
            };
            let place = match found {
                Err(problem) => Place::Refused(problem),
                Ok(event) => {
                    let next = events.len();
                    let key = event.dedup.as_ref().map(|dedup| (event.trigger_id, dedup.key));
                    let first = key.map_or(next, |key| *keys.entry(key).or_insert(next));
                    if first == next {
                        events.push(event);
                        Place::Event(next)
                    } else {
                        Place::SameAs(first)
                    }
                }
            };
            places.push(place);
        }
        Self { events, places }
    }

    fn outcomes(&self, accepted: &[Accepted]) -> EventBatch {
        let items: Vec<EventBatchItem> = self.places.iter().map(|place| place.outcome(accepted)).collect();
        let count = |kind| items.iter().filter(|item| item.outcome == kind).count();
        EventBatch {
            accepted: count(EventBatchOutcome::Accepted),
            duplicates: count(EventBatchOutcome::Duplicate),
            refused: count(EventBatchOutcome::Refused),
            items,
        }
    }
}

impl Place {
    fn outcome(&self, accepted: &[Accepted]) -> EventBatchItem {
        let (event, duplicate) = match self {
            Self::Event(n) => (&accepted[*n], accepted[*n].duplicate),
            Self::SameAs(n) => (&accepted[*n], true),
            Self::Refused(problem) => {
                return EventBatchItem {
                    outcome: EventBatchOutcome::Refused,
                    event_id: None,
                    problem: Some(EventBatchProblem {
                        kind: problem.kind().to_owned(),
                        status: problem.status().as_u16(),
                        detail: problem.detail().to_owned(),
                        errors: problem.errors().to_vec(),
                    }),
                };
            }
        };
        EventBatchItem {
            outcome: if duplicate {
                EventBatchOutcome::Duplicate
            } else {
                EventBatchOutcome::Accepted
            },
            event_id: Some(event.event_id),
            problem: None,
        }
    }
}

/// The triggers of the items, each looked up once.
struct Targets<'a> {
    api: &'a Api,
    fresh: bool,
    found: HashMap<Key, Result<Known<Target>, Problem>>,
}

impl Targets<'_> {
    async fn find(&mut self, form: &EventForm, errors: &FieldErrors) -> Result<Known<Target>, Problem> {
        let mut errors = errors.clone();
        let Some(key) = form.check(&mut errors) else {
            return Err(Problem::invalid(errors));
        };
        let known = if let Some(known) = self.found.get(&key) {
            known.clone()
        } else {
            let link = form.link();
            let known = find(self.api, &key, &link, FieldErrors::new(), self.fresh).await;
            self.found.insert(key, known.clone());
            known
        };
        match known {
            Ok(known) => {
                form.link().check(&mut errors, Some(known.definition.r#ref.as_str()));
                errors.into_result()?;
                Ok(known)
            }
            Err(problem) if errors.is_empty() => Err(problem),
            Err(problem) => {
                for error in problem.errors() {
                    errors.add(error.path.clone(), error.message.clone());
                }
                Err(Problem::invalid(errors))
            }
        }
    }
}
