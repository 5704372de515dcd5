//! Decides events that are about to be written by this process, so that they are committed with their decisions.
//!
//! The evaluation runs outside the runtime and is abandoned at the deadline, so a slow rule delays nothing else. Events without
//! an answer, and those with limits, are decided by a round like any other. Rules that are outdated are not loaded here: the
//! database refuses the decisions, and the round that decides the events instead loads the rules.

use super::{admit::is_gated, evaluate::decision};
use crate::rules::{CachedRules, Rules};
use attune_common::{
    failpoint,
    joint::{Answer, Offer},
    service::Context,
    store::event_queue::Claimed,
};
use std::time::Instant;

/// Enforcements in one answer. More would make the commit of the events slow.
const ENFORCEMENTS_MAX: usize = 200;

/// Answers offers until the process stops.
pub(super) async fn run(context: Context, rules: CachedRules) -> anyhow::Result<()> {
    let mut offers = context.joint.offers();
    while let Some(Some(offer)) = context.stopping().run_until_cancelled(offers.recv()).await {
        let Some(rules) = rules.get() else { continue };
        failpoint::hit("joint.offered").await;
        // One after another: a rule that hangs occupies one thread, and no further offer is taken.
        let depth_max = context.config.limits.chain_depth;
        if tokio::task::spawn_blocking(move || answer(&rules, offer, depth_max))
            .await
            .is_err()
        {
            tracing::error!("the evaluation of an offered event crashed; it goes the usual way");
        }
    }
    // Another executor of this process may have taken over the offers.
    context.stopping().cancelled().await;
    Ok(())
}

fn answer(rules: &Rules, offer: Offer, depth_max: usize) {
    let started = Instant::now();
    let mut decisions = Vec::with_capacity(offer.events.len());
    let mut enforcements = 0;
    for event in offer.events {
        if Instant::now() >= offer.until || enforcements >= ENFORCEMENTS_MAX {
            break;
        }
        let claimed = Claimed {
            event_id: event.id,
            tries: 0,
            event: Some(event),
        };
        let decision = decision(rules, &claimed, depth_max);
        if !is_gated(&decision) && decision.enforcements.len() <= ENFORCEMENTS_MAX {
            enforcements += decision.enforcements.len();
            decisions.push(decision);
        }
    }
    metrics::histogram!("attune_rule_evaluation_seconds").record(started.elapsed().as_secs_f64());
    let version = rules.version;
    // Fails if the answer is late.
    let _ = offer.answer.send(Answer { version, decisions });
}
