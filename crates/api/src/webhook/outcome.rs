//! Waits for what comes of an event: until all of its executions have ended, or the time is over.

use crate::{api::Api, problem::Problem};
use attune_common::{
    bus::{FeedFilter, FeedItem, Feeds},
    store::{
        webhook::{self, RuleFailure},
        with_default_timeout,
    },
};
use attune_domain::{EventId, ExecutionId, execution::ExecutionStatus};
use serde::Serialize;
use serde_json::Value;
use std::{collections::HashSet, time::Duration};
use tokio::time::Instant;
use utoipa::ToSchema;

/// Nothing is told of an event that no rule matched, and messages may be lost.
const POLL: Duration = Duration::from_millis(200);

/// What one execution came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct Outcome {
    execution_id: ExecutionId,
    rule_ref: Option<String>,
    action_ref: String,
    status: ExecutionStatus,
    result: Option<Value>,
    error: Option<String>,
}

#[derive(Debug, Default)]
pub struct Waited {
    /// Everything that follows from the event has ended.
    pub complete: bool,
    pub executions: Vec<Outcome>,
    pub rules_failed: Vec<RuleFailure>,
}

pub async fn wait(api: &Api, event: EventId, until: Instant) -> Result<Waited, Problem> {
    let mut feeds = api.bus.feeds(FeedFilter::default());
    loop {
        let found = with_default_timeout(webhook::outcome(&api.pool, event)).await?;
        let decided = found.is_some();
        let webhook::Outcomes {
            executions,
            rules_failed,
        } = found.unwrap_or_default();
        let executions: Vec<_> = executions.into_iter().map(Outcome::from).collect();
        let complete = decided && executions.iter().all(|outcome| outcome.status.is_terminal());
        if complete || Instant::now() >= until || api.stopping.is_cancelled() {
            return Ok(Waited {
                complete,
                executions,
                rules_failed,
            });
        }
        let ids = executions.iter().map(|outcome| outcome.execution_id).collect();
        tokio::select! {
            () = news(&mut feeds, event, &ids) => {}
            () = tokio::time::sleep(POLL) => {}
            () = tokio::time::sleep_until(until) => {}
            () = api.stopping.cancelled() => {}
        }
    }
}

async fn news(feeds: &mut Feeds, event: EventId, executions: &HashSet<ExecutionId>) {
    loop {
        match feeds.recv().await {
            FeedItem::Missed(_) => return,
            FeedItem::Feed(feed) => {
                let ours = feed.execution_id.is_some_and(|id| executions.contains(&id));
                if ours || feed.event_id == Some(event) {
                    return;
                }
            }
        }
    }
}

impl From<webhook::Outcome> for Outcome {
    fn from(row: webhook::Outcome) -> Self {
        Self {
            execution_id: ExecutionId(row.execution_id),
            rule_ref: row.rule_ref,
            action_ref: row.action_ref,
            status: row.status,
            result: row.result,
            error: row.error,
        }
    }
}
