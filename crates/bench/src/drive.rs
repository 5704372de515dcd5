//! Events by the thousand, through the way that all events take, and where they are aimed.

use crate::{measure, testbed::Testbed};
use anyhow::Context as _;
use attune_common::{
    bus::Control,
    clock,
    ingest::{Ingest, IngestError},
    service::Context,
    store::ingest::NewEvent,
};
use attune_domain::{EventId, RuleId, TriggerId, TriggerRef, occurrence::EventSource};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// Concurrent callers that submit events.
const CALLERS: u64 = 200;
/// The pause of a caller that was refused.
const AGAIN: Duration = Duration::from_millis(5);

/// A trigger and the rules that listen to it.
#[derive(Debug, Clone)]
pub struct Target {
    pub trigger: TriggerId,
    pub trigger_ref: TriggerRef,
    pub rules: Vec<RuleId>,
    /// A pattern of `like` for these rules.
    pub rule_pattern: String,
    /// How many different sites its events come from.
    pub sites: u64,
}

impl Target {
    /// A trigger of its own for `name`, with `count` rules that start `action`.
    pub async fn make(
        testbed: &Testbed,
        name: &str,
        count: i64,
        action: &str,
        condition: Option<&Value>,
    ) -> anyhow::Result<Self> {
        let trigger = measure::make_trigger(&testbed.pool, name).await?;
        let rules = measure::make_rules(&testbed.pool, name, count, trigger, action, condition).await?;
        anyhow::ensure!(
            i64::try_from(rules.len()).is_ok_and(|made| made == count),
            "{} of {count} rules were made: is the action {action} there?",
            rules.len()
        );
        if let Ok(context) = testbed.context() {
            context.bus.control(Control::DefinitionsChanged);
        }
        Ok(Self {
            trigger,
            trigger_ref: format!("bench.{name}").parse()?,
            rules,
            rule_pattern: format!(r"bench.{name}\_%"),
            sites: 1,
        })
    }

    pub fn event(&self) -> NewEvent {
        let id = EventId::random(clock::now(), rand::random());
        let site = (rand::random::<u64>() % self.sites).to_string();
        NewEvent {
            id,
            trigger_id: self.trigger,
            trigger_ref: self.trigger_ref.clone(),
            source: EventSource::Api,
            payload: json!({"site": site, "temperature": 31, "message": "hi"}),
            scheduled_at: None,
            trace_id: id.0,
            definitions: None,
            dedup: None,
        }
    }
}

/// Submits `count` events as fast as they are accepted.
pub async fn flood(context: &Context, target: &Target, count: u64) -> anyhow::Result<()> {
    let ingest = Ingest::start(context);
    let target = Arc::new(target.clone());
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS.min(count) {
        let (ingest, target) = (ingest.clone(), Arc::clone(&target));
        let share = (count + CALLERS - 1 - caller) / CALLERS;
        callers.spawn(async move {
            for _ in 0..share {
                submit(&ingest, target.event()).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = callers.join_next().await {
        done.context("a caller ended early")??;
    }
    Ok(())
}

/// Submits one event. When this returns, it is committed.
pub async fn submit(ingest: &Ingest, event: NewEvent) -> anyhow::Result<()> {
    loop {
        match ingest.submit(event.clone()).await {
            Ok(_) => return Ok(()),
            Err(IngestError::Overloaded) => tokio::time::sleep(AGAIN).await,
            Err(error) => return Err(error).context("an event was not taken"),
        }
    }
}
