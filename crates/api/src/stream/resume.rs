//! Replays what a client has missed since its `Last-Event-ID`, as far as the database contains it. If that is not
//! possible, the client gets `missed` and has to read the lists.

use super::{filter::Filter, frame};
use attune_common::{
    bus::{Feed, FeedKind},
    clock,
    store::{
        PgPool,
        execution_log::{self, Place},
        watch::{self, Change},
    },
};
use attune_domain::{EnforcementId, EventId, ExecutionId};
use axum::body::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

/// How far back a replay reaches.
const WINDOW: TimeDelta = TimeDelta::minutes(5);
/// Clocks of processes and of the database differ, and messages take a moment. Sending a change twice is better than
/// losing it.
const MARGIN: TimeDelta = TimeDelta::seconds(2);
const CHANGES_MAX: usize = 1_000;

pub async fn frames(pool: &PgPool, filter: &Filter, last_event_id: &str) -> Vec<Bytes> {
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
    let changes = match watch::since(pool, last - MARGIN, limit + 1).await {
        Ok(changes) if changes.len() <= CHANGES_MAX => changes,
        Ok(_) => return missed("too_much"),
        Err(_) => return missed("unavailable"),
    };
    let replayed = changes.into_iter().filter_map(|change| {
        let at = change.at;
        let feed = of(change)?;
        filter.passes(&feed).then(|| frame::change(&feed, at, true))
    });
    let mut frames: Vec<_> = replayed.collect();
    frames.extend(log_frames(pool, filter, last - MARGIN).await);
    // Does not include what began long before and has ended since.
    let note = json!({"since": last, "replayed": frames.len(), "note": "changes of what began more than ten minutes earlier are not replayed"});
    frames.push(frame::resumed(&note));
    frames
}

/// The output of the execution of this stream since then.
async fn log_frames(pool: &PgPool, filter: &Filter, since: DateTime<Utc>) -> Vec<Bytes> {
    let Some(id) = filter.logs_of() else {
        return Vec::new();
    };
    match execution_log::after(pool, id, Place::default()).await {
        Ok(chunks) => {
            let new = chunks.iter().filter(|chunk| chunk.at > since);
            new.map(|chunk| frame::log(id, chunk, chunk.at, true)).collect()
        }
        Err(_) => vec![frame::missed(&json!({"reason": "unavailable"}))],
    }
}

fn of(change: Change) -> Option<Feed> {
    Some(Feed {
        event_id: change.event_id.map(EventId),
        enforcement_id: change.enforcement_id.map(EnforcementId),
        execution_id: change.execution_id.map(ExecutionId),
        trigger_ref: change.trigger_ref,
        rule_ref: change.rule_ref,
        action_ref: change.action_ref,
        trace_id: Some(change.trace_id),
        ..Feed::new(FeedKind::try_from(change.kind).ok()?)
    })
}
