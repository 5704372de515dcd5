//! Completes messages of the feed. A message contains what its sender knew: a worker knows the execution but not its
//! rule. All streams share a cache; what is not in it is queried from the database.

use super::filter::Filter;
use attune_common::{
    bus::{Feed, Subject},
    store::{
        PgPool,
        watch::{self, Belonging},
        with_timeout,
    },
};
use attune_domain::{EventId, ExecutionId, TriggerRef};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The limit of a query, so that a stream is not silent for long.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);
/// The size of each cache. A full cache is cleared.
const REMEMBERED_MAX: usize = 10_000;

#[derive(Debug, Default)]
struct Known {
    triggers: HashMap<EventId, TriggerRef>,
    executions: HashMap<ExecutionId, Belonging>,
}

#[derive(Debug, Clone, Default)]
pub struct FeedEnricher(Arc<Mutex<Known>>);

impl FeedEnricher {
    /// The message with everything that it belongs to.
    pub async fn complete(&self, pool: &PgPool, feed: &Arc<Feed>, filter: &Filter) -> Feed {
        let mut feed = Feed::clone(feed);
        self.fill(&mut feed);
        // A log message needs only its execution.
        let is_needed = feed.log.is_none() || filter.needs_context();
        if !is_needed || !filter.may_pass(&feed) {
            return feed;
        }
        if feed.kind.subject() == Subject::Execution && feed.rule_ref.is_none() {
            self.query_execution(pool, &mut feed).await;
        }
        if feed.trigger_ref.is_none() {
            self.query_trigger(pool, &mut feed).await;
        }
        feed
    }

    /// Completes the message from the cache, and the cache from the message.
    fn fill(&self, feed: &mut Feed) {
        // A trace that began with an event has its id.
        feed.trace_id = feed.trace_id.or(feed.event_id.map(|event| event.0));
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = feed.execution_id {
            if let Some(belonging) = known.executions.get(&id) {
                fill_from(feed, belonging);
            } else if feed.event_id.is_some() && feed.rule_ref.is_some() {
                known.remember_execution(id, of(feed));
            }
        }
        if let Some(id) = feed.event_id {
            match (known.triggers.get(&id), &feed.trigger_ref) {
                (Some(trigger), None) => feed.trigger_ref = Some(trigger.clone()),
                (None, Some(trigger)) => known.remember_trigger(id, trigger.clone()),
                _ => {}
            }
        }
    }

    async fn query_execution(&self, pool: &PgPool, feed: &mut Feed) {
        let Some(id) = feed.execution_id else {
            return;
        };
        if self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .executions
            .contains_key(&id)
        {
            return;
        }
        // Without the database this stream loses a message, as with a slow network.
        if let Ok(Some(belonging)) = with_timeout(QUERY_TIMEOUT, watch::belonging(pool, id)).await {
            fill_from(feed, &belonging);
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.remember_execution(id, belonging);
        }
    }

    async fn query_trigger(&self, pool: &PgPool, feed: &mut Feed) {
        let Some(id) = feed.event_id else {
            return;
        };
        if let Ok(Some(trigger)) = with_timeout(QUERY_TIMEOUT, watch::trigger_of(pool, id)).await {
            feed.trigger_ref = Some(trigger.clone());
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.remember_trigger(id, trigger);
        }
    }
}

impl Known {
    fn remember_execution(&mut self, id: ExecutionId, belonging: Belonging) {
        if self.executions.len() >= REMEMBERED_MAX {
            self.executions.clear();
        }
        self.executions.insert(id, belonging);
    }

    fn remember_trigger(&mut self, id: EventId, trigger: TriggerRef) {
        if self.triggers.len() >= REMEMBERED_MAX {
            self.triggers.clear();
        }
        self.triggers.insert(id, trigger);
    }
}

fn fill_from(feed: &mut Feed, belonging: &Belonging) {
    feed.event_id = feed.event_id.or(belonging.event_id);
    feed.enforcement_id = feed.enforcement_id.or(belonging.enforcement_id);
    feed.trigger_ref = feed.trigger_ref.take().or_else(|| belonging.trigger_ref.clone());
    feed.rule_ref = feed.rule_ref.take().or_else(|| belonging.rule_ref.clone());
    feed.action_ref = feed.action_ref.take().or_else(|| belonging.action_ref.clone());
    feed.trace_id = feed.trace_id.or(belonging.trace_id);
}

fn of(feed: &Feed) -> Belonging {
    Belonging {
        event_id: feed.event_id,
        enforcement_id: feed.enforcement_id,
        trigger_ref: feed.trigger_ref.clone(),
        rule_ref: feed.rule_ref.clone(),
        action_ref: feed.action_ref.clone(),
        trace_id: feed.trace_id,
    }
}
