//! The operators of a clause.

use crate::{json, number::Number};
use regex::{Regex, RegexBuilder};
use serde_json::Value;
use std::cmp::Ordering;

const PATTERN_LENGTH_MAX: usize = 1024;
const PATTERN_BYTES_MAX: usize = 256 * 1024;

pub const NAMES: [&str; 12] = [
    "equals",
    "not_equals",
    "less_than",
    "less_than_or_equal",
    "greater_than",
    "greater_than_or_equal",
    "in",
    "contains",
    "starts_with",
    "ends_with",
    "matches",
    "exists",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Equals,
    NotEquals,
    LessThan,
    LessThanOrEqual,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    Exists,
}

impl Operator {
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "equals" => Self::Equals,
            "not_equals" => Self::NotEquals,
            "less_than" => Self::LessThan,
            "less_than_or_equal" | "less_or_equal" => Self::LessThanOrEqual,
            "greater_than" => Self::GreaterThan,
            "greater_than_or_equal" | "greater_or_equal" => Self::GreaterThanOrEqual,
            "in" => Self::In,
            "contains" => Self::Contains,
            "starts_with" => Self::StartsWith,
            "ends_with" => Self::EndsWith,
            "matches" => Self::Matches,
            "exists" => Self::Exists,
            _ => return None,
        })
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equals => "equals",
            Self::NotEquals => "not_equals",
            Self::LessThan => "less_than",
            Self::LessThanOrEqual => "less_than_or_equal",
            Self::GreaterThan => "greater_than",
            Self::GreaterThanOrEqual => "greater_than_or_equal",
            Self::In => "in",
            Self::Contains => "contains",
            Self::StartsWith => "starts_with",
            Self::EndsWith => "ends_with",
            Self::Matches => "matches",
            Self::Exists => "exists",
        }
    }
}

/// An operator with the value that it compares with.
#[derive(Debug)]
pub struct Test {
    pub operator: Operator,
    pub expected: Value,
    pattern: Option<Regex>,
}

impl Test {
    /// The error fits after the name of the field `value`.
    pub fn new(operator: Operator, expected: Option<&Value>) -> Result<Self, String> {
        let expected = match (operator, expected) {
            (Operator::Exists, None) => Value::Bool(true),
            (_, None) => return Err("is missing: what is the value compared with?".to_owned()),
            (_, Some(value)) => value.clone(),
        };
        let (fits, needed) = match operator {
            Operator::Equals | Operator::NotEquals | Operator::Contains => (true, ""),
            Operator::In => (expected.is_array(), "a list"),
            Operator::Exists => (expected.is_boolean(), "true or false"),
            Operator::StartsWith | Operator::EndsWith | Operator::Matches => (expected.is_string(), "a string"),
            _ => (expected.is_number() || expected.is_string(), "a number or a string"),
        };
        if !fits {
            return Err(format!(
                "must be {needed} for `{}`, not {}",
                operator.as_str(),
                json::kind(&expected)
            ));
        }
        let pattern = match (operator, expected.as_str()) {
            (Operator::Matches, Some(pattern)) => Some(compile_pattern(pattern)?),
            _ => None,
        };
        Ok(Self {
            operator,
            expected,
            pattern,
        })
    }

    /// Whether it holds for this value. An error explains why that cannot be decided.
    pub fn holds(&self, actual: Option<&Value>) -> Result<bool, String> {
        let Some(actual) = actual else {
            return match self.operator {
                Operator::Exists => Ok(self.expected == Value::Bool(false)),
                Operator::NotEquals => Ok(true),
                _ => Err("is missing in the event".to_owned()),
            };
        };
        match self.operator {
            Operator::Exists => Ok(self.expected == Value::Bool(true)),
            Operator::Equals => Ok(equal(actual, &self.expected)),
            Operator::NotEquals => Ok(!equal(actual, &self.expected)),
            Operator::LessThan => self.order(actual).map(Ordering::is_lt),
            Operator::LessThanOrEqual => self.order(actual).map(Ordering::is_le),
            Operator::GreaterThan => self.order(actual).map(Ordering::is_gt),
            Operator::GreaterThanOrEqual => self.order(actual).map(Ordering::is_ge),
            Operator::In => Ok(self
                .expected
                .as_array()
                .is_some_and(|list| list.iter().any(|item| equal(item, actual)))),
            Operator::Contains => self.contained_in(actual),
            Operator::StartsWith => self.text(actual).map(|(actual, expected)| actual.starts_with(expected)),
            Operator::EndsWith => self.text(actual).map(|(actual, expected)| actual.ends_with(expected)),
            Operator::Matches => {
                let (actual, _) = self.text(actual)?;
                Ok(self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(actual)))
            }
        }
    }

    fn order(&self, actual: &Value) -> Result<Ordering, String> {
        match (actual, &self.expected) {
            (Value::Number(a), Value::Number(b)) => Ok(compare(a, b)),
            (Value::String(a), Value::String(b)) => Ok(a.as_str().cmp(b)),
            _ => Err(self.unfit(actual, json::kind(&self.expected))),
        }
    }

    fn contained_in(&self, actual: &Value) -> Result<bool, String> {
        match (actual, &self.expected) {
            (Value::String(text), Value::String(part)) => Ok(text.contains(part.as_str())),
            (Value::Array(items), part) => Ok(items.iter().any(|item| equal(item, part))),
            (Value::Object(entries), Value::String(key)) => Ok(entries.contains_key(key)),
            _ => Err(self.unfit(actual, "a string with a string, a list, or an object with a name")),
        }
    }

    fn text<'v>(&'v self, actual: &'v Value) -> Result<(&'v str, &'v str), String> {
        match (actual, &self.expected) {
            (Value::String(a), Value::String(b)) => Ok((a, b)),
            _ => Err(self.unfit(actual, "a string")),
        }
    }

    fn unfit(&self, actual: &Value, needed: &str) -> String {
        format!(
            "is {}, but `{}` needs {needed}",
            json::kind(actual),
            self.operator.as_str()
        )
    }
}

fn compile_pattern(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > PATTERN_LENGTH_MAX {
        return Err(format!("is a pattern longer than {PATTERN_LENGTH_MAX} bytes"));
    }
    RegexBuilder::new(pattern)
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "is a pattern that becomes too large".to_owned(),
            other => format!(
                "is not a regular expression: {}",
                other.to_string().lines().last().unwrap_or_default()
            ),
        })
}

/// JSON equality: 1 and 1.0 are equal, and the order of an object's members is irrelevant.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare(a, b).is_eq(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

fn compare(a: &serde_json::Number, b: &serde_json::Number) -> Ordering {
    Number::from_json(a).cmp(&Number::from_json(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_operator() {
        let check = |actual: Value, operator: &str, expected: Value, holds: Option<bool>| {
            let test = Test::new(Operator::parse(operator).expect(operator), Some(&expected)).expect("a test");
            assert_eq!(test.holds(Some(&actual)).ok(), holds, "{actual} {operator} {expected}");
        };
        check(json!(1), "equals", json!(1.0), Some(true));
        check(json!({"a": [1]}), "equals", json!({"a": [1.0]}), Some(true));
        check(json!("1"), "equals", json!(1), Some(false));
        check(json!(null), "not_equals", json!(1), Some(true));
        check(json!(u64::MAX), "greater_than", json!(i64::MAX), Some(true));
        check(
            json!(9_007_199_254_740_993_i64),
            "greater_than",
            json!(9_007_199_254_740_992_i64),
            Some(true),
        );
        check(
            json!(9_007_199_254_740_993_i64),
            "equals",
            json!(9_007_199_254_740_992.0),
            Some(false),
        );
        check(json!(true), "equals", json!(1), Some(false));
        check(json!(30), "greater_than", json!(30), Some(false));
        check(json!(30), "greater_or_equal", json!(30), Some(true));
        check(json!(29.5), "less_than", json!(30), Some(true));
        check(json!(30), "less_than_or_equal", json!(30), Some(true));
        check(json!("b"), "greater_than", json!("a"), Some(true));
        check(json!("31"), "greater_than", json!(30), None);
        check(json!(null), "less_than", json!(30), None);
        check(json!("b"), "in", json!(["a", "b"]), Some(true));
        check(json!(2.0), "in", json!([1, 2]), Some(true));
        check(json!("abc"), "contains", json!("b"), Some(true));
        check(json!([1, 2]), "contains", json!(2), Some(true));
        check(json!({"a": 1}), "contains", json!("a"), Some(true));
        check(json!(5), "contains", json!("a"), None);
        check(json!("abc"), "starts_with", json!("ab"), Some(true));
        check(json!("abc"), "ends_with", json!("ab"), Some(false));
        check(json!(5), "ends_with", json!("ab"), None);
        check(json!("release-12"), "matches", json!(r"^release-\d+$"), Some(true));
        check(json!("HELLO"), "matches", json!("(?i)hello"), Some(true));
        check(json!(null), "exists", json!(true), Some(true));
        check(json!(1), "exists", json!(false), Some(false));
    }

    #[test]
    fn a_missing_value_decides_only_two_operators() {
        for name in NAMES {
            let operator = Operator::parse(name).expect(name);
            let expected = if operator == Operator::In {
                json!([])
            } else {
                json!("x")
            };
            let expected = if operator == Operator::Exists {
                json!(true)
            } else {
                expected
            };
            let holds = Test::new(operator, Some(&expected)).expect(name).holds(None).ok();
            let decided = match operator {
                Operator::Exists => Some(false),
                Operator::NotEquals => Some(true),
                _ => None,
            };
            assert_eq!(holds, decided, "{name}");
            assert_eq!(operator.as_str(), name);
        }
    }

    #[test]
    fn values_must_fit_their_operator() {
        for (operator, expected) in [
            ("in", json!("abc")),
            ("exists", json!("yes")),
            ("starts_with", json!(1)),
            ("greater_than", json!([1])),
            ("matches", json!("(")),
            ("matches", json!("(((a{100}){100}){100})")),
            ("matches", json!("a".repeat(2000))),
        ] {
            let operator = Operator::parse(operator).expect(operator);
            assert!(Test::new(operator, Some(&expected)).is_err(), "{operator:?} {expected}");
            assert!(operator == Operator::Exists || Test::new(operator, None).is_err());
        }
    }
}
