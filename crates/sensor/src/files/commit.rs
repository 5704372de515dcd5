//! Commits changes of files: the events and the rows of the files in one transaction, which requires the lease.

use super::watch::{End, Watch};
use attune_common::{
    failpoint, ingest,
    store::{
        self, Transaction, file_watch,
        ingest::{Accepted, NewEvent},
        with_default_timeout,
    },
    telemetry,
};
use attune_domain::{
    EventId,
    file_watch::{Change, Tracker, cause, payload},
    occurrence::EventSource,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::time::Instant;

/// The changes of one transaction.
const CHANGES_MAX: usize = 1_000;

impl Watch {
    /// Commits changes with their events.
    pub async fn write(&self, tracker: &mut Tracker, changes: &[Change]) -> Result<(), End> {
        for changes in changes.chunks(CHANGES_MAX) {
            let began_at = Instant::now();
            let Some(events) = with_default_timeout(self.commit(changes)).await? else {
                return Err(End::Lost);
            };
            let (events, accepted): (Vec<_>, Vec<_>) = events.into_iter().unzip();
            for event in &events {
                let fields: &[(&'static str, &dyn std::fmt::Display)] =
                    &[("event_id", &event.id), ("trigger_ref", &event.trigger_ref)];
                telemetry::began("files", event.trace_id, began_at.elapsed(), fields);
            }
            ingest::announce_new(&*self.context.bus, &events, &accepted);
            tracker.accept(changes);
        }
        Ok(())
    }

    /// None: the lease is lost.
    async fn commit(&self, changes: &[Change]) -> Result<Option<Vec<(NewEvent, Accepted)>>, store::Error> {
        let mut tx = Transaction::begin(&self.context.pool).await?;
        let Some(now) = file_watch::lock(&mut tx, &self.position, self.observer.sensor).await? else {
            return Ok(None);
        };
        let (events, accounted) = self.events(changes, now);
        let accepted = ingest::insert(&mut tx, &events).await?;
        file_watch::account(&mut tx, &self.position, &accounted, now).await?;
        failpoint::hit("files.before_commit").await;
        tx.commit().await?;
        failpoint::hit("files.after_commit").await;
        Ok(Some(events.into_iter().zip(accepted).collect()))
    }

    /// The events of these changes, and each change with its event.
    fn events(&self, changes: &[Change], now: DateTime<Utc>) -> (Vec<NewEvent>, Vec<(Change, Option<EventId>)>) {
        let clock = self.now();
        let payload = |change: &Change| {
            let age = clock.saturating_sub(change.first_seen);
            let first_seen_at = now - TimeDelta::from_std(age).unwrap_or_default();
            payload(&self.config, &self.observer.host, change, first_seen_at)
        };
        let (reported, recorded): (Vec<Change>, Vec<Change>) =
            changes.iter().cloned().partition(|change| change.is_reported);
        let groups: Vec<(Value, &[Change])> = if self.config.batch && !reported.is_empty() {
            let files: Vec<Value> = reported.iter().map(payload).collect();
            vec![(
                json!({"host": self.observer.host, "count": files.len(), "files": files}),
                &reported,
            )]
        } else {
            let single = |change| (payload(change), std::slice::from_ref(change));
            reported.iter().map(single).collect()
        };
        let mut events = Vec::with_capacity(groups.len());
        let mut accounted: Vec<(Change, Option<EventId>)> = recorded.into_iter().map(|change| (change, None)).collect();
        for (payload, changes) in groups {
            let id = EventId::of_files(now, &cause(self.watched.id, &self.position.host, changes));
            accounted.extend(changes.iter().cloned().map(|change| (change, Some(id))));
            events.push(NewEvent {
                id,
                trigger_id: self.watched.id,
                trigger_ref: self.watched.trigger_ref.clone(),
                source: EventSource::FileWatch,
                payload,
                scheduled_at: None,
                trace_id: id.0,
                dedup: None,
                definitions: None,
            });
        }
        events.sort_by_key(|event| event.id);
        (events, accounted)
    }
}
