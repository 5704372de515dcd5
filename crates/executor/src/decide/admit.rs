//! T2 for decisions with limits: locks and counts the keys of the limits, admits each execution or not, and writes the
//! decisions like all others. All of it is one transaction.
//!
//! The order in which limits are checked and slots are taken is the domain's ([`Ledger`]). A refused execution remains as
//! an enforcement with the reason. An execution that must wait is queued for its key, and the database moves it on.

use super::publish::publish;
use attune_common::{
    announce::Enforcements,
    failpoint,
    service::Context,
    slots,
    store::{
        Error, Transaction,
        decision::{self, Decision, NewEnforcement, Written},
        slot,
    },
};
use attune_domain::{
    EventId,
    occurrence::EnforcementStatus,
    policy::{Admit, Ledger},
};

/// Enforcements in one transaction. Other transactions wait for its keys.
const PART_MAX: usize = 100;

/// Whether any of its executions must pass a limit.
pub fn is_gated(decision: &Decision) -> bool {
    decision
        .enforcements
        .iter()
        .any(|enforcement| !enforcement.gates.is_empty())
}

/// Admits and writes decisions. False: definitions have changed, and the rest must be evaluated again.
pub async fn write(context: &Context, version: i64, decisions: Vec<Decision>) -> Result<bool, Error> {
    let mut decisions = decisions.into_iter().peekable();
    while decisions.peek().is_some() {
        let mut size = 0;
        let mut part = Vec::new();
        while size < PART_MAX
            && let Some(decision) = decisions.next()
        {
            size += decision.enforcements.len();
            part.push(decision);
        }
        if !write_part(context, version, part).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn write_part(context: &Context, version: i64, mut decisions: Vec<Decision>) -> Result<bool, Error> {
    while !decisions.is_empty() {
        let (announcement, replaces) = match admit_all(context, version, &decisions).await? {
            Outcome::Written { announcement, replaces } => (announcement, replaces),
            Outcome::Stale => return Ok(false),
            // An event that is not ours any more must not take slots from the others. Try again without it.
            Outcome::NotOurs(ours) => {
                decisions.retain(|decision| ours.contains(&decision.event_id));
                continue;
            }
        };
        publish(context, announcement).await;
        if replaces {
            slots::make_room_soon(&context.pool, &*context.bus).await;
        }
        break;
    }
    Ok(true)
}

enum Outcome {
    Written {
        announcement: Enforcements,
        /// An older execution must make room.
        replaces: bool,
    },
    Stale,
    /// Nothing was written. These events are still ours.
    NotOurs(Vec<EventId>),
}

async fn admit_all(context: &Context, version: i64, decisions: &[Decision]) -> Result<Outcome, Error> {
    let mut tx = Transaction::begin(&context.pool).await?;
    let gates = decisions
        .iter()
        .flat_map(|decision| &decision.enforcements)
        .map(|enforcement| &enforcement.gates);
    let mut ledger = slot::state(&mut tx, gates).await?;
    let mut admitted = decisions.to_vec();
    let mut replaces = false;
    let mut counted = Vec::new();
    for enforcement in by_id(&mut admitted) {
        replaces |= admit(&mut ledger, enforcement);
        if enforcement.gates.rate.is_some() && enforcement.execution.is_some() {
            counted.push((enforcement.rule_id, enforcement.id));
        }
    }
    let announcement = Enforcements::of(&admitted);
    match decision::write(&mut *tx, version, admitted).await? {
        Written::Stale => return Ok(Outcome::Stale),
        Written::Decided(ours) if ours.len() < decisions.len() => return Ok(Outcome::NotOurs(ours)),
        Written::Decided(_) => {}
    }
    if !counted.is_empty() {
        slot::count_starts(&mut tx, &counted).await?;
    }
    failpoint::hit("t2.gated.before_commit").await;
    tx.commit().await?;
    Ok(Outcome::Written { announcement, replaces })
}

/// The enforcements with an execution, the oldest first: ids contain the time of the event.
fn by_id(decisions: &mut [Decision]) -> Vec<&mut NewEnforcement> {
    let mut starting: Vec<_> = decisions
        .iter_mut()
        .flat_map(|decision| &mut decision.enforcements)
        .filter(|enforcement| enforcement.execution.is_some())
        .collect();
    starting.sort_by_key(|enforcement| enforcement.execution.as_ref().map(|execution| execution.id));
    starting
}

/// Applies the verdict of the ledger. Returns whether an older execution must make room.
fn admit(ledger: &mut Ledger, enforcement: &mut NewEnforcement) -> bool {
    let admitted = ledger.admit(&enforcement.gates);
    let replaces = matches!(admitted, Admit::CancelPrevious { .. });
    let refused = match admitted {
        Admit::Start => None,
        Admit::Wait { key } | Admit::CancelPrevious { key } => {
            if let Some(execution) = &mut enforcement.execution {
                execution.waits_for = Some(key);
            }
            None
        }
        Admit::Skip { reason } => Some((EnforcementStatus::Skipped, reason)),
        Admit::Throttle { reason } => Some((EnforcementStatus::Throttled, reason)),
    };
    if let Some((status, reason)) = refused {
        enforcement.status = status;
        enforcement.reason = Some(reason);
        enforcement.execution = None;
    }
    replaces
}
