//! What occurrences belong to. Messages of the feed name what their sender knew: a worker knows the execution and not
//! its rule. What was seen is remembered, shared by all watchers; what was not is asked of the database.

use super::{ANSWERED_WITHIN, Filter};
use attune_common::{
    bus::{Feed, Subject},
    store::{
        PgPool,
        watch::{self, Belonging},
        with_timeout,
    },
};
use attune_domain::{EventId, ExecutionId, Ref};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Of each; then it begins anew.
const REMEMBERED_MAX: usize = 10_000;

#[derive(Debug, Default)]
struct Known {
    triggers: HashMap<EventId, Option<Ref>>,
    executions: HashMap<ExecutionId, Belonging>,
}

#[derive(Debug, Clone, Default)]
pub struct Belongings(Arc<Mutex<Known>>);

impl Belongings {
    /// The message with everything that is known of it.
    pub async fn complete(&self, pool: &PgPool, feed: &Arc<Feed>, filter: &Filter) -> Feed {
        let mut feed = Feed::clone(feed);
        self.fill(&mut feed);
        // Of a log only its place is told.
        let is_told = feed.log.is_none() || filter.asks_for_belongings();
        if !is_told || !filter.may_pass(&feed) {
            return feed;
        }
        if feed.kind.subject() == Subject::Execution && feed.rule_ref.is_none() {
            self.look_for_execution(pool, &mut feed).await;
        }
        if feed.trigger_ref.is_none() {
            self.look_for_trigger(pool, &mut feed).await;
        }
        feed
    }

    /// From memory, into memory.
    fn fill(&self, feed: &mut Feed) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = feed.execution_id {
            if let Some(belonging) = known.executions.get(&id) {
                put(feed, belonging);
            } else if feed.event_id.is_some() && feed.rule_ref.is_some() {
                known.remember_execution(id, of(feed));
            }
        }
        if let Some(id) = feed.event_id {
            match (known.triggers.get(&id), &feed.trigger_ref) {
                (Some(trigger), None) => feed.trigger_ref.clone_from(trigger),
                (None, Some(trigger)) => known.remember_trigger(id, Some(trigger.clone())),
                _ => {}
            }
        }
    }

    async fn look_for_execution(&self, pool: &PgPool, feed: &mut Feed) {
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
        // A database that is away costs this watcher a message, as a slow network would.
        if let Ok(Some(belonging)) = with_timeout(ANSWERED_WITHIN, watch::belonging(pool, id)).await {
            put(feed, &belonging);
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.remember_execution(id, belonging);
        }
    }

    async fn look_for_trigger(&self, pool: &PgPool, feed: &mut Feed) {
        let Some(id) = feed.event_id else {
            return;
        };
        if let Ok(Some(trigger)) = with_timeout(ANSWERED_WITHIN, watch::trigger_of(pool, id)).await {
            feed.trigger_ref = trigger.parse().ok();
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.remember_trigger(id, feed.trigger_ref.clone());
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

    fn remember_trigger(&mut self, id: EventId, trigger: Option<Ref>) {
        if self.triggers.len() >= REMEMBERED_MAX {
            self.triggers.clear();
        }
        self.triggers.insert(id, trigger);
    }
}

fn put(feed: &mut Feed, belonging: &Belonging) {
    let reference = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok());
    feed.event_id = feed.event_id.or(belonging.event_id);
    feed.enforcement_id = feed.enforcement_id.or(belonging.enforcement_id);
    feed.trigger_ref = feed.trigger_ref.take().or_else(|| reference(&belonging.trigger_ref));
    feed.rule_ref = feed.rule_ref.take().or_else(|| reference(&belonging.rule_ref));
    feed.action_ref = feed.action_ref.take().or_else(|| reference(&belonging.action_ref));
}

fn of(feed: &Feed) -> Belonging {
    let text = |reference: &Option<Ref>| reference.as_ref().map(ToString::to_string);
    Belonging {
        event_id: feed.event_id,
        enforcement_id: feed.enforcement_id,
        trigger_ref: text(&feed.trigger_ref),
        rule_ref: text(&feed.rule_ref),
        action_ref: text(&feed.action_ref),
    }
}
