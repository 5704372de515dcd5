//! Reads a configuration from JSON and names every bad field at once.
//!
//! Written by hand: serde stops at the first error and does not name the field of a wrong type.

use super::{
    config::{Anchor, DstGap, DstOverlap, Misfire, Moment, ScheduleConfig, TimerConfig, TimerOptions},
    validate::{Limits, check_options, check_schedule},
};
use crate::FieldErrors;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

const INTERVAL: &[&str] = &["seconds", "minutes", "hours", "anchor"];
const CRON: &[&str] = &["expression", "timezone", "dst_gap", "dst_overlap"];
const ONE_SHOT: &[&str] = &["fire_at", "allow_past"];
const COMMON: &[&str] = &[
    "start_at",
    "end_at",
    "spread_seconds",
    "misfire",
    "grace_seconds",
    "catchup_window_seconds",
    "catchup_max",
    "max_age_seconds",
];

impl TimerConfig {
    /// Reads and checks everything that can be checked without knowing what time it is.
    /// A field that is null counts as left out.
    pub fn parse(json: &Value) -> Result<Self, FieldErrors> {
        let (config, errors) = Self::read(json);
        config.filter(|_| errors.is_empty()).ok_or(errors)
    }

    /// As `parse` and then `validate`, or `validate_edit` when it takes the place of another (which may be spent), with
    /// everything that is wrong at once. Applying the same again is always right.
    pub fn check(
        json: &Value,
        previous: Option<(&Self, bool)>,
        now: DateTime<Utc>,
        limits: Limits,
    ) -> Result<Self, FieldErrors> {
        let (config, mut errors) = Self::read(json);
        if let Some(config) = &config {
            let present = match previous {
                Some((previous, _)) if previous == config => Ok(()),
                Some((previous, spent)) => config.validate_edit(previous, spent, now, limits),
                None => config.validate(now, limits),
            };
            let told: Vec<String> = errors.iter().map(|error| error.path.clone()).collect();
            let more = present.err().map(FieldErrors::into_vec).unwrap_or_default();
            for error in more.into_iter().filter(|error| !told.contains(&error.path)) {
                errors.add(error.path, error.message);
            }
        }
        config.filter(|_| errors.is_empty()).ok_or(errors)
    }

    /// What can be read although something may be wrong; nothing when there is no schedule in it.
    fn read(json: &Value) -> (Option<Self>, FieldErrors) {
        let Some(object) = json.as_object() else {
            let errors = FieldErrors::one(
                "",
                "must be an object such as {\"type\": \"interval\", \"seconds\": 10}",
            );
            return (None, errors);
        };
        let own = match object.get("type") {
            Some(Value::String(kind)) if kind == "interval" => INTERVAL,
            Some(Value::String(kind)) if kind == "cron" => CRON,
            Some(Value::String(kind)) if kind == "one_shot" => ONE_SHOT,
            other => {
                let found = other.map_or_else(|| "is missing".to_owned(), |other| format!("is {}", shorten(other)));
                let errors = FieldErrors::one("type", format!("{found}: write `interval`, `cron` or `one_shot`"));
                return (None, errors);
            }
        };
        let mut reader = Reader {
            object,
            errors: FieldErrors::new(),
        };
        reader.refuse_unknown(own);
        let schedule = reader.schedule(own);
        let options = reader.options();
        let has_schedule = schedule
            .as_ref()
            .is_some_and(|schedule| check_schedule(schedule, &options, &mut reader.errors));
        check_options(&options, &mut reader.errors);
        let config = schedule.map(|schedule| Self { schedule, options });
        (config.filter(|_| has_schedule), reader.errors)
    }
}

/// So many unknown fields are named; a hostile input has more.
const UNKNOWN_MAX: usize = 10;

/// So many characters of a wrong value are shown.
const SHOWN_MAX: usize = 60;

struct Reader<'a> {
    object: &'a Map<String, Value>,
    errors: FieldErrors,
}

impl<'a> Reader<'a> {
    fn refuse_unknown(&mut self, own: &[&str]) {
        let is_known = |name: &str| name == "type" || own.contains(&name) || COMMON.contains(&name);
        let object = self.object;
        let unknown = object.keys().filter(|name| !is_known(name));
        for name in unknown.take(UNKNOWN_MAX) {
            let owners = [
                (INTERVAL, "an interval"),
                (CRON, "a cron timer"),
                (ONE_SHOT, "a one-shot"),
            ];
            let message = match owners.iter().find(|(fields, _)| fields.contains(&name.as_str())) {
                Some((_, owner)) => format!("belongs to {owner}, not to this type: leave it out"),
                None => format!(
                    "is no field of this type: write one of {}",
                    [own, COMMON].concat().join(", ")
                ),
            };
            self.errors
                .add(name.chars().take(SHOWN_MAX).collect::<String>(), message);
        }
    }

    /// Nothing when a field without which there is no schedule is bad.
    fn schedule(&mut self, own: &[&str]) -> Option<ScheduleConfig> {
        if own == INTERVAL {
            return Some(ScheduleConfig::Interval {
                seconds: self.number("seconds"),
                minutes: self.number("minutes"),
                hours: self.number("hours"),
                anchor: self.anchor(),
            });
        }
        if own == CRON {
            let expression = self.required("expression", "a cron expression such as \"0 30 2 * * *\"", text);
            let timezone = self.optional("timezone", "the name of an IANA zone such as \"Europe/Berlin\"", text);
            let dst_gap = self.choice("dst_gap", &[("run", DstGap::Run), ("skip", DstGap::Skip)]);
            let overlaps = [
                ("first", DstOverlap::First),
                ("second", DstOverlap::Second),
                ("both", DstOverlap::Both),
            ];
            let dst_overlap = self.choice("dst_overlap", &overlaps);
            return Some(ScheduleConfig::Cron {
                expression: expression?,
                timezone,
                dst_gap,
                dst_overlap,
            });
        }
        let fire_at = self.required("fire_at", MOMENT, moment);
        let allow_past = self.optional("allow_past", "true or false", Value::as_bool);
        Some(ScheduleConfig::OneShot {
            fire_at: fire_at?,
            allow_past,
        })
    }

    fn options(&mut self) -> TimerOptions {
        let policies = [
            ("catch_up", Misfire::CatchUp),
            ("latest", Misfire::Latest),
            ("skip", Misfire::Skip),
        ];
        TimerOptions {
            start_at: self.optional("start_at", MOMENT, moment),
            end_at: self.optional("end_at", MOMENT, moment),
            spread_seconds: self.number("spread_seconds"),
            misfire: self.choice("misfire", &policies),
            grace_seconds: self.number("grace_seconds"),
            catchup_window_seconds: self.number("catchup_window_seconds"),
            catchup_max: self.number("catchup_max"),
            max_age_seconds: self.number("max_age_seconds"),
        }
    }

    fn anchor(&mut self) -> Option<Anchor> {
        self.optional(
            "anchor",
            "`epoch` or an instant such as \"2027-01-20T15:00:00Z\"",
            |value| match value.as_str()? {
                "epoch" => Some(Anchor::Epoch),
                text => Moment::parse(text).map(Anchor::At),
            },
        )
    }

    fn number(&mut self, name: &'static str) -> Option<u32> {
        let value = self.present(name)?;
        let message = match (value.as_i64(), value.as_u64()) {
            (Some(number), _) if number < 0 => "must not be negative".to_owned(),
            (_, Some(number)) => match u32::try_from(number) {
                Ok(number) => return Some(number),
                Err(_) => format!("is {number}, which is too large"),
            },
            _ => format!("is {}: write a whole number", shorten(value)),
        };
        self.errors.add(name, message);
        None
    }

    fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
        self.optional(name, &format!("one of {}", names.join(", ")), |value| {
            let text = value.as_str()?;
            choices
                .iter()
                .find(|(name, _)| *name == text)
                .map(|(_, choice)| *choice)
        })
    }

    fn required<T>(&mut self, name: &'static str, wanted: &str, read: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
        if self.present(name).is_none() {
            self.errors.add(name, format!("is missing: write {wanted}"));
        }
        self.optional(name, wanted, read)
    }

    fn optional<T>(&mut self, name: &'static str, wanted: &str, read: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
        let value = self.present(name)?;
        let found = read(value);
        if found.is_none() {
            self.errors.add(name, format!("is {}: write {wanted}", shorten(value)));
        }
        found
    }

    fn present(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }
}

const MOMENT: &str = "an instant with its offset, such as \"2027-01-20T15:00:00Z\"";

fn moment(value: &Value) -> Option<Moment> {
    value.as_str().and_then(Moment::parse)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A wrong value as an error shows it.
fn shorten(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
