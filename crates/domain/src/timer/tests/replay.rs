//! `replay` against an oracle that checks for each second which version was in force, and whether it fires at that second.

use super::{MANY, at, config, second, timer};
use crate::{
    TriggerId,
    timer::{Definition, Due, Position, Replay, Timer, Version, due, replay},
};
use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A trigger's configuration, in a form that the oracle can read.
#[derive(Debug, Clone)]
enum Config {
    Interval {
        seconds: i64,
        more: Value,
    },
    /// `*/n` minutes.
    Minutes {
        step: u32,
        more: Value,
    },
    OneShot {
        second: i64,
        allow_past: bool,
    },
    Disabled,
    Invalid,
    NotATimer,
}

impl Config {
    fn definition(&self) -> Option<Definition> {
        let armed = |mut json: Value, more: &Value| {
            for (name, value) in more.as_object().into_iter().flatten() {
                json[name] = value.clone();
            }
            let timer = Timer::compile(&config(&json), TriggerId(7)).map_err(|error| error.to_string());
            Some(Definition { enabled: true, timer })
        };
        match self {
            Self::Interval { seconds, more } => armed(json!({"type": "interval", "seconds": seconds}), more),
            Self::Minutes { step, more } => {
                armed(json!({"type": "cron", "expression": format!("*/{step} * * * *")}), more)
            }
            Self::OneShot { second, allow_past } => armed(
                json!({"type": "one_shot", "fire_at": instant(second * 1000).to_rfc3339(), "allow_past": allow_past}),
                &Value::Null,
            ),
            Self::Disabled => Some(Definition {
                enabled: false,
                timer: Ok(second(json!({}))),
            }),
            Self::Invalid => Some(Definition {
                enabled: true,
                timer: Err("it cannot be used".to_owned()),
            }),
            Self::NotATimer => None,
        }
    }

    /// Does it name this second? One-shots are left to the comparison of two runs.
    fn names(&self, second: DateTime<Utc>) -> bool {
        match self {
            Self::Interval { seconds, .. } => second.timestamp() % seconds == 0,
            Self::Minutes { step, .. } => second.second() == 0 && second.minute().is_multiple_of(*step),
            Self::OneShot { .. } | Self::Disabled | Self::Invalid | Self::NotATimer => false,
        }
    }
}

/// Milliseconds after the instant at which every case begins.
fn instant(millis: i64) -> DateTime<Utc> {
    at("2026-01-01T11:58:00Z") + TimeDelta::milliseconds(millis)
}

fn policy() -> impl Strategy<Value = Value> {
    let misfire = prop::sample::select(vec!["catch_up", "latest", "skip"]);
    (misfire, 0..20_u32, 0..60_u32, 1..8_u32, prop::bool::ANY).prop_map(|(misfire, grace, window, max, spread)| {
        json!({"misfire": misfire, "grace_seconds": grace, "catchup_window_seconds": window, "catchup_max": max,
               "max_age_seconds": if spread { 40 } else { 604_800 }})
    })
}

fn recurring() -> impl Strategy<Value = Config> {
    prop_oneof![
        4 => (prop::sample::select(vec![1, 2, 3, 7, 60, 3600]), policy()).prop_map(|(seconds, more)| Config::Interval { seconds, more }),
        2 => (1..4_u32, policy()).prop_map(|(step, more)| Config::Minutes { step, more }),
        3 => Just(Config::Disabled),
        1 => Just(Config::Invalid),
        1 => Just(Config::NotATimer),
    ]
}

fn any_config() -> impl Strategy<Value = Config> {
    prop_oneof![
        3 => recurring(),
        1 => (0..400_i64, prop::bool::ANY).prop_map(|(second, allow_past)| Config::OneShot { second, allow_past }),
    ]
}

/// Changes at quarters of a second, so that many coincide with an occurrence or with each other.
fn changes(config: impl Strategy<Value = Config>) -> impl Strategy<Value = Vec<(i64, Config)>> {
    prop::collection::vec((0..160_i64, config), 1..9).prop_map(|changes| {
        let mut now = 0;
        let later = |(pause, config)| {
            now += pause * 250;
            (now, config)
        };
        changes.into_iter().map(later).collect()
    })
}

/// The sensor of a case: what it wrote, as (version, instant).
#[derive(Debug, Default)]
struct Sensor {
    position: Option<Position>,
    seen: i64,
    events: Vec<(i64, DateTime<Utc>)>,
    missed: Vec<(i64, DateTime<Utc>)>,
}

impl Sensor {
    /// Polls until nothing is left to do.
    fn poll(&mut self, versions: &[Version], now: DateTime<Utc>, emit_max: u32) {
        loop {
            let pending = |version: &&Version| version.number > self.seen && version.changed_at <= now;
            let pending: Vec<Version> = versions.iter().filter(pending).cloned().collect();
            if !pending.is_empty() {
                let found = replay(self.position.take(), &pending, now, emit_max);
                assert!(fired(&found) <= emit_max as usize, "more than a transaction may hold");
                self.seen = found.seen.unwrap_or(self.seen);
                for part in &found.accounted {
                    self.write(part.number, &part.timer, &part.due);
                }
                self.position = found.position;
            } else if let Some(mut position) = self.position.take() {
                let timer = position.definition.timer.clone();
                let next = position.next_fire_at.filter(|next| *next <= now);
                let (Some(next), Ok(timer)) = (next, timer) else {
                    self.position = Some(position);
                    return;
                };
                let found = due(&timer, next, now, position.recovery.as_ref(), emit_max);
                self.write(position.number, &timer, &found);
                position.accounted_until = position.accounted_until.max(found.newest());
                position.next_fire_at = found.next;
                position.recovery = found.recovery;
                self.position = Some(position);
            } else {
                return;
            }
        }
    }

    fn write(&mut self, number: i64, timer: &Timer, due: &Due) {
        self.events.extend(due.emit.iter().map(|at| (number, *at)));
        if let Some(gap) = &due.gap {
            let mut instants = vec![gap.from];
            while let Some(next) = timer
                .next_after(instants[instants.len() - 1])
                .filter(|next| *next <= gap.to)
            {
                instants.push(next);
            }
            assert_eq!(
                instants.len() as u64,
                gap.missed,
                "a gap counts what lies in it: {gap:?}"
            );
            self.missed.extend(instants.into_iter().map(|at| (number, at)));
        }
    }

    /// Events and gaps together.
    fn all(&self) -> Vec<(i64, DateTime<Utc>)> {
        let mut all = [self.events.as_slice(), self.missed.as_slice()].concat();
        all.sort_unstable();
        all
    }
}

fn fired(replay: &Replay) -> usize {
    replay.accounted.iter().map(|part| part.due.emit.len()).sum()
}

fn versions(changes: &[(i64, Config)]) -> Vec<Version> {
    let numbered = (1..).zip(changes);
    let version = |(number, (millis, config)): (i64, &(i64, Config))| Version {
        number,
        changed_at: instant(*millis),
        definition: config.definition(),
    };
    numbered.map(version).collect()
}

/// Which seconds are accounted for, by which version. One that repeats what is in force changes nothing.
fn expected(changes: &[(i64, Config)], end: i64) -> Vec<(i64, DateTime<Utc>)> {
    let definitions: Vec<Option<Definition>> = changes.iter().map(|(_, config)| config.definition()).collect();
    let mut found = Vec::new();
    for second in 0..=end / 1000 {
        // The last change before this second; a change at the very instant comes after it.
        let Some(mut index) = changes.iter().rposition(|(millis, _)| *millis < second * 1000) else {
            continue;
        };
        if changes[index].1.names(instant(second * 1000)) {
            while index > 0 && definitions[index - 1] == definitions[index] {
                index -= 1;
            }
            found.push((i64::try_from(index + 1).expect("few"), instant(second * 1000)));
        }
    }
    found.sort_unstable();
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whether a sensor runs all the time, now and then, or only at the end: the same occurrences are accounted for.
    #[test]
    fn every_second_belongs_to_the_version_in_force(
        changes in changes(recurring()), rest in 0..400_i64, polls in prop::collection::vec(0..1200_i64, 0..12), emit_max in 1..50_u32,
    ) {
        let versions = versions(&changes);
        let end = changes.last().map_or(0, |(millis, _)| *millis) + rest * 250;
        let expected_all = expected(&changes, end);
        let mut late = Sensor::default();
        late.poll(&versions, instant(end), emit_max);
        prop_assert_eq!(late.all(), expected_all.clone(), "no sensor before the end");

        let mut busy = Sensor::default();
        let mut polls: Vec<i64> = polls.into_iter().map(|quarter| quarter * 250).filter(|poll| *poll < end).collect();
        polls.sort_unstable();
        for poll in polls {
            busy.poll(&versions, instant(poll), emit_max);
        }
        busy.poll(&versions, instant(end), emit_max);
        prop_assert_eq!(busy.all(), expected_all, "a sensor now and then");
    }

    /// One-shots too, whose occurrences depend on when they were made.
    #[test]
    fn a_sensor_in_between_makes_no_difference(
        changes in changes(any_config()), rest in 0..400_i64, polls in prop::collection::vec(0..1200_i64, 0..12),
    ) {
        let versions = versions(&changes);
        let end = changes.last().map_or(0, |(millis, _)| *millis) + rest * 250;
        let mut late = Sensor::default();
        late.poll(&versions, instant(end), MANY);
        let mut busy = Sensor::default();
        let mut polls: Vec<i64> = polls.into_iter().map(|quarter| quarter * 250).filter(|poll| *poll < end).collect();
        polls.sort_unstable();
        for poll in polls {
            busy.poll(&versions, instant(poll), MANY);
        }
        busy.poll(&versions, instant(end), MANY);
        prop_assert_eq!(busy.all(), late.all());
    }
}

fn version(number: i64, seconds: i64, config: &Config) -> Version {
    Version {
        number,
        changed_at: instant(seconds * 1000),
        definition: config.definition(),
    }
}

fn every(seconds: i64) -> Config {
    Config::Interval {
        seconds,
        more: json!({}),
    }
}

#[test]
fn consecutive_spans_have_no_gap() {
    let versions = [
        version(1, 0, &every(1)),
        version(2, 100, &every(3600)),
        version(3, 200, &Config::Disabled),
        version(4, 300, &every(1)),
        version(5, 300, &every(1)),
    ];
    let found = replay(None, &versions, instant(310_000), MANY);
    let begun: Vec<_> = found
        .begun
        .iter()
        .map(|begun| (begun.number, begun.from, begun.armed))
        .collect();
    assert_eq!(
        begun,
        [
            (1, instant(0), true),
            (2, instant(100_000), true),
            (3, instant(200_000), false),
            (4, instant(300_000), true),
        ],
        "the fifth repeats the fourth"
    );
    assert_eq!(found.seen, Some(5));
    let position = found.position.expect("it is a timer");
    assert_eq!((position.number, position.next_fire_at), (4, Some(instant(301_000))));
}

#[test]
fn an_unfinished_change_keeps_its_version_in_force() {
    let versions = [
        version(
            1,
            0,
            &Config::Interval {
                seconds: 1,
                more: json!({"catchup_window_seconds": 3600}),
            },
        ),
        version(2, 50, &Config::Disabled),
    ];
    let first = replay(None, &versions, instant(60_000), 20);
    assert_eq!((fired(&first), first.seen), (20, Some(1)));
    let second = replay(first.position, &versions[1..], instant(61_000), 20);
    assert_eq!((fired(&second), second.seen), (20, None));
    let third = replay(second.position, &versions[1..], instant(62_000), 20);
    assert_eq!((fired(&third), third.seen), (10, Some(2)));
    assert_eq!(third.position.expect("it is a timer").next_fire_at, None);
}

#[test]
fn a_clock_that_goes_back_between_changes_duplicates_nothing() {
    let versions = [
        version(1, 0, &every(1)),
        version(2, 100, &Config::Disabled),
        version(3, 40, &every(1)),
        version(4, 45, &every(2)),
    ];
    let found = replay(None, &versions, instant(110_000), MANY);
    let mut spans = found.begun.iter().map(|begun| begun.from);
    assert!(spans.clone().is_sorted(), "{:?}", spans.collect::<Vec<_>>());
    assert!(spans.all(|from| from <= instant(110_000)));
    let mut sensor = Sensor::default();
    sensor.poll(&versions, instant(110_000), MANY);
    let mut instants: Vec<_> = sensor.all().iter().map(|(_, at)| *at).collect();
    let many = instants.len();
    instants.dedup();
    assert_eq!(instants.len(), many);
}

#[test]
fn a_refused_one_shot_is_counted_once() {
    let long_ago = |allow_past| Config::OneShot {
        second: -500,
        allow_past,
    };
    let versions = [
        version(1, 0, &long_ago(false)),
        version(2, 10, &Config::Disabled),
        version(3, 20, &long_ago(false)),
    ];
    let mut sensor = Sensor::default();
    sensor.poll(&versions, instant(30_000), MANY);
    assert_eq!(sensor.all(), [(1, instant(-500_000))]);
}

#[test]
fn an_equal_configuration_changes_nothing() {
    let definition = |json: Value| {
        Some(Definition {
            enabled: true,
            timer: Ok(timer(&json)),
        })
    };
    let words = [
        json!({"type": "interval", "seconds": 60}),
        json!({"type": "interval", "minutes": 1}),
    ];
    let versions: Vec<Version> = (1..)
        .zip(words)
        .map(|(number, json)| Version {
            number,
            changed_at: instant(number * 1000),
            definition: definition(json),
        })
        .collect();
    let found = replay(None, &versions, instant(10_000), MANY);
    assert_eq!((found.begun.len(), found.seen), (1, Some(2)));
}
