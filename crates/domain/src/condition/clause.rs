//! A clause: compares one value of the event.

use super::{
    operator::Test,
    path::Path,
    truth::{Facts, Obstacle, Truth},
    verdict::Clause,
};
use serde_json::{Value, json};

#[derive(Debug)]
pub struct Leaf {
    pub path: Path,
    pub test: Test,
    pub missing: Option<WhenMissing>,
}

/// The result of a clause where the event has no value at its path. Without it, `exists` and `not_equals` decide and
/// the others leave the condition open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenMissing {
    Holds(bool),
    Fail,
}

impl WhenMissing {
    pub fn parse(value: &Value) -> Result<Self, String> {
        match value {
            Value::Bool(holds) => Ok(Self::Holds(*holds)),
            Value::String(word) if word == "fail" => Ok(Self::Fail),
            _ => Err(
                "must be false (the clause does not hold), true (it holds) or \"fail\" (the enforcement fails)"
                    .to_owned(),
            ),
        }
    }

    pub fn to_json(self) -> Value {
        match self {
            Self::Holds(holds) => holds.into(),
            Self::Fail => "fail".into(),
        }
    }
}

impl Leaf {
    pub fn truth(&self, facts: &Facts<'_>) -> Truth {
        let actual = facts.find(&self.path);
        let decided = match (actual, self.missing) {
            (None, Some(WhenMissing::Holds(holds))) => Ok(holds),
            (None, Some(WhenMissing::Fail)) => Err("is missing in the event".to_owned()),
            _ => self.test.holds(actual, facts.event),
        };
        match decided {
            Ok(true) => Truth::True(None),
            Ok(false) => Truth::False(Clause {
                operator: self.test.operator.as_str().to_owned(),
                expected: self.test.expected.clone(),
                missing: actual.is_none() && self.missing.is_some(),
                ..Clause::of(self.path.text.clone(), actual)
            }),
            Err(message) => Truth::Open(Obstacle {
                at: String::new(),
                path: self.path.text.clone(),
                message,
            }),
        }
    }

    pub fn to_json(&self) -> Value {
        let mut clause =
            json!({"path": self.path.text, "operator": self.test.operator.as_str(), "value": self.test.expected});
        if self.test.ignore_case {
            clause["ignore_case"] = true.into();
        }
        if let Some(missing) = self.missing {
            clause["missing"] = missing.to_json();
        }
        clause
    }
}
