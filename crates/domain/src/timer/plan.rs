//! The first occurrence of a configuration that comes into force.

use super::{
    Timer,
    compiled::{instant, micros},
    due::{Gap, GapReason},
    schedule::{SECOND, Schedule},
    validate::TOLERANCE_SECONDS,
};
use chrono::{DateTime, Utc};

/// Why a configuration comes into force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Created,
    Edited,
    /// Occurrences during the time it was disabled do not count as missed.
    Enabled,
}

/// The first `next_fire_at`, or the gap that explains why it is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub next: Option<DateTime<Utc>>,
    pub gap: Option<Gap>,
}

/// Starts a configuration strictly after `at`. `accounted` is the newest occurrence of this trigger that fired or was
/// counted as missed; a one-shot of that very instant is spent.
pub fn plan(timer: &Timer, at: DateTime<Utc>, origin: Origin, accounted: Option<DateTime<Utc>>) -> Plan {
    if let Schedule::Once {
        at: fire_at,
        allow_past,
    } = timer.schedule
    {
        return plan_one_shot(timer, (fire_at, allow_past), micros(at), origin, accounted);
    }
    let after = accounted.map_or(at, |accounted| accounted.max(at));
    let next = timer.first(micros(after) + 1);
    Plan {
        next: next.and_then(|next| instant(next + timer.offset)),
        gap: None,
    }
}

fn plan_one_shot(
    timer: &Timer,
    (fire_at, allow_past): (i64, bool),
    at: i64,
    origin: Origin,
    accounted: Option<DateTime<Utc>>,
) -> Plan {
    let Some(moment) = instant(fire_at).filter(|moment| accounted != Some(*moment)) else {
        return Plan::default();
    };
    let refused = |reason| {
        let gap = Gap {
            from: moment,
            to: moment,
            missed: 1,
            reason,
        };
        Plan {
            gap: Some(gap),
            ..Plan::default()
        }
    };
    let late = at - fire_at;
    if late >= 0 && origin == Origin::Enabled {
        return refused(GapReason::Disabled);
    }
    if late > TOLERANCE_SECONDS * SECOND && !allow_past {
        return refused(GapReason::PastAtCreation);
    }
    // Armed no earlier than now, so that a slightly late creation does not count as a misfire.
    Plan {
        next: instant((fire_at + timer.offset).max(at)),
        gap: None,
    }
}
