//! Whether an attempt is followed by another, and when.

use crate::{
    FieldErrors,
    execution::{OnLost, Outcome},
    json, whole,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use utoipa::ToSchema;

const ATTEMPTS_MAX: u32 = 100;
const BACKOFF_SECONDS_MAX: f64 = 86_400.0;
const FACTOR_MAX: f64 = 10.0;
/// The number of attempts of an action that is requeued when its worker is lost and has no retry policy.
const REQUEUE_ATTEMPTS: u32 = 3;

const NAMES: [&str; 7] = [
    "max_attempts",
    "backoff_seconds",
    "factor",
    "max_seconds",
    "on",
    "backoff",
    "max",
];

/// How an action is retried: `backoff · factor^(n−1)`, at most `max`, ± 25 %.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryPolicy {
    /// Includes the first attempt.
    pub max_attempts: u32,
    #[serde(default = "two", alias = "backoff")]
    pub backoff_seconds: f64,
    #[serde(default = "two")]
    pub factor: f64,
    #[serde(default = "ten_minutes", alias = "max")]
    pub max_seconds: f64,
    /// The outcomes that are retried.
    #[serde(default = "failed")]
    pub on: Vec<Outcome>,
}

fn two() -> f64 {
    2.0
}

fn ten_minutes() -> f64 {
    600.0
}

fn failed() -> Vec<Outcome> {
    vec![Outcome::Failed]
}

impl RetryPolicy {
    /// Parses and validates user input.
    pub fn parse(value: &Value) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::new();
        let fields = crate::policy::fields("retry", value, &NAMES, &mut errors);
        if !fields.contains_key("max_attempts") && value.is_object() {
            errors.add("retry.max_attempts", "is missing");
        }
        // One by one, because serde stops at the first error and does not name its place.
        for (name, field) in fields.iter().filter(|(name, _)| NAMES.contains(&name.as_str())) {
            let path = format!("retry.{name}");
            let found = match name.as_str() {
                "max_attempts" => whole::read(&path, field, 1..=ATTEMPTS_MAX).map(drop),
                "factor" => whole::decimal(&path, field, 1.0..=FACTOR_MAX).map(drop),
                "on" => read_ends(field),
                _ => whole::decimal(&format!("{path}_seconds"), field, 0.0..=BACKOFF_SECONDS_MAX).map(drop),
            };
            if let Err(message) = found {
                errors.add(path, message);
            }
        }
        errors.into_result()?;
        serde_json::from_value(value.clone()).map_err(|error| FieldErrors::one("retry", json::in_words(&error)))
    }

    /// The delay between the end of attempt `attempt` and the start of the next one, or `None` if no attempt follows.
    /// `random` is in 0..1.
    pub fn next_attempt(&self, attempt: u32, outcome: Outcome, random: f64) -> Option<Duration> {
        if attempt >= self.max_attempts || !self.on.contains(&outcome) {
            return None;
        }
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = (self.backoff_seconds * self.factor.powi(exponent)).min(self.max_seconds);
        let spread = 0.75 + 0.5 * random;
        Some(Duration::try_from_secs_f64(seconds * spread).unwrap_or_default())
    }
}

fn read_ends(value: &Value) -> Result<(), String> {
    let ends: Vec<Outcome> = serde_json::from_value(value.clone()).map_err(|error| json::in_words(&error))?;
    if ends.contains(&Outcome::Succeeded) {
        return Err("may name `failed` and `timed_out`".to_owned());
    }
    Ok(())
}

/// The maximum number of attempts of an execution, according to its action's policies.
pub fn attempts_max(retry: Option<&RetryPolicy>, on_lost: OnLost) -> u32 {
    match (retry, on_lost) {
        (Some(retry), _) => retry.max_attempts,
        (None, OnLost::Requeue) => REQUEUE_ATTEMPTS,
        (None, OnLost::Fail) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn policy(value: &Value) -> RetryPolicy {
        RetryPolicy::parse(value).expect("a good policy")
    }

    #[test]
    fn backoff_grows_to_its_limit() {
        let policy = policy(&json!({"max_attempts": 12}));
        let delay = |attempt| {
            policy
                .next_attempt(attempt, Outcome::Failed, 0.5)
                .map(|delay| delay.as_secs())
        };
        let seen: Vec<_> = (1..=12).map(delay).collect();
        let expected = [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600];
        assert_eq!(seen, expected.map(Some).into_iter().chain([None]).collect::<Vec<_>>());
    }

    #[test]
    fn only_listed_outcomes_are_retried() {
        let check = |on: &Value, outcome, again: bool| {
            let policy = policy(&json!({"max_attempts": 2, "on": on}));
            assert_eq!(policy.next_attempt(1, outcome, 0.0).is_some(), again);
        };
        check(&json!(["failed"]), Outcome::Failed, true);
        check(&json!(["failed"]), Outcome::TimedOut, false);
        check(&json!(["failed", "timed_out"]), Outcome::TimedOut, true);
        check(&json!(["failed", "timed_out"]), Outcome::Succeeded, false);
    }

    #[test]
    fn every_bad_field_is_named() {
        let bad = json!({"max_attempts": 0, "factor": 0.5, "backoff_seconds": -1, "on": ["succeeded"]});
        let errors = RetryPolicy::parse(&bad).expect_err("a bad policy").to_string();
        for field in ["max_attempts", "factor", "backoff_seconds", "retry.on"] {
            assert!(errors.contains(field), "{field} in {errors}");
        }
        let of_types = json!({"max_attempts": "x", "on": ["exploded"], "factor": "2", "tries": 3});
        let errors = RetryPolicy::parse(&of_types).expect_err("wrong types").into_vec();
        let found: Vec<_> = errors.iter().map(|e| (e.path.as_str(), e.message.as_str())).collect();
        assert_eq!(
            found[1..],
            [
                ("retry.max_attempts", "must be a whole number from 1 to 100"),
                ("retry.on", "must be one of succeeded, failed, timed_out"),
                ("retry.factor", "must be a number from 1 to 10, not a string; write `2`"),
            ]
        );
        let unknown = RetryPolicy::parse(&json!({"max_attempts": 1, "tries": 3})).expect_err("an unknown field");
        assert!(unknown.to_string().contains("tries"));
    }
}
