//! Parses a configuration from JSON and reports every bad field at once.
//!
//! Hand-written, because serde stops at the first error and does not name the field of a wrong type.

use super::{
    advice,
    config::{Anchor, DstGap, DstOverlap, Misfire, Moment, ScheduleConfig, TimerConfig, TimerOptions},
    limits::Limits,
    validate::{CATCHUP_MAX, CATCHUP_WINDOW_MAX, GRACE_MAX, SPREAD_MAX, check_options, check_schedule},
};
use crate::{FieldErrors, spelled::closest_match, whole};
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
    /// Parses a configuration and checks everything that does not depend on the current time.
    /// A null field counts as absent.
    pub fn parse(json: &Value) -> Result<Self, FieldErrors> {
        let (config, errors) = Self::read(json);
        config.filter(|_| errors.is_empty()).ok_or(errors)
    }

    /// Like `parse` and then `validate`, or `validate_edit` if it replaces another configuration (which may be spent),
    /// with all errors at once. An unchanged configuration is always valid.
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
            let reported: Vec<String> = errors.iter().map(|error| error.path.clone()).collect();
            let more = present.err().map(FieldErrors::into_vec).unwrap_or_default();
            for error in more.into_iter().filter(|error| !reported.contains(&error.path)) {
                errors.add(error.path, error.message);
            }
        }
        config.filter(|_| errors.is_empty()).ok_or(errors)
    }

    /// Parses as much as possible despite errors. None without a schedule.
    fn read(json: &Value) -> (Option<Self>, FieldErrors) {
        let Some(object) = json.as_object() else {
            let errors = FieldErrors::one(
                "",
                "must be an object such as `{\"type\": \"interval\", \"seconds\": 10}`",
            );
            return (None, errors);
        };
        let own = match object.get("type") {
            Some(Value::String(kind)) if kind == "interval" => INTERVAL,
            Some(Value::String(kind)) if kind == "cron" => CRON,
            Some(Value::String(kind)) if kind == "one_shot" => ONE_SHOT,
            other => {
                let found = other.map_or_else(|| "is missing".to_owned(), |other| format!("is {}", shorten(other)));
                let errors = FieldErrors::one("type", format!("{found}: write {}", types(object)));
                return (None, errors);
            }
        };
        let mut reader = Reader {
            object,
            errors: FieldErrors::new(),
            mistyped: false,
        };
        reader.refuse_unknown(own);
        let schedule = reader.schedule(own);
        let options = reader.options();
        // A field with a typo only seems to be missing.
        let has_schedule = !reader.mistyped
            && schedule
                .as_ref()
                .is_some_and(|schedule| check_schedule(schedule, &options, &mut reader.errors));
        check_options(&options, &mut reader.errors);
        let config = schedule.map(|schedule| Self { schedule, options });
        (config.filter(|_| has_schedule), reader.errors)
    }
}

/// The names of these fields in other systems.
const ALIASES: [(&str, &str); 13] = [
    ("tz", "timezone"),
    ("time_zone", "timezone"),
    ("zone", "timezone"),
    ("location", "timezone"),
    ("cron", "expression"),
    ("schedule", "expression"),
    ("pattern", "expression"),
    ("at", "fire_at"),
    ("when", "fire_at"),
    ("date", "fire_at"),
    ("time", "fire_at"),
    ("sec", "seconds"),
    ("min", "minutes"),
];

/// The maximum of reported unknown fields; a hostile input has more.
const UNKNOWN_MAX: usize = 10;

/// How many characters of an invalid value are shown.
const SHOWN_MAX: usize = 60;

struct Reader<'a> {
    object: &'a Map<String, Value>,
    errors: FieldErrors,
    /// A field of this type with a similar name.
    mistyped: bool,
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
            let fields = [own, COMMON].concat();
            let message = match owners.iter().find(|(fields, _)| fields.contains(&name.as_str())) {
                Some((_, owner)) => format!("belongs to {owner}, not to this type: leave it out"),
                None => match self.meant(name, &fields) {
                    Some(meant) => {
                        self.mistyped = true;
                        meant
                    }
                    None => format!("is not a field of this type ({}): leave it out", fields.join(", ")),
                },
            };
            self.errors
                .add(name.chars().take(SHOWN_MAX).collect::<String>(), message);
        }
    }

    /// The suggestion for an unknown field: a field with a similar name, the name that other systems use, or an interval in
    /// another form.
    fn meant(&self, name: &str, fields: &[&str]) -> Option<String> {
        let alias = ALIASES
            .iter()
            .find(|(alias, _)| *alias == name)
            .map(|(_, field)| *field);
        let near = alias
            .filter(|field| fields.contains(field))
            .or_else(|| closest_match(name, fields))
            .filter(|near| !self.object.contains_key(*near));
        if fields.contains(&"seconds")
            && let Some((unit, value)) = advice::interval_of(name, &self.object[name])
            && !self.object.contains_key(unit)
        {
            let mut config = self.object.clone();
            config.remove(name);
            config.insert(unit.to_owned(), value.into());
            return Some(format!(
                "is an interval in another form: write `{}`",
                Value::Object(config)
            ));
        }
        near.map(|near| format!("is not a field of this type: did you mean `{near}`?"))
    }

    /// None when a field is invalid that the schedule requires.
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
            let expression = self.required("expression", "a cron expression such as `0 30 2 * * *`", text);
            let timezone = self.optional("timezone", "the name of an IANA zone such as `Europe/Berlin`", text);
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
        let fire_at = self.required("fire_at", &self.instant("fire_at"), moment);
        let allow_past = self.optional("allow_past", "`true` or `false`", Value::as_bool);
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
            start_at: self.optional("start_at", &self.instant("start_at"), moment),
            end_at: self.optional("end_at", &self.instant("end_at"), moment),
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
            &format!("`epoch`, or {}", self.instant("anchor")),
            |value| match value.as_str()? {
                "epoch" => Some(Anchor::Epoch),
                text => Moment::parse(text).map(Anchor::At),
            },
        )
    }

    fn number(&mut self, name: &'static str) -> Option<u32> {
        let value = self.present(name)?;
        let message = match (value.as_i64(), value.as_u64()) {
            (Some(number), _) if number < 0 => format!(
                "must not be negative: write `{}`",
                number.unsigned_abs().clamp(1, u64::from(largest(name)))
            ),
            (_, Some(number)) => match u32::try_from(number) {
                Ok(number) => return Some(number),
                Err(_) => format!("is {number}, which is too large: write `{}`", largest(name)),
            },
            _ => format!(
                "is {}: write a whole number such as `{}`",
                shorten(value),
                example(name, value)
            ),
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

    fn required<T>(&mut self, name: &'static str, expected: &str, read: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
        // A field under another name is named as such.
        if self.present(name).is_none() && !self.mistyped {
            self.errors.add(name, format!("is missing: write {expected}"));
        }
        self.optional(name, expected, read)
    }

    fn optional<T>(&mut self, name: &'static str, expected: &str, read: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
        let value = self.present(name)?;
        let found = read(value);
        if found.is_none() {
            self.errors
                .add(name, format!("is {}: write {expected}", shorten(value)));
        }
        found
    }

    /// A suggestion for an instant that does not parse.
    fn instant(&self, name: &str) -> String {
        let instant = advice::instant(self.object.get(name).unwrap_or(&Value::Null));
        format!("an instant with its offset, such as `{instant}`")
    }

    fn present(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }
}

/// The types; the one to which the other fields belong is the last.
fn types(object: &Map<String, Value>) -> String {
    let has = |fields: &[&str]| fields.iter().any(|name| object.contains_key(*name));
    match (has(INTERVAL), has(CRON), has(ONE_SHOT)) {
        (_, true, _) => "`interval`, `one_shot` or `cron`",
        (_, _, true) => "`interval`, `cron` or `one_shot`",
        _ => "`cron`, `one_shot` or `interval`",
    }
    .to_owned()
}

/// The largest value that a number may have.
fn largest(name: &str) -> u32 {
    match name {
        "seconds" => 366 * 86_400,
        "minutes" => 366 * 1440,
        "hours" => 366 * 24,
        "spread_seconds" => SPREAD_MAX,
        "grace_seconds" => GRACE_MAX,
        "catchup_window_seconds" => CATCHUP_WINDOW_MAX,
        "catchup_max" => CATCHUP_MAX,
        _ => 86_400,
    }
}

/// A number that is accepted: what was meant by `"10"`, `"5m"` or `"1,000"`, or the digits in front.
fn example(name: &str, value: &Value) -> i64 {
    let largest: i64 = largest(name).into();
    if let Some(meant) = whole::meant(name, value).filter(|meant| (1..=largest).contains(meant)) {
        return meant;
    }
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let digits: String = text.trim().chars().take_while(char::is_ascii_digit).collect();
    digits
        .parse()
        .ok()
        .filter(|number| (1..=largest).contains(number))
        .unwrap_or(1)
}

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
