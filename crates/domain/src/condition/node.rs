//! The operator list as a tree.

use super::{
    clause::{Leaf, WhenMissing},
    operator::Quantifier,
    path::Path,
    truth::{Facts, Obstacle, Truth},
    verdict::{Clause, ConditionError, ROOT, Verdict},
};
use crate::json::{self, join_path};
use serde_json::{Value, json};
use std::{cell::Cell, slice};

/// How many items a list may have.
const ITEMS_MAX: usize = 10_000;

/// How many clauses one evaluation may visit: lists in lists multiply.
const STEPS_MAX: u32 = 1_000_000;

#[derive(Debug)]
pub enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Items(Items),
    Leaf(Leaf),
}

/// `any_item` and `every_item`: a condition on the items of a list.
///
/// Inside, `item` is the item. An object counts as a list with one item, because JSON converted from XML has no list around a
/// single element.
#[derive(Debug)]
pub struct Items {
    pub path: Path,
    pub quantifier: Quantifier,
    pub node: Box<Node>,
    pub missing: Option<WhenMissing>,
}

impl Node {
    pub fn evaluate(&self, event: &Value) -> Result<Verdict, ConditionError> {
        let steps = Cell::new(0);
        match self.truth(&Facts::new(event, &steps)) {
            Truth::True(_) => Ok(Verdict::Holds),
            Truth::False(clause) => Ok(Verdict::Fails(Box::new(clause))),
            Truth::Open(Obstacle { at, path, message }) => Err(ConditionError {
                path: join_path(ROOT, &at).trim_end_matches('.').to_owned(),
                message: format!("cannot be decided: {path} {message}"),
            }),
        }
    }

    pub fn truth(&self, facts: &Facts<'_>) -> Truth {
        if facts.count_step() > STEPS_MAX {
            return Truth::Open(Obstacle {
                at: String::new(),
                path: self.path(),
                message: format!("takes more than {STEPS_MAX} steps"),
            });
        }
        match self {
            Self::All(nodes) => all(nodes, facts),
            Self::Any(nodes) => any(nodes, facts),
            Self::Not(node) => match node.truth(facts) {
                Truth::True(item) => Truth::False(Clause {
                    operator: "not".to_owned(),
                    expected: node.to_json(),
                    at: "not".to_owned(),
                    ..node.decided_by(item, facts)
                }),
                Truth::False(_) => Truth::True(None),
                open @ Truth::Open(_) => open.inside("not"),
            },
            Self::Items(items) => items.truth(facts),
            Self::Leaf(leaf) => leaf.truth(facts),
        }
    }

    fn path(&self) -> String {
        match self {
            Self::Leaf(leaf) => leaf.path.text.clone(),
            Self::Items(items) => items.path.text.clone(),
            _ => String::new(),
        }
    }

    /// The path and the value that made this node true.
    fn decided_by(&self, item: Option<usize>, facts: &Facts<'_>) -> Clause {
        match (self, item) {
            (Self::Leaf(leaf), _) => Clause::of(leaf.path.text.clone(), facts.find(&leaf.path)),
            (Self::Items(items), Some(index)) => {
                let list = facts.find(&items.path);
                let item = list.map(|list| list.get(index).unwrap_or(list));
                Clause::of(items.path_of(list, index), item)
            }
            (Self::Items(items), None) => Clause::of(items.path.text.clone(), facts.find(&items.path)),
            _ => Clause::of(String::new(), Some(&Value::Bool(true))),
        }
    }

    pub fn to_json(&self) -> Value {
        let list = |nodes: &[Self]| nodes.iter().map(Self::to_json).collect::<Vec<_>>();
        match self {
            Self::All(nodes) => json!({"all": list(nodes)}),
            Self::Any(nodes) => json!({"any": list(nodes)}),
            Self::Not(node) => json!({"not": node.to_json()}),
            Self::Items(items) => items.to_json(),
            Self::Leaf(leaf) => leaf.to_json(),
        }
    }
}

fn all(nodes: &[Node], facts: &Facts<'_>) -> Truth {
    let mut open = None;
    for (i, node) in nodes.iter().enumerate() {
        match node.truth(facts) {
            Truth::True(_) => {}
            other => match other.inside(&format!("all[{i}]")) {
                Truth::Open(obstacle) => open = open.or(Some(obstacle)),
                decided => return decided,
            },
        }
    }
    open.map_or(Truth::True(None), Truth::Open)
}

fn any(nodes: &[Node], facts: &Facts<'_>) -> Truth {
    let mut open = None;
    let mut failed = Vec::new();
    for (i, node) in nodes.iter().enumerate() {
        match node.truth(facts).inside(&format!("any[{i}]")) {
            Truth::True(_) => return Truth::True(None),
            Truth::False(clause) => failed.push(clause),
            Truth::Open(obstacle) => open = open.or(Some(obstacle)),
        }
    }
    if let Some(obstacle) = open {
        return Truth::Open(obstacle);
    }
    match <[Clause; 1]>::try_from(failed) {
        Ok([only]) => Truth::False(only),
        Err(failed) => Truth::False(Clause {
            path: String::new(),
            operator: "any".to_owned(),
            expected: nodes.iter().map(Node::to_json).collect(),
            actual: failed.into_iter().map(|clause| clause.actual).collect(),
            at: "any".to_owned(),
            missing: false,
        }),
    }
}

impl Items {
    pub fn truth(&self, facts: &Facts<'_>) -> Truth {
        let actual = facts.find(&self.path);
        let items = match (actual, self.missing) {
            (Some(Value::Array(items)), _) if items.len() > ITEMS_MAX => {
                return self.open(format!("has {} items; at most {ITEMS_MAX} are evaluated", items.len()));
            }
            (Some(Value::Array(items)), _) => items.as_slice(),
            (Some(one @ Value::Object(_)), _) => slice::from_ref(one),
            (Some(other), _) => {
                let kind = json::kind(other);
                return self.open(format!("is {kind}, but `{}` needs a list", self.quantifier.as_str()));
            }
            (None, Some(WhenMissing::Holds(true))) => return Truth::True(None),
            (None, Some(WhenMissing::Holds(false))) => return self.not_satisfied(facts, true),
            (None, _) => return self.open("is missing in the event".to_owned()),
        };
        let mut open = None;
        for (i, item) in items.iter().enumerate() {
            match (self.node.truth(&facts.inside(item)), self.quantifier) {
                (Truth::True(_), Quantifier::Any) => return Truth::True(Some(i)),
                (Truth::False(clause), Quantifier::Every) => {
                    return Truth::False(Clause {
                        path: self.resolved(&clause.path, actual, i),
                        ..clause
                    })
                    .inside("value");
                }
                (Truth::Open(obstacle), _) if open.is_none() => {
                    let path = self.resolved(&obstacle.path, actual, i);
                    open = Some(Truth::Open(Obstacle { path, ..obstacle }).inside("value"));
                }
                _ => {}
            }
        }
        match (open, self.quantifier) {
            (Some(open), _) => open,
            (None, Quantifier::Every) => Truth::True(None),
            (None, Quantifier::Any) => self.not_satisfied(facts, false),
        }
    }

    fn not_satisfied(&self, facts: &Facts<'_>, missing: bool) -> Truth {
        Truth::False(Clause {
            operator: self.quantifier.as_str().to_owned(),
            expected: self.node.to_json(),
            missing,
            ..Clause::of(self.path.text.clone(), facts.find(&self.path))
        })
    }

    fn open(&self, message: String) -> Truth {
        Truth::Open(Obstacle {
            at: String::new(),
            path: self.path.text.clone(),
            message,
        })
    }

    /// The path of the item with this index: `event.payload.alerts[3]`.
    pub fn path_of(&self, actual: Option<&Value>, index: usize) -> String {
        match actual {
            Some(Value::Array(_)) => format!("{}[{index}]", self.path.text),
            _ => self.path.text.clone(),
        }
    }

    /// A path that starts at `item`, from the event.
    fn resolved(&self, path: &str, actual: Option<&Value>, index: usize) -> String {
        match path.strip_prefix("item") {
            Some(rest) => format!("{}{rest}", self.path_of(actual, index)),
            None => path.to_owned(),
        }
    }

    pub fn to_json(&self) -> Value {
        let mut clause =
            json!({"path": self.path.text, "operator": self.quantifier.as_str(), "value": self.node.to_json()});
        if let Some(missing) = self.missing {
            clause["missing"] = missing.to_json();
        }
        clause
    }
}
