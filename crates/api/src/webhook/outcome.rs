//! Waits until all executions of an event have ended, or until a deadline.

use crate::problem::Problem;
use attune_common::{
    bus::{Bus, FeedFilter, FeedItem, Feeds},
    store::{
        PgPool,
        webhook::{self, RuleFailure},
        with_default_timeout,
    },
};
use attune_domain::{ActionRef, EventId, ExecutionId, RuleRef, execution::ExecutionStatus};
use serde::Serialize;
use serde_json::Value;
use std::{collections::HashSet, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

/// Nothing is announced for an event that no rule matches, and messages may be lost.
const POLL: Duration = Duration::from_millis(200);

/// The outcome of one execution.
#[derive(Debug, Serialize, ToSchema)]
pub struct Outcome {
    execution_id: ExecutionId,
    #[schema(value_type = Option<String>)]
    rule_ref: Option<RuleRef>,
    #[schema(value_type = String)]
    action_ref: ActionRef,
    status: ExecutionStatus,
    result: Option<Value>,
    error: Option<String>,
}

#[derive(Debug, Default)]
pub struct Waited {
    /// The event is decided and all of its executions have ended.
    pub complete: bool,
    pub executions: Vec<Outcome>,
    pub rules_failed: Vec<RuleFailure>,
}

pub async fn wait(
    (pool, bus, stopping): (&PgPool, &dyn Bus, &CancellationToken),
    event: EventId,
    until: Instant,
) -> Result<Waited, Problem> {
    let mut feeds = bus.feeds(FeedFilter::default());
    loop {
        let found = with_default_timeout(webhook::outcome(pool, event)).await?;
        let decided = found.is_some();
        let webhook::Outcomes {
            executions,
            rules_failed,
        } = found.unwrap_or_default();
        let executions: Vec<_> = executions.into_iter().map(Outcome::from).collect();
        let complete = decided && executions.iter().all(|outcome| outcome.status.is_terminal());
        if complete || Instant::now() >= until || stopping.is_cancelled() {
            return Ok(Waited {
                complete,
                executions,
                rules_failed,
            });
        }
        let ids = executions.iter().map(|outcome| outcome.execution_id).collect();
        tokio::select! {
            () = next_change(&mut feeds, event, &ids) => {}
            () = tokio::time::sleep(POLL) => {}
            () = tokio::time::sleep_until(until) => {}
            () = stopping.cancelled() => {}
        }
    }
}

async fn next_change(feeds: &mut Feeds, event: EventId, executions: &HashSet<ExecutionId>) {
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
