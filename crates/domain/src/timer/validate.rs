//! Semantic checks of a configuration: bounds, and what depends on the current time.

use super::{
    Timer, advice,
    compiled::micros,
    config::{ScheduleConfig, TimerConfig, TimerOptions},
    limits::Limits,
    schedule::{SECOND, Schedule},
};
use crate::{FieldErrors, TriggerId};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

pub(super) const SPREAD_MAX: u32 = 15 * 60;
pub(super) const GRACE_MAX: u32 = 3600;
pub(super) const CATCHUP_WINDOW_MAX: u32 = 30 * 86_400;
pub(super) const CATCHUP_MAX: u32 = 10_000;
/// How late a one-shot may be created.
pub(super) const TOLERANCE_SECONDS: i64 = 60;
/// A cron timer must have an occurrence within this many days (ten years).
const HORIZON_DAYS: i64 = 3653;

impl TimerConfig {
    /// Checks what depends on the current time. Only for a new configuration: one that is already in force may have an
    /// instant in the past.
    pub fn validate(&self, now: DateTime<Utc>, limits: Limits) -> Result<(), FieldErrors> {
        let timer = Timer::compile(self, TriggerId(0))?.within(limits);
        let mut errors = FieldErrors::new();
        self.check_retention(limits, &mut errors);
        match &timer.schedule {
            Schedule::Once { at, allow_past } => {
                let late = (micros(now) - at) / SECOND;
                check_one_shot(late, *allow_past, timer.policy.max_age / SECOND, now, &mut errors);
                let end = self
                    .options
                    .end_at
                    .as_ref()
                    .filter(|end| end.at() <= now && late > TOLERANCE_SECONDS);
                if let Some(end) = end {
                    errors.add(
                        "end_at",
                        format!(
                            "{end} has passed: write a later instant such as `{}`",
                            text(now + TimeDelta::days(1))
                        ),
                    );
                }
            }
            Schedule::Cron(_) | Schedule::Interval { .. } => {
                self.check_reachable(&timer, now, &mut errors);
                self.check_cron_spread(&timer, now, &mut errors);
            }
        }
        errors.into_result()
    }

    /// Checks a configuration that replaces another; `spent`: the previous one-shot has fired. A caller for which the
    /// identical configuration must change nothing compares the two first.
    pub fn validate_edit(
        &self,
        previous: &Self,
        spent: bool,
        now: DateTime<Utc>,
        limits: Limits,
    ) -> Result<(), FieldErrors> {
        self.validate(now, limits)?;
        let (ScheduleConfig::OneShot { fire_at, .. }, true) = (&self.schedule, spent) else {
            return Ok(());
        };
        if matches!(&previous.schedule, ScheduleConfig::OneShot { fire_at: fired, .. } if fired == fire_at) {
            let message = format!(
                "has fired already: a spent one-shot is armed again only with another instant in the future such as `{}`",
                soon(now)
            );
            return Err(FieldErrors::one("fire_at", message));
        }
        if fire_at.at() <= now {
            return Err(FieldErrors::one(
                "fire_at",
                format!(
                    "lies in the past: a spent one-shot is armed again only in the future: write an instant such as `{}`",
                    soon(now)
                ),
            ));
        }
        Ok(())
    }

    fn check_retention(&self, limits: Limits, errors: &mut FieldErrors) {
        // The default follows by itself.
        if let Some(age) = self.options.max_age_seconds.filter(|age| *age > limits.max_age()) {
            let retention = limits.event_retention_seconds;
            let days = retention / 86_400;
            errors.add(
                "max_age_seconds",
                format!("is {age}: must be shorter than the retention of events ({retention} seconds: retention.events_days is {days}): write `{}`", limits.max_age()),
            );
        }
    }

    fn check_reachable(&self, timer: &Timer, now: DateTime<Utc>, errors: &mut FieldErrors) {
        let start = self.options.start_at.as_ref().map_or(now, |start| start.at().max(now));
        let Some(next) = timer.next_after(now) else {
            let end = self.options.end_at.as_ref();
            // Without `end_at` there would be an occurrence, unless the expression itself has ended.
            let endless = Timer {
                end: i64::MAX,
                ..timer.clone()
            };
            let later = endless.next_after(start.max(now)).map(text);
            let (path, message) = match (end, later) {
                (Some(end), Some(later)) if end.at() <= now => (
                    "end_at",
                    format!("{end} has passed, so the timer would never fire: write a later instant such as `{later}`"),
                ),
                (Some(end), Some(later)) => (
                    "end_at",
                    format!(
                        "no occurrence lies before {end}, so the timer would never fire: write a later instant such as `{later}`"
                    ),
                ),
                _ => ("expression", self.never(start)),
            };
            return errors.add(path, message);
        };
        let is_cron = matches!(timer.schedule, Schedule::Cron(_));
        if is_cron && next - start > TimeDelta::days(HORIZON_DAYS) {
            errors.add("expression", self.never(start));
        }
    }

    /// Why its expression is refused, and a valid one.
    fn never(&self, start: DateTime<Utc>) -> String {
        let replacement = match &self.schedule {
            ScheduleConfig::Cron { expression, .. } => advice::in_every_year(expression),
            ScheduleConfig::Interval { .. } | ScheduleConfig::OneShot { .. } => String::new(),
        };
        format!("{}: write `{replacement}`", never(start))
    }

    /// The bound of an interval does not depend on the current time.
    fn check_cron_spread(&self, timer: &Timer, now: DateTime<Utc>, errors: &mut FieldErrors) {
        let spread = i64::from(self.options.spread_seconds.unwrap_or(0));
        let (Schedule::Cron(_), true) = (&timer.schedule, spread > 0) else {
            return;
        };
        let longest = 2 * i64::from(SPREAD_MAX) * SECOND;
        let coming = || {
            let next = timer.schedule.first(micros(now) + 1)?;
            Some(timer.schedule.first(next + 1)? - next)
        };
        let period = timer.schedule.period(micros(now), longest).or_else(coming);
        if let Some(period) = period.filter(|period| spread * SECOND * 2 > *period) {
            errors.add("spread_seconds", half_a_period(spread, period));
        }
    }
}

pub(super) fn never(start: DateTime<Utc>) -> String {
    format!("has no occurrence within ten years after {}", start.format("%Y-%m-%d"))
}

/// An instant that a one-shot may have.
fn soon(now: DateTime<Utc>) -> String {
    text(now + TimeDelta::hours(1))
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn check_one_shot(late: i64, allow_past: bool, max_age: i64, now: DateTime<Utc>, errors: &mut FieldErrors) {
    let soon = soon(now);
    if late > TOLERANCE_SECONDS && !allow_past {
        errors.add(
            "fire_at",
            format!(
                "lies {} in the past: set allow_past to fire at once, or write an instant in the future such as `{soon}`",
                span(late)
            ),
        );
    } else if late > TOLERANCE_SECONDS && late > max_age {
        errors.add(
            "fire_at",
            format!(
                "lies {} in the past, and what is older than max_age_seconds ({max_age}) never fires: write a later instant such as `{soon}`",
                span(late)
            ),
        );
    }
}

/// A duration for people, in the largest unit of which there are at least two.
fn span(seconds: i64) -> String {
    const UNITS: [(i64, &str); 4] = [
        (365 * 86_400, "years"),
        (86_400, "days"),
        (3600, "hours"),
        (60, "minutes"),
    ];
    let unit = UNITS.into_iter().find(|(length, _)| seconds >= 2 * length);
    let (length, name) = unit.unwrap_or((1, "seconds"));
    format!("{} {name}", seconds / length)
}

/// Checks the instants of a schedule. False when they are too broken for further checks.
pub(super) fn check_schedule(schedule: &ScheduleConfig, options: &TimerOptions, errors: &mut FieldErrors) -> bool {
    let is_part = |path: &str| matches!(path, "seconds" | "minutes" | "hours");
    if errors.iter().any(|error| is_part(&error.path)) {
        // The sum of the valid fields would be misleading.
        return false;
    }
    let built = match Schedule::build(schedule) {
        Ok(built) => built,
        Err(inner) => {
            merge(errors, inner);
            return false;
        }
    };
    let spread = i64::from(options.spread_seconds.unwrap_or(0));
    match built {
        Schedule::Interval { period, .. } if spread * SECOND * 2 > period && spread <= i64::from(SPREAD_MAX) => {
            errors.add("spread_seconds", half_a_period(spread, period));
        }
        Schedule::Once { at, .. } => {
            if at < 0 {
                errors.add(
                    "fire_at",
                    "lies before 1970: write a later instant such as `2099-01-01T00:00:00Z`",
                );
            }
            if let Some(start) = options.start_at.as_ref().filter(|start| at < micros(start.at())) {
                errors.add(
                    "fire_at",
                    format!("lies before start_at, so it would never fire: write `{start}` or later"),
                );
            }
            if let Some(end) = options.end_at.as_ref().filter(|end| at > micros(end.at())) {
                errors.add(
                    "fire_at",
                    format!("lies after end_at, so it would never fire: write `{end}` or earlier"),
                );
            }
        }
        Schedule::Interval { .. } | Schedule::Cron(_) => {}
    }
    true
}

fn half_a_period(spread: i64, period: i64) -> String {
    format!(
        "is {spread}: must be at most half a period: write `{}`",
        period / SECOND / 2
    )
}

/// The bounds of the fields that all types share.
pub(super) fn check_options(options: &TimerOptions, errors: &mut FieldErrors) {
    let mut bound = |path: &str, value: Option<u32>, min: u32, max: u32| {
        if let Some(value) = value.filter(|value| !(min..=max).contains(value)) {
            let nearest = value.clamp(min, max);
            errors.add(path, format!("is {value}: must be {min} to {max}: write `{nearest}`"));
        }
    };
    bound("spread_seconds", options.spread_seconds, 0, SPREAD_MAX);
    bound("grace_seconds", options.grace_seconds, 0, GRACE_MAX);
    bound(
        "catchup_window_seconds",
        options.catchup_window_seconds,
        0,
        CATCHUP_WINDOW_MAX,
    );
    bound("catchup_max", options.catchup_max, 1, CATCHUP_MAX);
    bound("max_age_seconds", options.max_age_seconds, 1, u32::MAX);
    if let (Some(start), Some(end)) = (&options.start_at, &options.end_at)
        && end.at() <= start.at()
    {
        let later = text(start.at() + TimeDelta::days(1));
        errors.add(
            "end_at",
            format!("must be after start_at ({start}): write a later instant such as `{later}`"),
        );
    }
}

fn merge(errors: &mut FieldErrors, more: FieldErrors) {
    for error in more.into_vec() {
        errors.add(error.path, error.message);
    }
}
