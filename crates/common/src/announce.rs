//! Announces committed changes: raises the metric, the wake and the feed message of each occurrence, in one place.
//!
//! Call these functions after the commit. A lost announcement loses nothing: the rows are the truth, and readers poll.

use crate::{
    bus::{Bus, Feed, FeedKind, Wake},
    store::{decision::Decision, event_queue::Claimed, ingest::NewEvent},
};
use attune_domain::{ActionRef, EventId, ExecutionId, execution::ExecutionStatus, occurrence::EventSource};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    mem,
};

/// Announces new events, and wakes an executor if any of them is still undecided.
pub fn events<'e>(bus: &dyn Bus, events: impl IntoIterator<Item = &'e NewEvent>, undecided: bool) {
    let mut events = events.into_iter().peekable();
    if events.peek().is_none() {
        return;
    }
    // First, because a feed message per event takes a moment.
    if undecided {
        bus.wake(Wake::Events);
    }
    let mut by_source = BTreeMap::<&'static str, u64>::new();
    for event in events {
        *by_source.entry(event.source.as_str()).or_default() += 1;
        bus.feed(Feed {
            event_id: Some(event.id),
            trigger_ref: Some(event.trigger_ref.clone()),
            ..Feed::new(FeedKind::event_created())
        });
    }
    for (source, count) in by_source {
        metrics::counter!("attune_events_total", "source" => source).increment(count);
    }
}

/// Announces events that the database has written about Attune itself, when an executor claims them for the first time.
pub fn system_events(bus: &dyn Bus, claimed: &[Claimed]) {
    let first = claimed.iter().filter(|claim| claim.tries == 1);
    for event in first.filter_map(|claim| claim.event.as_ref()) {
        if event.source == EventSource::System {
            metrics::counter!("attune_events_total", "source" => event.source.as_str()).increment(1);
            bus.feed(Feed {
                event_id: Some(event.id),
                trigger_ref: Some(event.trigger_ref.clone()),
                ..Feed::new(FeedKind::event_created())
            });
        }
    }
}

/// The announcement of decisions: their enforcements, and the executions that these create. Prepared before the decisions
/// are written, because writing consumes them.
#[derive(Debug, Default)]
pub struct Enforcements {
    pools: BTreeSet<String>,
    feeds: Vec<Feed>,
    statuses: Vec<(EventId, &'static str)>,
}

impl Enforcements {
    pub fn of(decisions: &[Decision]) -> Self {
        let mut prepared = Self::default();
        for decision in decisions {
            for enforcement in &decision.enforcements {
                let feed = Feed {
                    event_id: Some(decision.event_id),
                    enforcement_id: Some(enforcement.id),
                    rule_ref: Some(enforcement.rule_ref.clone()),
                    ..Feed::new(FeedKind::enforcement(enforcement.status.as_str()))
                };
                prepared.statuses.push((decision.event_id, enforcement.status.as_str()));
                if let Some(execution) = &enforcement.execution {
                    if execution.waits_for.is_none() && !execution.claimed {
                        prepared.pools.insert(execution.pool.clone());
                    }
                    prepared.feeds.push(Feed {
                        kind: FeedKind::execution(execution.status()),
                        execution_id: Some(execution.id),
                        action_ref: Some(execution.action_ref.clone()),
                        ..feed.clone()
                    });
                }
                prepared.feeds.push(feed);
            }
        }
        prepared
    }

    /// Wakes a worker of each pool that has something to run.
    pub fn wake(&mut self, bus: &dyn Bus) {
        for pool in mem::take(&mut self.pools) {
            bus.wake(Wake::executions(pool));
        }
    }

    /// Keeps only the decisions of these events. The executor that took over the others announces them.
    #[must_use]
    pub fn only(mut self, events: &[EventId]) -> Self {
        let events: HashSet<_> = events.iter().copied().collect();
        self.statuses.retain(|(event, _)| events.contains(event));
        self.feeds
            .retain(|feed| feed.event_id.is_some_and(|event| events.contains(&event)));
        self
    }
}

/// Announces enforcements with their executions. Workers are woken before, by [`Enforcements::wake`].
pub fn enforcements(bus: &dyn Bus, decided: Enforcements) {
    for (_, status) in decided.statuses {
        metrics::counter!("attune_enforcements_total", "status" => status).increment(1);
    }
    for feed in decided.feeds {
        bus.feed(feed);
    }
}

/// Announces the new status of an execution. The wake is the caller's: it depends on what frees a slot.
pub fn execution(bus: &dyn Bus, id: ExecutionId, action_ref: Option<&ActionRef>, status: ExecutionStatus) {
    bus.feed(Feed {
        execution_id: Some(id),
        action_ref: action_ref.cloned(),
        ..Feed::new(FeedKind::execution(status))
    });
}

/// Announces an execution whose result was accepted, and counts it.
pub fn finished_execution(bus: &dyn Bus, id: ExecutionId, status: ExecutionStatus) {
    metrics::counter!("attune_executions_total", "status" => status.as_str()).increment(1);
    execution(bus, id, None, status);
}
