//! All timers in one list: what fired, what was missed, what is due, and what an outage would do to it.
//!
//! Nothing is simulated: occurrences and their fate come from the functions that sensors use. A timer with many occurrences
//! is returned as one entry, so that the answer is bounded.

use crate::{
    answer::One,
    api::Api,
    known,
    problem::Problem,
    request::{Query, Texts, form},
};
use attune_common::store::{
    calendar::{self, Fired, Missed, Scheduled},
    db,
    known::Noun,
};
use attune_domain::{
    EventId, FieldErrors, TriggerId, TriggerRef,
    moment::Moment,
    timer::{self, Affected, Fate, Note, Outage, Timer, TimerConfig, occurrences},
};
use axum::extract::State;
use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;

const TIMERS_MAX: i64 = 2_000;
const ITEMS_MAX: usize = 5_000;
const SPAN_MAX: TimeDelta = TimeDelta::days(62);
const EACH_MAX: u16 = 500;

form! {
    pub struct CalendarFilter {
        /// The earliest instant: a time, a date (its midnight in UTC), or an offset from now such as `-2h`. Default: now.
        #[schema(value_type = Option<String>)]
        from: Option<Moment>,
        /// Only occurrences before this instant, at most 62 days after `from`. Default: a day after `from`.
        #[schema(value_type = Option<String>)]
        to: Option<Moment>,
        /// One value, or several separated by commas.
        #[schema(inline)]
        pack_ref: Option<Texts>,
        /// One value, or several separated by commas.
        #[schema(inline)]
        trigger_ref: Option<Texts>,
        /// Pretends an outage: two instants separated by `..`, such as `2026-12-01T02:00:00Z..2026-12-01T05:00:00Z`. Each
        /// occurrence that it affects has a `fate`.
        down: Option<String>,
        /// A timer with more occurrences is in `dense` instead.
        #[schema(minimum = 1, maximum = 500)]
        max_each: u16 where (1..=EACH_MAX) = 48,
    }
}

/// The occurrences of all timers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Calendar {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    /// In the order of their time.
    occurrences: Vec<CalendarOccurrence>,
    /// Timers with more than `max_each` occurrences.
    dense: Vec<DenseTimer>,
    /// Timers that are not included, because there are more than 5,000 occurrences or 2,000 timers.
    #[schema(value_type = Vec<String>)]
    truncated: Vec<TriggerRef>,
    /// What an outage would do to the occurrences that are due, in total; null without `down`.
    outage: Option<OutageTotal>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CalendarStatus {
    /// It fired in time.
    Fired,
    /// It fired later than the grace period of the timer.
    Late,
    /// It did not fire. From `scheduled_at` to `until` there are `count` such occurrences.
    Missed,
    /// It will fire.
    Due,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CalendarOccurrence {
    #[schema(value_type = String)]
    trigger_ref: TriggerRef,
    scheduled_at: DateTime<Utc>,
    /// The local time in the timer's zone; UTC for intervals and one-shots.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "timer::with_offset")]
    local_time: DateTime<FixedOffset>,
    status: CalendarStatus,
    /// How a clock change affects it.
    note: Option<Note>,
    event_id: Option<EventId>,
    /// How late it fired.
    late_ms: Option<i64>,
    /// The last one of `count` missed occurrences.
    until: Option<DateTime<Utc>>,
    count: i64,
    /// Why it did not fire.
    reason: Option<String>,
    /// What the outage of `down` does to it.
    fate: Option<Fate>,
}

/// A timer with many occurrences.
#[derive(Debug, Serialize, ToSchema)]
pub struct DenseTimer {
    #[schema(value_type = String)]
    trigger_ref: TriggerRef,
    /// How many occurrences its schedule has in the whole span.
    count: u64,
    first: Option<DateTime<Utc>>,
    /// The second one, from which the distance follows.
    second: Option<DateTime<Utc>>,
    /// What the outage of `down` does to them.
    outage: Option<OutageTotal>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub struct OutageTotal {
    /// How many occurrences fire when the outage ends.
    late: u64,
    /// How many never fire.
    missed: u64,
}

impl OutageTotal {
    fn of(affected: &Affected) -> Self {
        Self {
            late: affected.late(),
            missed: affected.missed(),
        }
    }
}

/// Everything that a request selects.
struct Span {
    now: DateTime<Utc>,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    down: Option<Outage>,
    each: usize,
}

pub async fn get(State(api): State<Api>, Query(params): Query<CalendarFilter>) -> Result<One<Calendar>, Problem> {
    let span = span(&params, db::now(&api.pool).await?)?;
    let named = [
        ("pack_ref", Noun::Pack, params.pack_ref.as_ref()),
        ("trigger_ref", Noun::Trigger, params.trigger_ref.as_ref()),
    ];
    known::check(&api.pool, &named).await?;
    let [packs, triggers] = named.map(|(_, _, refs)| refs.map(|any| any.0.as_slice()));
    let mut timers = calendar::timers(&api.pool, packs, triggers, TIMERS_MAX + 1).await?;
    let mut calendar = Calendar::new(&span);
    let fitting = usize::try_from(TIMERS_MAX).unwrap_or(usize::MAX).min(timers.len());
    calendar
        .truncated
        .extend(timers.drain(fitting..).map(|timer| timer.trigger_ref));
    let ids: Vec<TriggerId> = timers.iter().map(|timer| timer.id).collect();
    let past = (span.from, span.to.min(span.now));
    let (mut fired, mut missed) = (HashMap::new(), HashMap::new());
    if past.0 < past.1 {
        let each = i64::from(params.max_each) + 1;
        fired = grouped(calendar::fired(&api.pool, &ids, past, each).await?, |row: &Fired| {
            row.trigger_id
        });
        missed = grouped(calendar::missed(&api.pool, &ids, past, each).await?, |row: &Missed| {
            row.trigger_id
        });
    }
    for timer in timers {
        let fired = fired.remove(&timer.id).unwrap_or_default();
        let missed = missed.remove(&timer.id).unwrap_or_default();
        calendar.add(&span, timer, fired, missed);
    }
    calendar.occurrences.sort_by_key(|one| one.scheduled_at);
    Ok(One::new(calendar))
}

fn grouped<T>(rows: Vec<T>, key: impl Fn(&T) -> TriggerId) -> HashMap<TriggerId, Vec<T>> {
    let mut groups = HashMap::<_, Vec<T>>::new();
    for row in rows {
        groups.entry(key(&row)).or_default().push(row);
    }
    groups
}

impl Calendar {
    fn new(span: &Span) -> Self {
        Self {
            from: span.from,
            to: span.to,
            occurrences: Vec::new(),
            dense: Vec::new(),
            truncated: Vec::new(),
            outage: span.down.map(|_| OutageTotal::default()),
        }
    }

    /// Adds the occurrences of a timer. One whose stored configuration is corrupt has only a past.
    fn add(&mut self, span: &Span, scheduled: Scheduled, fired: Vec<Fired>, missed: Vec<Missed>) {
        let config = TimerConfig::parse(&scheduled.config);
        let timer = config.and_then(|config| Timer::compile(&config, scheduled.id)).ok();
        let plan = timer.as_ref().filter(|_| scheduled.enabled);
        let affected = plan.zip(span.down).map(|(timer, down)| down.affects(timer));
        if let (Some(total), Some(affected)) = (&mut self.outage, &affected) {
            total.late += affected.late();
            total.missed += affected.missed();
        }
        let start = span.from.max(span.now) - TimeDelta::microseconds(1);
        let end = span.to - TimeDelta::microseconds(1);
        let due = plan.map(|timer| occurrences(timer, start, Some(end)).take(span.each + 1));
        let due: Vec<_> = due.into_iter().flatten().collect();
        let entries = fired.len() + missed.len() + due.len();
        if entries > span.each {
            return self
                .dense
                .push(dense(span, scheduled.trigger_ref, timer.as_ref(), affected.as_ref()));
        }
        if self.occurrences.len() + entries > ITEMS_MAX {
            return self.truncated.push(scheduled.trigger_ref);
        }
        let new = |at: DateTime<Utc>, status: CalendarStatus| CalendarOccurrence {
            trigger_ref: scheduled.trigger_ref.clone(),
            scheduled_at: at,
            local_time: timer
                .as_ref()
                .map_or_else(|| at.fixed_offset(), |timer| timer.local_time(at)),
            status,
            note: None,
            event_id: None,
            late_ms: None,
            until: None,
            count: 1,
            reason: None,
            fate: None,
        };
        for row in fired {
            let due_at = timer.as_ref().map(|timer| timer.due_at(row.scheduled_at, None));
            let is_late = timer
                .as_ref()
                .zip(due_at)
                .is_some_and(|(timer, due)| timer.is_late(due, row.received_at));
            let status = if is_late {
                CalendarStatus::Late
            } else {
                CalendarStatus::Fired
            };
            self.occurrences.push(CalendarOccurrence {
                event_id: Some(row.event_id),
                late_ms: Some((row.received_at - row.scheduled_at).num_milliseconds()),
                ..new(row.scheduled_at, status)
            });
        }
        for row in missed {
            self.occurrences.push(CalendarOccurrence {
                until: Some(row.to_at),
                count: row.missed,
                reason: Some(row.reason),
                ..new(row.from_at, CalendarStatus::Missed)
            });
        }
        for one in due {
            self.occurrences.push(CalendarOccurrence {
                note: one.note,
                fate: affected.as_ref().and_then(|affected| affected.fate(one.scheduled_at)),
                ..new(one.scheduled_at, CalendarStatus::Due)
            });
        }
    }
}

fn dense(span: &Span, trigger_ref: TriggerRef, timer: Option<&Timer>, affected: Option<&Affected>) -> DenseTimer {
    let before = |at: DateTime<Utc>| at - TimeDelta::microseconds(1);
    let mut first = timer
        .into_iter()
        .flat_map(|timer| occurrences(timer, before(span.from), Some(before(span.to))));
    let mut next = || first.next().map(|one| one.scheduled_at);
    DenseTimer {
        trigger_ref,
        count: timer.map_or(0, |timer| timer.count(before(span.from), before(span.to))),
        first: next(),
        second: next(),
        outage: affected.map(OutageTotal::of),
    }
}

fn span(params: &CalendarFilter, now: DateTime<Utc>) -> Result<Span, Problem> {
    let mut errors = FieldErrors::new();
    let from = params.from.map_or(now, |from| from.in_future(now));
    let to = params.to.map_or(from + TimeDelta::days(1), |to| to.in_future(now));
    if to <= from {
        errors.add("to", "must be after from");
    } else if to - from > SPAN_MAX {
        errors.add("to", format!("must be at most {} days after from", SPAN_MAX.num_days()));
    }
    let down = params.down.as_deref().and_then(|text| match outage(text, now) {
        Ok(down) => Some(down),
        Err(message) => {
            errors.add("down", message);
            None
        }
    });
    errors.into_result()?;
    Ok(Span {
        now,
        from,
        to,
        down,
        each: usize::from(params.max_each),
    })
}

/// `from..to`.
fn outage(text: &str, now: DateTime<Utc>) -> Result<Outage, String> {
    let (from, to) = text
        .split_once("..")
        .ok_or("must be two instants separated by `..`, such as `2026-12-01T02:00:00Z..2026-12-01T05:00:00Z`")?;
    let instant = |text: &str| text.parse::<Moment>().map(|moment| moment.in_future(now));
    let from = instant(from).map_err(|error| format!("begins with an instant that {error}"))?;
    let to = instant(to).map_err(|error| format!("ends with an instant that {error}"))?;
    if to <= from {
        return Err("must end after it begins".to_owned());
    }
    if to - from > SPAN_MAX {
        return Err(format!("must be at most {} days long", SPAN_MAX.num_days()));
    }
    Ok(Outage { from, to })
}
