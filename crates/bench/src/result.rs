//! The results: numbers with their units, their floor, and their goal.

use crate::progress;
use serde::Serialize;
use std::collections::BTreeMap;

/// Everything one run found out, in the order in which it was measured.
#[derive(Debug, Default, Serialize)]
pub struct Results {
    pub measures: Vec<Measure>,
    /// A remark about a suite.
    pub notes: Vec<Note>,
    /// Milliseconds at percentiles, for plots.
    pub distributions: BTreeMap<String, Vec<(f64, f64)>>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Measure {
    pub suite: &'static str,
    pub name: String,
    pub value: f64,
    pub unit: &'static str,
    /// How often it was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<Floor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Option<Goal>,
}

/// What the same machine does at best, measured in the same run.
#[derive(Debug, Clone, Serialize)]
pub struct Floor {
    pub name: String,
    pub value: f64,
    /// The measure divided by the floor.
    pub ratio: f64,
}

#[derive(Debug, Clone, Serialize)]
pub struct Goal {
    pub text: String,
    pub met: bool,
    /// The measure divided by the limit.
    pub of_limit: f64,
}

#[derive(Debug, Clone, Serialize)]
pub struct Note {
    pub suite: &'static str,
    pub text: String,
}

impl Measure {
    pub fn new(suite: &'static str, name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            suite,
            name: name.into(),
            value,
            unit,
            samples: None,
            floor: None,
            goal: None,
        }
    }

    pub fn samples(mut self, samples: u64) -> Self {
        self.samples = Some(samples);
        self
    }

    pub fn relative_to(mut self, name: impl Into<String>, floor: f64) -> Self {
        self.floor = Some(Floor {
            name: name.into(),
            value: floor,
            ratio: self.value / floor,
        });
        self
    }

    pub fn at_most(self, limit: f64, text: impl Into<String>) -> Self {
        let met = self.value <= limit;
        self.with_goal(limit, met, text)
    }

    pub fn at_least(self, limit: f64, text: impl Into<String>) -> Self {
        let met = self.value >= limit;
        self.with_goal(limit, met, text)
    }

    fn with_goal(mut self, limit: f64, met: bool, text: impl Into<String>) -> Self {
        self.goal = Some(Goal {
            text: text.into(),
            met,
            of_limit: if limit == 0.0 {
                f64::from(u8::from(!met))
            } else {
                self.value / limit
            },
        });
        self
    }
}

impl Results {
    pub fn add(&mut self, measure: Measure) {
        progress::show(&format!("  {}: {}", measure.name, number(measure.value, measure.unit)));
        self.measures.push(measure);
    }

    pub fn note(&mut self, suite: &'static str, text: impl Into<String>) {
        self.notes.push(Note {
            suite,
            text: text.into(),
        });
    }

    /// A measure of this run, once it was taken.
    pub fn value(&self, suite: &str, name: &str) -> Option<f64> {
        let mut found = self.measures.iter().filter(|m| m.suite == suite && m.name == name);
        found.next_back().map(|measure| measure.value)
    }
}

/// With three digits that mean something, and its unit.
pub fn number(value: f64, unit: &str) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        0.0 => 0,
        _ => 2,
    };
    let text = grouped(&format!("{value:.digits$}"));
    if unit.is_empty() {
        text
    } else {
        format!("{text} {unit}")
    }
}

/// 12345 → 12,345.
fn grouped(number: &str) -> String {
    let (whole, rest) = number
        .split_once('.')
        .map_or((number, None), |(whole, rest)| (whole, Some(rest)));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut text = sign.to_owned();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if let Some(rest) = rest {
        text.push('.');
        text.push_str(rest);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        let cases = [
            (0.0, "/s", "0 /s"),
            (0.123_4, "ms", "0.12 ms"),
            (12.34, "ms", "12.3 ms"),
            (1_234_567.8, "", "1,234,568"),
            (-1_234.0, "B", "-1,234 B"),
        ];
        for (value, unit, expected) in cases {
            assert_eq!(number(value, unit), expected);
        }
    }

    #[test]
    fn a_goal_includes_the_distance_to_it() {
        let late = Measure::new("latency", "p50", 15.0, "ms")
            .at_most(5.0, "≤ 5 ms")
            .goal
            .unwrap();
        assert!(!late.met);
        assert!((late.of_limit - 3.0).abs() < 1e-9);
        assert!(
            Measure::new("floors", "rate", 10.0, "/s")
                .at_least(10.0, "≥ 10")
                .goal
                .unwrap()
                .met
        );
    }
}
