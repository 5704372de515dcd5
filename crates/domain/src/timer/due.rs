//! What a tick does with a timer: which occurrences fire, which are counted as missed, and when the timer is due next.
//!
//! The occurrences since `next_fire_at` split at one instant: everything older is the gap, everything newer fires. So a
//! gap is always contiguous and precedes what fires. When more fire than a transaction may hold, the oldest fire now, and
//! the rest is promised by a `Recovery` that the caller stores and passes to the next tick.
//!
//! Lateness is judged at the nominal instant plus the spread. Here the spread is subtracted from `now` instead.

use super::{
    Timer,
    compiled::{instant, micros},
    config::Misfire,
    schedule::Schedule,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What to do, and what to write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// The nominal instants that fire, oldest first.
    pub emit: Vec<DateTime<Utc>>,
    /// Occurrences that will never fire.
    pub gap: Option<Gap>,
    /// The missed occurrences that the payload of the first of `emit` reports.
    pub missed: Option<Missed>,
    /// The new `next_fire_at`. None when no occurrence is left; for [`due_before_change`], of the old configuration.
    pub next: Option<DateTime<Utc>>,
    /// To be stored with `next_fire_at` and passed to the next tick.
    pub recovery: Option<Recovery>,
}

impl Due {
    /// The newest occurrence that fired or was counted as missed.
    pub fn newest(&self) -> Option<DateTime<Utc>> {
        self.emit.last().copied().max(self.gap.as_ref().map(|gap| gap.to))
    }

    /// The occurrences that fire, each with the missed ones that its payload reports.
    pub fn events(&self) -> impl Iterator<Item = (DateTime<Utc>, Option<&Missed>)> {
        let missed = std::iter::once(self.missed.as_ref()).chain(std::iter::repeat(None));
        self.emit.iter().copied().zip(missed)
    }
}

/// Consecutive occurrences that never fire, from the first to the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub missed: u64,
    pub reason: GapReason,
}

/// Why occurrences never fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// `misfire` is `skip`.
    Skip,
    /// `misfire` is `latest`, and a newer one fired.
    Latest,
    /// Older than `catchup_window_seconds`.
    CatchupWindow,
    /// More than `catchup_max` were late.
    CatchupMax,
    /// Older than `max_age_seconds`.
    MaxAge,
    /// Due before an edit, and refused by the policy in force then.
    Edited,
    /// Due before it was disabled (likewise), or a one-shot whose instant passed meanwhile.
    Disabled,
    /// A one-shot that was in the past when it was created.
    PastAtCreation,
}

/// Missed occurrences that the next event reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    pub count: u64,
    pub first_at: DateTime<Utc>,
}

/// The state that a tick leaves for the next one. Stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Every occurrence up to this instant was judged already and fires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// How many of those remain.
    #[serde(default)]
    pub remaining: u64,
    /// To be reported by the next event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<Missed>,
}

/// The end of a configuration: when and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub at: DateTime<Utc>,
    /// `Edited` or `Disabled`.
    pub reason: GapReason,
}

/// What is due at `now`. At most `emit_max` occurrences fire.
pub fn due(
    timer: &Timer,
    next_fire_at: DateTime<Utc>,
    now: DateTime<Utc>,
    recovery: Option<&Recovery>,
    emit_max: u32,
) -> Due {
    if now < next_fire_at {
        // Woken too early, or the clock went back: nothing until the instant is reached (again).
        return Due {
            next: Some(next_fire_at),
            recovery: recovery.cloned(),
            ..Due::default()
        };
    }
    Tick::new(timer, next_fire_at, now, None, emit_max).run(recovery)
}

/// What the old configuration scheduled up to a change. As [`due`], but occurrences that do not fire form a gap with the
/// change's reason, and `next` is None as soon as everything is accounted for. Until then the caller keeps the old
/// configuration and calls this again. An occurrence whose spread has not passed yet fires at once.
pub fn due_before_change(
    timer: &Timer,
    next_fire_at: DateTime<Utc>,
    change: Change,
    now: DateTime<Utc>,
    recovery: Option<&Recovery>,
    emit_max: u32,
) -> Due {
    Tick::new(timer, next_fire_at, now, Some(change), emit_max).run(recovery)
}

/// One evaluation, in nominal microseconds.
struct Tick<'a> {
    timer: &'a Timer,
    from: i64,
    now: i64,
    /// The exclusive end of the evaluated span.
    end: i64,
    /// `next_fire_at` without the spread; a one-shot's lateness counts from here.
    armed_at: i64,
    change: Option<Change>,
    emit_max: u64,
}

impl<'a> Tick<'a> {
    fn new(
        timer: &'a Timer,
        next_fire_at: DateTime<Utc>,
        now: DateTime<Utc>,
        change: Option<Change>,
        emit_max: u32,
    ) -> Self {
        let armed_at = micros(next_fire_at) - timer.offset;
        let now = micros(now) - timer.offset;
        let from = match timer.schedule {
            // A one-shot may be armed later than its instant: it was created a little late, or with `allow_past`.
            Schedule::Once { at, .. } => at.min(armed_at),
            Schedule::Interval { .. } | Schedule::Cron(_) => armed_at,
        };
        let end = match change {
            Some(change) => micros(change.at) + 1,
            None => now + 1,
        };
        Self {
            timer,
            from,
            now,
            end,
            armed_at,
            change,
            emit_max: u64::from(emit_max),
        }
    }

    fn run(&self, recovery: Option<&Recovery>) -> Due {
        let missed = recovery.and_then(|recovery| recovery.missed.clone());
        if let Some(until) = recovery.and_then(|recovery| recovery.until) {
            let end = self.end.min(micros(until) + 1);
            let mut due = Due {
                missed,
                ..Due::default()
            };
            self.fire(&mut due, self.from, end);
            return due;
        }
        let split = self.split();
        let mut due = Due {
            gap: self.gap(split),
            missed,
            ..Due::default()
        };
        due.missed = add_missed(due.missed, due.gap.as_ref());
        self.fire(&mut due, split, self.end);
        due
    }

    /// The instant at and after which occurrences fire.
    fn split(&self) -> i64 {
        if let Schedule::Once { at, .. } = self.timer.schedule {
            return if self.one_shot_fires(at) { self.from } else { self.end };
        }
        let policy = &self.timer.policy;
        let on_time = (self.now - policy.grace).clamp(self.from, self.end.max(self.from));
        let too_old = self.now - policy.max_age;
        let newest_late = || {
            self.timer
                .last(self.from, on_time)
                .filter(|newest| *newest >= too_old)
                .unwrap_or(on_time)
        };
        match policy.misfire {
            Misfire::Skip => on_time,
            Misfire::Latest if self.timer.count_between(on_time, self.end) > 0 => on_time,
            Misfire::Latest => newest_late(),
            Misfire::CatchUp => {
                if self.timer.count_between(self.from, on_time) == 0 {
                    return on_time;
                }
                let oldest = (self.now - self.timer.window(self.now))
                    .max(too_old)
                    .clamp(self.from, on_time);
                match self.timer.count_between(oldest, on_time) {
                    0 => newest_late(),
                    count if count <= policy.catchup_max => oldest,
                    _ => self
                        .timer
                        .nth_newest(policy.catchup_max, oldest, on_time)
                        .unwrap_or(on_time),
                }
            }
        }
    }

    fn one_shot_fires(&self, at: i64) -> bool {
        let policy = &self.timer.policy;
        let age = self.now - at;
        if self.now - self.armed_at <= policy.grace {
            return age <= policy.max_age.max(policy.grace);
        }
        policy.misfire != Misfire::Skip && age <= policy.max_age
    }

    fn gap(&self, split: i64) -> Option<Gap> {
        let missed = self.timer.count_between(self.from, split);
        if missed == 0 {
            return None;
        }
        let newest = self.timer.last(self.from, split)?;
        Some(Gap {
            from: self.timer.first(self.from).and_then(instant)?,
            to: instant(newest)?,
            missed,
            reason: self.change.map_or_else(|| self.reason(newest), |change| change.reason),
        })
    }

    /// The limit that excluded the newest missed occurrence.
    fn reason(&self, newest: i64) -> GapReason {
        let policy = &self.timer.policy;
        let age = self.now - newest;
        match policy.misfire {
            Misfire::Skip => GapReason::Skip,
            _ if age > policy.max_age => GapReason::MaxAge,
            Misfire::Latest => GapReason::Latest,
            Misfire::CatchUp if age > self.timer.window(self.now) => GapReason::CatchupWindow,
            Misfire::CatchUp => GapReason::CatchupMax,
        }
    }

    /// Fires the oldest of `from..end` and promises those that do not fit.
    fn fire(&self, due: &mut Due, from: i64, end: i64) {
        let mut next = self.timer.first(from).filter(|next| *next < end);
        while let Some(at) = next
            && (due.emit.len() as u64) < self.emit_max
        {
            due.emit.extend(instant(at));
            next = self.timer.first(at + 1).filter(|next| *next < end);
        }
        let unreported = if due.emit.is_empty() { due.missed.take() } else { None };
        let left = next.map(|next| (next, self.timer.count_between(next, end)));
        if left.is_some() || unreported.is_some() {
            let until = left.and_then(|_| instant(end - 1));
            let remaining = left.map_or(0, |(_, count)| count);
            due.recovery = Some(Recovery {
                until,
                remaining,
                missed: unreported,
            });
        }
        self.set_next(due, left.map(|(next, _)| next), from.max(end));
    }

    /// The next occurrence: the first that did not fit, or the first after the evaluated span.
    fn set_next(&self, due: &mut Due, left: Option<i64>, evaluated_to: i64) {
        let in_force = |next: &i64| self.change.is_none() || *next < self.end;
        let next = left.or_else(|| self.timer.first(evaluated_to).filter(in_force));
        due.next = next.and_then(|next| instant(next + self.timer.offset));
        if self.change.is_some() && next.is_none() {
            // The new configuration starts from scratch.
            due.recovery = None;
        }
    }
}

/// Adds up missed occurrences until an event reports them.
fn add_missed(unreported: Option<Missed>, gap: Option<&Gap>) -> Option<Missed> {
    let Some(gap) = gap else { return unreported };
    let before = unreported.as_ref().map_or(0, |missed| missed.count);
    Some(Missed {
        count: before + gap.missed,
        first_at: unreported.map_or(gap.from, |missed| missed.first_at),
    })
}
