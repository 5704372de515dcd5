//! Applies the versions of a timer's definition in the order in which they were made.
//!
//! A version is in force from its own instant until the instant of the next one, whether or not a sensor ran in between.
//! What was scheduled in that span is decided by that version: its schedule, its zone, its misfire policy. A disabled
//! span has no occurrences. So the result does not depend on the time of the evaluation.
//!
//! One call does a bounded amount of work. The caller writes the result, keeps [`Replay::position`], and calls again with
//! the versions after [`Replay::seen`].

use super::{
    Timer,
    due::{Change, Due, Gap, GapReason, Recovery, due_before_change},
    plan::{Origin, plan},
};
use chrono::{DateTime, Utc};

/// The definition of a timer in its trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The trigger and its pack are enabled.
    pub enabled: bool,
    /// An error: the configuration is invalid.
    pub timer: Result<Timer, String>,
}

/// One change of a trigger.
#[derive(Debug, Clone)]
pub struct Version {
    pub number: i64,
    pub changed_at: DateTime<Utc>,
    /// Absent: the trigger is not a timer.
    pub definition: Option<Definition>,
}

/// The version in force, and how far its occurrences are accounted for.
#[derive(Debug, Clone)]
pub struct Position {
    pub number: i64,
    pub definition: Definition,
    pub next_fire_at: Option<DateTime<Utc>>,
    pub accounted_until: Option<DateTime<Utc>>,
    pub recovery: Option<Recovery>,
}

/// A version came into force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    pub number: i64,
    /// The span of the previous version ends here.
    pub from: DateTime<Utc>,
    /// It has occurrences.
    pub armed: bool,
}

/// Occurrences that were accounted for by one version.
#[derive(Debug, Clone)]
pub struct Accounted {
    pub number: i64,
    pub timer: Timer,
    /// The `next_fire_at` of the timer.
    pub armed_at: Option<DateTime<Utc>>,
    pub due: Due,
}

/// What follows from a list of versions.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    /// The events and gaps, oldest first.
    pub accounted: Vec<Accounted>,
    pub begun: Vec<Begun>,
    /// Absent: the trigger is not a timer.
    pub position: Option<Position>,
    /// The trigger stopped being a timer, at least for a while.
    pub removed: bool,
    /// The newest version that was applied.
    pub seen: Option<i64>,
}

/// Applies versions, oldest first. At most `emit_max` occurrences fire; the others are left for the next call.
pub fn replay(position: Option<Position>, versions: &[Version], now: DateTime<Utc>, emit_max: u32) -> Replay {
    let mut replay = Replay {
        position,
        ..Replay::default()
    };
    let mut left = emit_max;
    let mut at = DateTime::<Utc>::MIN_UTC;
    for version in versions {
        // A clock that went back must not leave a span without a version, so two versions meet at one instant.
        at = version.changed_at.min(now).max(at);
        if !replay.apply(version, at, now, &mut left) {
            break;
        }
        replay.seen = Some(version.number);
    }
    replay
}

impl Replay {
    /// False if the previous version has occurrences left, so that this one cannot begin yet.
    fn apply(&mut self, version: &Version, at: DateTime<Utc>, now: DateTime<Utc>, left: &mut u32) -> bool {
        let definition = version.definition.as_ref();
        if definition == self.position.as_ref().map(|position| &position.definition) {
            return true;
        }
        let enabled = definition.is_some_and(|definition| definition.enabled);
        let reason = if enabled {
            GapReason::Edited
        } else {
            GapReason::Disabled
        };
        if !self.finish(Change { at, reason }, now, left) {
            return false;
        }
        let origin = match self.position.as_ref().map(|position| position.definition.enabled) {
            None => Origin::Created,
            Some(true) => Origin::Edited,
            Some(false) => Origin::Enabled,
        };
        let accounted_until = self.position.take().and_then(|position| position.accounted_until);
        if let Some(definition) = definition {
            self.begin(version.number, definition.clone(), (at, origin), accounted_until);
        } else {
            self.removed = true;
            self.begun.push(Begun {
                number: version.number,
                from: accounted_until.map_or(at, |until| until.max(at)),
                armed: false,
            });
        }
        true
    }

    /// Accounts for the occurrences of the version in force up to the change. False if not all of them fit.
    fn finish(&mut self, change: Change, now: DateTime<Utc>, left: &mut u32) -> bool {
        let Some(position) = &mut self.position else {
            return true;
        };
        let (Some(armed_at), Ok(timer)) = (position.next_fire_at, &position.definition.timer) else {
            return true;
        };
        let due = due_before_change(timer, armed_at, change, now, position.recovery.as_ref(), *left);
        *left = left.saturating_sub(u32::try_from(due.emit.len()).unwrap_or(u32::MAX));
        position.next_fire_at = due.next;
        position.accounted_until = position.accounted_until.max(due.newest());
        position.recovery.clone_from(&due.recovery);
        let finished = due.next.is_none();
        self.accounted.push(Accounted {
            number: position.number,
            timer: timer.clone(),
            armed_at: Some(armed_at),
            due,
        });
        finished
    }

    /// Puts a version into force.
    fn begin(
        &mut self,
        number: i64,
        definition: Definition,
        (at, origin): (DateTime<Utc>, Origin),
        accounted_until: Option<DateTime<Utc>>,
    ) {
        let mut position = Position {
            number,
            definition,
            next_fire_at: None,
            accounted_until,
            recovery: None,
        };
        if let (true, Ok(timer)) = (position.definition.enabled, &position.definition.timer) {
            let planned = plan(timer, at, origin, accounted_until);
            position.next_fire_at = planned.next;
            if let Some(gap) = planned.gap {
                position.accounted_until = accounted_until.max(Some(gap.to));
                self.accounted.push(Accounted {
                    number,
                    timer: timer.clone(),
                    armed_at: None,
                    due: refused(gap),
                });
            }
        }
        self.begun.push(Begun {
            number,
            from: accounted_until.map_or(at, |until| until.max(at)),
            armed: position.next_fire_at.is_some(),
        });
        self.position = Some(position);
    }
}

/// A one-shot that cannot fire any more.
fn refused(gap: Gap) -> Due {
    Due {
        gap: Some(gap),
        ..Due::default()
    }
}
