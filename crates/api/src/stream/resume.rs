//! Whoever comes back with `Last-Event-ID` gets what happened meanwhile, as far as the database tells it. When that is
//! not possible it is said, and the watcher reads the lists.

use super::{Filter, frame};
use crate::api::Api;
use attune_common::{
    bus::{Feed, FeedKind},
    clock,
    store::{
        execution_log::{self, Place},
        watch::{self, Change},
    },
};
use attune_domain::{EnforcementId, EventId, ExecutionId};
use axum::body::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

/// Longer ago is too long ago.
const WINDOW: TimeDelta = TimeDelta::minutes(5);
/// Clocks of APIs and of the database differ, and messages take a moment: better twice than not at all.
const MARGIN: TimeDelta = TimeDelta::seconds(2);
const CHANGES_MAX: usize = 1_000;

pub async fn frames(api: &Api, filter: &Filter, last_event_id: &str) -> Vec<Bytes> {
    let missed = |reason: &str| vec![frame::missed(&json!({"reason": reason}))];
    let last = last_event_id
        .parse()
        .ok()
        .and_then(DateTime::<Utc>::from_timestamp_millis);
    let Some(last) = last else {
        return missed("unknown_id");
    };
    let now = clock::now();
    if last < now - WINDOW || last > now + WINDOW {
        return missed("too_long_ago");
    }
    let limit = i64::try_from(CHANGES_MAX).unwrap_or(i64::MAX);
    let changes = match watch::since(&api.pool, last - MARGIN, limit + 1).await {
        Ok(changes) if changes.len() <= CHANGES_MAX => changes,
        Ok(_) => return missed("too_much"),
        Err(_) => return missed("unavailable"),
    };
    let told = changes.into_iter().filter_map(|change| {
        let at = change.at;
        let feed = of(change)?;
        filter.passes(&feed).then(|| frame::change(&feed, at, true))
    });
    let mut frames: Vec<_> = told.collect();
    frames.extend(log_frames(api, filter, last - MARGIN).await);
    // Whatever began long before and ended meanwhile is not among them.
    let said = json!({"since": last, "replayed": frames.len(), "note": "of what began more than ten minutes before, nothing is replayed"});
    frames.push(frame::resumed(&said));
    frames
}

/// What the one execution that is watched wrote since then.
async fn log_frames(api: &Api, filter: &Filter, since: DateTime<Utc>) -> Vec<Bytes> {
    let Some(id) = filter.logs_of() else {
        return Vec::new();
    };
    match execution_log::after(&api.pool, id, Place::default()).await {
        Ok(chunks) => {
            let new = chunks.iter().filter(|chunk| chunk.at > since);
            new.map(|chunk| frame::log(id, chunk, chunk.at, true)).collect()
        }
        Err(_) => vec![frame::missed(&json!({"reason": "unavailable"}))],
    }
}

fn of(change: Change) -> Option<Feed> {
    let reference = |text: Option<String>| text.and_then(|text| text.parse().ok());
    Some(Feed {
        event_id: change.event_id.map(EventId),
        enforcement_id: change.enforcement_id.map(EnforcementId),
        execution_id: change.execution_id.map(ExecutionId),
        trigger_ref: reference(change.trigger_ref),
        rule_ref: reference(change.rule_ref),
        action_ref: reference(change.action_ref),
        ..Feed::new(FeedKind::try_from(change.kind).ok()?)
    })
}
