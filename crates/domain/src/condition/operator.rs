//! The operators of a clause.

use super::{age, pattern};
use crate::{json, number::Number};
use chrono::TimeDelta;
use regex::Regex;
use serde_json::Value;
use std::cmp::Ordering;

const TABLE: [(Operator, &str); 17] = [
    (Operator::Equals, "equals"),
    (Operator::NotEquals, "not_equals"),
    (Operator::LessThan, "less_than"),
    (Operator::LessThanOrEqual, "less_than_or_equal"),
    (Operator::GreaterThan, "greater_than"),
    (Operator::GreaterThanOrEqual, "greater_than_or_equal"),
    (Operator::In, "in"),
    (Operator::NotIn, "not_in"),
    (Operator::Contains, "contains"),
    (Operator::NotContains, "not_contains"),
    (Operator::StartsWith, "starts_with"),
    (Operator::EndsWith, "ends_with"),
    (Operator::Matches, "matches"),
    (Operator::MatchesWildcard, "matches_wildcard"),
    (Operator::YoungerThan, "younger_than"),
    (Operator::OlderThan, "older_than"),
    (Operator::Exists, "exists"),
];

/// The names of all operators that compare one value.
pub const NAMES: [&str; TABLE.len()] = {
    let mut names = [""; TABLE.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = TABLE[i].1;
        i += 1;
    }
    names
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Equals,
    NotEquals,
    LessThan,
    LessThanOrEqual,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    NotIn,
    Contains,
    NotContains,
    StartsWith,
    EndsWith,
    Matches,
    MatchesWildcard,
    YoungerThan,
    OlderThan,
    Exists,
}

impl Operator {
    pub fn parse(name: &str) -> Option<Self> {
        let name = match name {
            "less_or_equal" => "less_than_or_equal",
            "greater_or_equal" => "greater_than_or_equal",
            other => other,
        };
        TABLE
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(operator, _)| *operator)
    }

    pub fn as_str(self) -> &'static str {
        TABLE
            .iter()
            .find(|(operator, _)| *operator == self)
            .map_or("", |(_, name)| name)
    }

    /// What surrounds the expected text in a regular expression.
    fn anchors(self) -> (&'static str, &'static str) {
        match self {
            Self::Contains | Self::NotContains => ("", ""),
            Self::StartsWith => (r"\A", ""),
            Self::EndsWith => ("", r"\z"),
            _ => (r"\A", r"\z"),
        }
    }

    /// Whether the operator compares texts, so that `ignore_case` means something.
    pub fn compares_text(self) -> bool {
        !matches!(
            self,
            Self::LessThan
                | Self::LessThanOrEqual
                | Self::GreaterThan
                | Self::GreaterThanOrEqual
                | Self::YoungerThan
                | Self::OlderThan
                | Self::Exists
        )
    }
}

/// An operator on the items of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantifier {
    Any,
    Every,
}

impl Quantifier {
    pub const NAMES: [&str; 2] = ["any_item", "every_item"];

    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "any_item" => Some(Self::Any),
            "every_item" => Some(Self::Every),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any_item",
            Self::Every => "every_item",
        }
    }
}

/// An operator with the value that it compares with.
#[derive(Debug)]
pub struct Test {
    pub operator: Operator,
    pub expected: Value,
    pub ignore_case: bool,
    /// A pattern, or the expected texts in any case.
    pattern: Option<Regex>,
    age: TimeDelta,
}

impl Test {
    /// The error fits after the name of the field `value`.
    pub fn new(operator: Operator, expected: Option<&Value>, ignore_case: bool) -> Result<Self, String> {
        let expected = match (operator, expected) {
            (Operator::Exists, None) => Value::Bool(true),
            (_, None) => return Err("is missing: what is the value compared with?".to_owned()),
            (_, Some(value)) => value.clone(),
        };
        let is_list = matches!(operator, Operator::In | Operator::NotIn);
        let texts = match &expected {
            Value::Array(items) if is_list => items.iter().map(Value::as_str).collect(),
            one => vec![one.as_str()],
        };
        let texts: Option<Vec<&str>> = texts.into_iter().collect();
        let (fits, needed) = match operator {
            Operator::In | Operator::NotIn if ignore_case => {
                (expected.is_array() && texts.is_some(), "a list of strings")
            }
            Operator::In | Operator::NotIn => (expected.is_array(), "a list"),
            Operator::Exists => (expected.is_boolean(), "true or false"),
            Operator::StartsWith | Operator::EndsWith | Operator::Matches | Operator::MatchesWildcard => {
                (expected.is_string(), "a string")
            }
            Operator::Equals | Operator::NotEquals | Operator::Contains | Operator::NotContains => {
                (!ignore_case || expected.is_string(), "a string")
            }
            Operator::YoungerThan | Operator::OlderThan => (true, ""),
            _ => (expected.is_number() || expected.is_string(), "a number or a string"),
        };
        if !fits {
            let option = if ignore_case { " with `ignore_case`" } else { "" };
            return Err(format!(
                "must be {needed} for `{}`{option}, not {}",
                operator.as_str(),
                json::kind(&expected)
            ));
        }
        let texts = texts.unwrap_or_default();
        let pattern = match (operator, texts.first()) {
            (Operator::Matches, Some(text)) => Some(pattern::of_user(text, str::to_owned, ignore_case)?),
            (Operator::MatchesWildcard, Some(text)) => Some(pattern::of_user(text, pattern::wildcard, ignore_case)?),
            (_, Some(_)) if ignore_case => Some(pattern::one_of(&texts, operator.anchors())?),
            _ => None,
        };
        let age = match operator {
            Operator::YoungerThan | Operator::OlderThan => age::parse(&expected)?,
            _ => TimeDelta::zero(),
        };
        Ok(Self {
            operator,
            expected,
            ignore_case,
            pattern,
            age,
        })
    }

    /// Whether it holds for this value of the event. An error explains why that cannot be decided.
    pub fn holds(&self, actual: Option<&Value>, event: &Value) -> Result<bool, String> {
        let Some(actual) = actual else {
            return match self.operator {
                Operator::Exists => Ok(self.expected == Value::Bool(false)),
                Operator::NotEquals => Ok(true),
                _ => Err("is missing in the event".to_owned()),
            };
        };
        match self.operator {
            Operator::Exists => Ok(self.expected == Value::Bool(true)),
            Operator::Equals => self.equals(actual),
            Operator::NotEquals => self.equals(actual).map(|equals| !equals),
            Operator::LessThan => self.order(actual).map(Ordering::is_lt),
            Operator::LessThanOrEqual => self.order(actual).map(Ordering::is_le),
            Operator::GreaterThan => self.order(actual).map(Ordering::is_gt),
            Operator::GreaterThanOrEqual => self.order(actual).map(Ordering::is_ge),
            Operator::In => self.is_in(actual),
            Operator::NotIn => self.is_in(actual).map(|is_in| !is_in),
            Operator::Contains => self.contained_in(actual),
            Operator::NotContains => self.contained_in(actual).map(|contained| !contained),
            Operator::StartsWith => self.text(actual, |text, start| text.starts_with(start)),
            Operator::EndsWith => self.text(actual, |text, end| text.ends_with(end)),
            Operator::Matches | Operator::MatchesWildcard => self.text(actual, |_, _| false),
            Operator::YoungerThan => Ok(age::of(actual, event)? < self.age),
            Operator::OlderThan => Ok(age::of(actual, event)? > self.age),
        }
    }

    fn order(&self, actual: &Value) -> Result<Ordering, String> {
        match (actual, &self.expected) {
            (Value::Number(a), Value::Number(b)) => Ok(compare(a, b)),
            (Value::String(a), Value::String(b)) => Ok(a.as_str().cmp(b)),
            _ => Err(self.unfit(actual, json::kind(&self.expected))),
        }
    }

    fn equals(&self, actual: &Value) -> Result<bool, String> {
        if self.ignore_case {
            self.text(actual, str::eq)
        } else {
            Ok(equal(actual, &self.expected))
        }
    }

    fn is_in(&self, actual: &Value) -> Result<bool, String> {
        match &self.expected {
            Value::Array(list) if !self.ignore_case => Ok(list.iter().any(|item| equal(item, actual))),
            _ => self.text(actual, |_, _| false),
        }
    }

    fn contained_in(&self, actual: &Value) -> Result<bool, String> {
        match (actual, &self.expected) {
            (Value::String(_), Value::String(_)) => self.text(actual, |text, part| text.contains(part)),
            (Value::Array(items), part) => Ok(items.iter().any(|item| match item.as_str() {
                Some(item) if self.ignore_case => self.is_all_of(item),
                _ => equal(item, part),
            })),
            (Value::Object(entries), Value::String(_)) if self.ignore_case => {
                Ok(entries.keys().any(|key| self.is_all_of(key)))
            }
            (Value::Object(entries), Value::String(key)) => Ok(entries.contains_key(key)),
            _ => Err(self.unfit(actual, "a string with a string, a list, or an object with a name")),
        }
    }

    /// Whether the pattern of a text that may be contained covers this one.
    fn is_all_of(&self, text: &str) -> bool {
        let found = self.pattern.as_ref().and_then(|pattern| pattern.find(text));
        found.is_some_and(|found| found.range() == (0..text.len()))
    }

    /// A comparison of two texts: by the pattern if there is one.
    fn text(&self, actual: &Value, compare: fn(&str, &str) -> bool) -> Result<bool, String> {
        match (actual, &self.pattern, &self.expected) {
            (Value::String(actual), Some(pattern), _) => Ok(pattern.is_match(actual)),
            (Value::String(actual), None, Value::String(expected)) => Ok(compare(actual, expected)),
            (Value::String(_), None, _) => Ok(false),
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
mod tests;
