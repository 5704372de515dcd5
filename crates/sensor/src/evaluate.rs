//! Evaluates one timer: computes from its row, the changes of its trigger, and the database's clock what a transaction must
//! write. Pure; the decisions are those of `domain::timer`.
//!
//! The tricky thing is a changed definition. Changes are applied one by one: what was due before a change follows the
//! configuration in force until then, and the next configuration begins strictly after the change, even when no sensor ran
//! in between.

use attune_common::store::{
    ingest::NewEvent,
    timer::{Planned, TimerRow},
    timer_advance::{Advance, Progress},
    timer_gap::NewGap,
    timer_plan::{Plan, Span},
};
use attune_domain::{
    EventId, FieldErrors, TriggerId,
    occurrence::EventSource,
    timer::{self, Definition, Due, Gap, Position, Recovery, Replay, Timer, TimerConfig, Version},
};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// Everything that one transaction must write.
#[derive(Debug, Default)]
pub struct Batch {
    pub events: Vec<NewEvent>,
    /// When each of the events was due. Lateness is measured from here.
    pub due_at: Vec<DateTime<Utc>>,
    pub gaps: Vec<NewGap>,
    pub advances: Vec<Advance>,
    pub plans: Vec<Plan>,
    /// When the span of the version in force ended.
    pub ended: Vec<(TriggerId, DateTime<Utc>)>,
    pub spans: Vec<Span>,
    /// Triggers that are not timers any more, or were not for a while.
    pub removals: Vec<i64>,
    /// The newest version that each of these timers has applied.
    pub seen: Vec<(TriggerId, i64)>,
    /// Triggers with changes that are not yet applied.
    pub unfinished: Vec<i64>,
}

/// Adds to the batch what one timer requires, with at most `emit_max` events.
pub fn evaluate(batch: &mut Batch, row: &TimerRow, now: DateTime<Utc>, emit_max: u32) {
    if !row.pending.is_empty() {
        apply(batch, row, now, emit_max);
    } else if let Some(planned) = &row.planned {
        fire(batch, row, planned, now, emit_max);
    }
}

/// The usual case: the configuration in force determines what is due.
fn fire(batch: &mut Batch, row: &TimerRow, planned: &Planned, now: DateTime<Utc>, emit_max: u32) {
    let Some(next_fire_at) = planned.next_fire_at else {
        return;
    };
    let mut advance = Advance {
        trigger_id: row.trigger_id,
        next_fire_at: None,
        recovery: None,
        progress: Progress::default(),
        error: None,
    };
    match compile(row, &planned.config).and_then(|timer| Ok((recovery(planned)?, timer))) {
        Ok((recovery, timer)) => {
            let due = timer::due(&timer, next_fire_at, now, recovery.as_ref(), emit_max);
            let instance = TimerInstance {
                generation: planned.generation,
                timer: &timer,
                armed_at: Some(next_fire_at),
            };
            account(batch, &mut advance.progress, row, &instance, &due, now);
            advance.next_fire_at = due.next;
            advance.recovery = due.recovery.as_ref().and_then(|it| serde_json::to_value(it).ok());
        }
        // A timer that cannot be computed is set aside with its error, and does not affect others.
        Err(error) => advance.error = Some(error.to_string()),
    }
    batch.advances.push(advance);
}

/// Applies the changes of the definition, one by one.
fn apply(batch: &mut Batch, row: &TimerRow, now: DateTime<Utc>, emit_max: u32) {
    let versions: Vec<Version> = row
        .pending
        .iter()
        .map(|change| Version {
            number: change.version,
            changed_at: change.changed_at,
            definition: change.is_timer.then(|| Definition {
                enabled: change.enabled,
                timer: compile(row, &change.config).map_err(|errors| errors.to_string()),
            }),
        })
        .collect();
    let position = row.planned.as_ref().map(|planned| position(row, planned));
    let replay = timer::replay(position, &versions, now, emit_max);

    let mut progress = Progress::default();
    for part in &replay.accounted {
        let instance = TimerInstance {
            generation: part.number,
            timer: &part.timer,
            armed_at: part.armed_at,
        };
        account(batch, &mut progress, row, &instance, &part.due, now);
    }
    write_spans(batch, row, &replay);
    if replay.removed {
        batch.removals.push(row.trigger_id.0);
    }
    if replay.begun.is_empty() {
        advance(batch, row, &replay, progress);
    } else {
        plan(batch, row, &replay, progress);
    }
    let newest = row
        .pending
        .last()
        .map_or(row.version, |last| last.version.max(row.version));
    batch.seen.extend(replay.seen.map(|seen| (row.trigger_id, seen)));
    if replay.seen.is_none_or(|seen| seen < newest) {
        batch.unfinished.push(row.trigger_id.0);
    }
}

/// The state of the configuration in force, from the timer's row.
fn position(row: &TimerRow, planned: &Planned) -> Position {
    let (timer, recovery) = match (compile(row, &planned.config), recovery(planned)) {
        (Ok(timer), Ok(recovery)) => (Ok(timer), recovery),
        (Err(error), _) | (_, Err(error)) => (Err(error.to_string()), None),
    };
    Position {
        number: planned.generation,
        definition: Definition {
            enabled: planned.enabled,
            timer,
        },
        next_fire_at: planned.next_fire_at,
        accounted_until: planned.accounted_until,
        recovery,
    }
}

/// The version in force remains.
fn advance(batch: &mut Batch, row: &TimerRow, replay: &Replay, progress: Progress) {
    if let (Some(position), false) = (&replay.position, replay.accounted.is_empty()) {
        batch.advances.push(Advance {
            trigger_id: row.trigger_id,
            next_fire_at: position.next_fire_at,
            recovery: position.recovery.as_ref().and_then(|it| serde_json::to_value(it).ok()),
            progress,
            error: None,
        });
    }
}

/// Another version comes into force.
fn plan(batch: &mut Batch, row: &TimerRow, replay: &Replay, progress: Progress) {
    let Some(position) = &replay.position else {
        return;
    };
    batch.plans.push(Plan {
        trigger_id: row.trigger_id,
        generation: position.number,
        seen_version: replay.seen.unwrap_or(position.number),
        enabled: position.definition.enabled,
        config: configuration(row, position.number),
        next_fire_at: position.next_fire_at,
        recovery: position.recovery.as_ref().and_then(|it| serde_json::to_value(it).ok()),
        progress,
        error: position.definition.timer.clone().err(),
    });
}

/// The open span ends where the next version begins, and each new span where its successor begins.
fn write_spans(batch: &mut Batch, row: &TimerRow, replay: &Replay) {
    batch
        .ended
        .extend(replay.begun.first().map(|begun| (row.trigger_id, begun.from)));
    for (index, begun) in replay.begun.iter().enumerate().filter(|(_, begun)| begun.armed) {
        batch.spans.push(Span {
            trigger_id: row.trigger_id,
            generation: begun.number,
            config: configuration(row, begun.number),
            from_at: begun.from,
            to_at: replay.begun.get(index + 1).map(|next| next.from),
        });
    }
}

/// The configuration of a version that is being applied.
fn configuration(row: &TimerRow, number: i64) -> Value {
    let change = row.pending.iter().find(|change| change.version == number);
    change.map(|change| change.config.clone()).unwrap_or_default()
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

/// One armed timer: a version of a trigger's configuration, and the instant at which it fires next.
struct TimerInstance<'a> {
    generation: i64,
    timer: &'a Timer,
    armed_at: Option<DateTime<Utc>>,
}

/// Adds the events and the gap of one instance.
fn account(
    batch: &mut Batch,
    progress: &mut Progress,
    row: &TimerRow,
    instance: &TimerInstance<'_>,
    due: &Due,
    now: DateTime<Utc>,
) {
    for (scheduled_at, missed) in due.events() {
        let due_at = instance.timer.due_at(scheduled_at, instance.armed_at);
        progress.late += i64::from(instance.timer.is_late(due_at, now));
        batch.due_at.push(due_at);
        let id = EventId::of_timer(row.trigger_id, scheduled_at);
        batch.events.push(NewEvent {
            id,
            trigger_id: row.trigger_id,
            trigger_ref: row.trigger_ref.clone(),
            source: EventSource::Timer,
            payload: timer::payload(instance.timer, scheduled_at, now, missed),
            scheduled_at: Some(scheduled_at),
            trace_id: id.0,
            definitions: None,
            dedup: None,
        });
    }
    let gap = due.gap.as_ref();
    batch.gaps.extend(gap.map(|gap| gap_row(row, instance.generation, gap)));
    progress.missed += gap.map_or(0, |gap| i64::try_from(gap.missed).unwrap_or(i64::MAX));
    progress.fired += count(due.emit.len());
    progress.accounted_until = progress.accounted_until.max(due.newest());
    progress.last_scheduled_at = due.emit.last().copied().or(progress.last_scheduled_at);
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
