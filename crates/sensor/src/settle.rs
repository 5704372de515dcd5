//! What one timer's row, its trigger and the database's clock lead to. Pure: it only asks `domain::timer`.
//!
//! The tricky thing is a change of definition. What was due before it is settled by the configuration that was in force
//! then, which the timer's row has kept; only when nothing of it is left, the new one comes into force, strictly after.

use attune_common::store::{
    ingest::NewEvent,
    timer::{Plan, Planned, TimerRow},
    timer_advance::Advance,
    timer_gap::NewGap,
};
use attune_domain::{
    EventId, FieldErrors,
    occurrence::EventSource,
    timer::{self, Change, Due, Gap, GapReason, Origin, Recovery, Timer, TimerConfig},
};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// Everything that one transaction has to write.
#[derive(Debug, Default)]
pub struct Batch {
    pub events: Vec<NewEvent>,
    /// When each of the events should have been there: what lateness is measured from.
    pub due_at: Vec<DateTime<Utc>>,
    pub gaps: Vec<NewGap>,
    pub advances: Vec<Advance>,
    pub plans: Vec<Plan>,
    /// Triggers that are no timers any more.
    pub removals: Vec<i64>,
    /// Triggers that changed in nothing that concerns their schedule.
    pub unmoved: Vec<i64>,
}

/// Adds to the batch what follows for one timer. At most `emit_max` events.
pub fn settle(batch: &mut Batch, row: &TimerRow, now: DateTime<Utc>, emit_max: u32) {
    let Some(planned) = &row.planned else {
        begin(batch, row, row.changed_at.min(now), Origin::Created, None);
        return;
    };
    if planned.seen_version == row.version {
        tick(batch, row, planned, now, emit_max);
    } else if row.is_timer && row.enabled == planned.enabled && row.trigger_config == planned.config {
        batch.unmoved.push(row.trigger_id.0);
        tick(batch, row, planned, now, emit_max);
    } else {
        change(batch, row, planned, now, emit_max);
    }
}

/// The usual case: the configuration in force says what is due.
fn tick(batch: &mut Batch, row: &TimerRow, planned: &Planned, now: DateTime<Utc>, emit_max: u32) {
    let Some(next_fire_at) = planned.next_fire_at else {
        return;
    };
    match compile(row, &planned.config).and_then(|timer| Ok((recovery(planned)?, timer))) {
        Ok((recovery, timer)) => {
            let due = timer::due(&timer, next_fire_at, now, recovery.as_ref(), emit_max);
            write(batch, row, planned, &timer, due, now);
        }
        Err(error) => set_aside(batch, row, &error),
    }
}

/// The definition changed: the old configuration ends, the new one begins when nothing of the old is left.
fn change(batch: &mut Batch, row: &TimerRow, planned: &Planned, now: DateTime<Utc>, emit_max: u32) {
    // A clock that went back must not leave a span that nobody settles: old and new meet at one instant.
    let at = row.changed_at.min(now);
    let mut settled_at = planned.settled_at;
    if let Some(next_fire_at) = planned.next_fire_at
        && let Ok(timer) = compile(row, &planned.config)
        && let Ok(recovery) = recovery(planned)
    {
        let reason = if row.enabled && row.is_timer {
            GapReason::Edited
        } else {
            GapReason::Disabled
        };
        let change = Change {
            at: row.changed_at.min(now),
            reason,
        };
        let due = timer::settle(&timer, next_fire_at, change, now, recovery.as_ref(), emit_max);
        let goes_on = due.next.is_some();
        settled_at = settled_at.max(newest(&due));
        write(batch, row, planned, &timer, due, now);
        if goes_on {
            return;
        }
    }
    if !row.is_timer {
        batch.removals.push(row.trigger_id.0);
        return;
    }
    let origin = if planned.enabled {
        Origin::Edited
    } else {
        Origin::Enabled
    };
    begin(batch, row, at, origin, settled_at);
}

/// Puts what the trigger says now into force.
fn begin(batch: &mut Batch, row: &TimerRow, at: DateTime<Utc>, origin: Origin, settled_at: Option<DateTime<Utc>>) {
    let mut plan = Plan {
        trigger_id: row.trigger_id,
        generation: row.version,
        enabled: row.enabled,
        config: row.trigger_config.clone(),
        from_at: settled_at.map_or(at, |settled| settled.max(at)),
        next_fire_at: None,
        error: None,
    };
    match compile(row, &row.trigger_config) {
        Ok(timer) if row.enabled => {
            let planned = timer::plan(&timer, at, origin, settled_at);
            plan.next_fire_at = planned.next;
            batch
                .gaps
                .extend(planned.gap.map(|gap| gap_row(row, row.version, &gap)));
        }
        Ok(_) => {}
        Err(errors) => plan.error = Some(errors.to_string()),
    }
    batch.plans.push(plan);
}

fn compile(row: &TimerRow, config: &Value) -> Result<Timer, FieldErrors> {
    let config = TimerConfig::parse(config).map_err(|errors| errors.under("config"))?;
    let timer = Timer::compile(&config, row.trigger_id).map_err(|errors| errors.under("config"))?;
    Ok(timer.within(row.limits))
}

fn recovery(planned: &Planned) -> Result<Option<Recovery>, FieldErrors> {
    let parse = |value: &Value| serde_json::from_value(value.clone());
    planned
        .recovery
        .as_ref()
        .map(parse)
        .transpose()
        .map_err(|error| FieldErrors::one("recovery", error.to_string()))
}

/// The newest occurrence that is settled by this.
fn newest(due: &Due) -> Option<DateTime<Utc>> {
    due.emit.last().copied().max(due.gap.as_ref().map(|gap| gap.to))
}

fn write(batch: &mut Batch, row: &TimerRow, planned: &Planned, timer: &Timer, due: Due, now: DateTime<Utc>) {
    let mut late = 0;
    for (scheduled_at, missed) in due.events() {
        let due_at = timer.due_at(scheduled_at, planned.next_fire_at);
        late += i64::from(timer.is_late(due_at, now));
        batch.due_at.push(due_at);
        let id = EventId::of_timer(row.trigger_id, scheduled_at);
        batch.events.push(NewEvent {
            id,
            trigger_id: row.trigger_id,
            trigger_ref: row.trigger_ref.clone(),
            source: EventSource::Timer,
            payload: timer::payload(timer, scheduled_at, now, missed),
            scheduled_at: Some(scheduled_at),
            trace_id: id.0,
            dedup: None,
        });
    }
    batch
        .gaps
        .extend(due.gap.as_ref().map(|gap| gap_row(row, planned.generation, gap)));
    batch.advances.push(Advance {
        trigger_id: row.trigger_id,
        next_fire_at: due.next,
        settled_at: newest(&due),
        last_scheduled_at: due.emit.last().copied(),
        fired: count(due.emit.len()),
        late,
        missed: due
            .gap
            .as_ref()
            .map_or(0, |gap| i64::try_from(gap.missed).unwrap_or(i64::MAX)),
        recovery: due.recovery.and_then(|recovery| serde_json::to_value(recovery).ok()),
        error: None,
    });
}

fn gap_row(row: &TimerRow, generation: i64, gap: &Gap) -> NewGap {
    NewGap {
        trigger_id: row.trigger_id,
        generation,
        from_at: gap.from,
        to_at: gap.to,
        missed: i64::try_from(gap.missed).unwrap_or(i64::MAX),
        reason: serde_json::to_value(gap.reason)
            .ok()
            .and_then(|reason| reason.as_str().map(str::to_owned))
            .unwrap_or_default(),
    }
}

fn count(many: usize) -> i64 {
    i64::try_from(many).unwrap_or(i64::MAX)
}

/// A timer that cannot be computed shows its error and disturbs no other.
fn set_aside(batch: &mut Batch, row: &TimerRow, error: &FieldErrors) {
    batch.advances.push(Advance {
        trigger_id: row.trigger_id,
        next_fire_at: None,
        settled_at: None,
        last_scheduled_at: None,
        fired: 0,
        late: 0,
        missed: 0,
        recovery: None,
        error: Some(error.to_string()),
    });
}
