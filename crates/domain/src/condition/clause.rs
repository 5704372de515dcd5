//! The operator list: compiled to a tree, evaluated to true, false or open.

use super::{
    operator::{NAMES, Operator, Test},
    path::Path,
    verdict::{Clause, ConditionError, ROOT, Verdict},
};
use crate::{
    FieldErrors,
    json::{self, join_path},
};
use serde_json::{Map, Value, json};

const DEPTH_MAX: usize = 16;
/// How many clauses a condition may have.
pub const CLAUSES_MAX: usize = 256;
const SHAPE: &str = "must be an object with `all`, `any`, `not`, or `path`, `operator` and `value`";

#[derive(Debug)]
pub enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Leaf(Leaf),
}

#[derive(Debug)]
pub struct Leaf {
    path: Path,
    test: Test,
    missing: Option<WhenMissing>,
}

/// The result of a clause where the event has no value at its path. Without it, `exists` and `not_equals` decide and
/// the others leave the condition open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhenMissing {
    Holds(bool),
    Fail,
}

impl WhenMissing {
    fn parse(value: &Value, operator: Operator) -> Result<Self, String> {
        if operator == Operator::Exists {
            return Err("has no meaning for `exists`, which itself decides whether the path is there".to_owned());
        }
        match value {
            Value::Bool(holds) => Ok(Self::Holds(*holds)),
            Value::String(word) if word == "fail" => Ok(Self::Fail),
            _ => Err(
                "must be false (the clause does not hold), true (it holds) or \"fail\" (the enforcement fails)"
                    .to_owned(),
            ),
        }
    }

    fn to_json(self) -> Value {
        match self {
            Self::Holds(holds) => holds.into(),
            Self::Fail => "fail".into(),
        }
    }
}

impl Leaf {
    fn truth(&self, event: &Value) -> Truth {
        let actual = self.path.find(event);
        let decided = match (actual, self.missing) {
            (None, Some(WhenMissing::Holds(holds))) => Ok(holds),
            (None, Some(WhenMissing::Fail)) => Err("is missing in the event".to_owned()),
            _ => self.test.holds(actual),
        };
        match decided {
            Ok(true) => Truth::True,
            Ok(false) => Truth::False(Clause {
                path: self.path.text.clone(),
                operator: self.test.operator.as_str().to_owned(),
                expected: self.test.expected.clone(),
                actual: actual.cloned().unwrap_or_default(),
                at: String::new(),
                missing: actual.is_none() && self.missing.is_some(),
            }),
            Err(message) => Truth::Open(
                String::new(),
                format!("cannot be decided: {} {message}", self.path.text),
            ),
        }
    }

    fn to_json(&self) -> Value {
        let mut clause =
            json!({"path": self.path.text, "operator": self.test.operator.as_str(), "value": self.test.expected});
        if let Some(missing) = self.missing {
            clause["missing"] = missing.to_json();
        }
        clause
    }
}

/// The result of a node. `False` has the clause with its position, which is composed from the inside out.
enum Truth {
    True,
    False(Clause),
    /// The position and the obstacle.
    Open(String, String),
}

impl Node {
    pub fn compile(value: &Value, root: &str) -> Result<Self, FieldErrors> {
        let mut compiler = Compiler::default();
        let node = compiler.node(value, root, 0);
        compiler.errors.into_result()?;
        node.ok_or_else(|| FieldErrors::one(root, SHAPE))
    }

    pub fn evaluate(&self, event: &Value) -> Result<Verdict, ConditionError> {
        match self.truth(event) {
            Truth::True => Ok(Verdict::Holds),
            Truth::False(clause) => Ok(Verdict::Fails(Box::new(clause))),
            Truth::Open(at, message) => Err(ConditionError {
                path: join_path(ROOT, &at).trim_end_matches('.').to_owned(),
                message,
            }),
        }
    }

    fn truth(&self, event: &Value) -> Truth {
        match self {
            Self::All(nodes) => {
                let mut open = None;
                for (i, node) in nodes.iter().enumerate() {
                    match node.truth(event).inside(&format!("all[{i}]")) {
                        Truth::True => {}
                        Truth::False(clause) => return Truth::False(clause),
                        Truth::Open(at, message) => open = open.or(Some((at, message))),
                    }
                }
                open.map_or(Truth::True, |(at, message)| Truth::Open(at, message))
            }
            Self::Any(nodes) => any(nodes, event),
            Self::Not(node) => match node.truth(event) {
                Truth::True => Truth::False(Clause {
                    path: node.path(),
                    operator: "not".to_owned(),
                    expected: node.to_json(),
                    actual: node.actual(event),
                    at: "not".to_owned(),
                    missing: false,
                }),
                Truth::False(_) => Truth::True,
                open @ Truth::Open(..) => open.inside("not"),
            },
            Self::Leaf(leaf) => leaf.truth(event),
        }
    }

    fn path(&self) -> String {
        match self {
            Self::Leaf(leaf) => leaf.path.text.clone(),
            _ => String::new(),
        }
    }

    fn actual(&self, event: &Value) -> Value {
        match self {
            Self::Leaf(leaf) => leaf.path.find(event).cloned().unwrap_or_default(),
            _ => Value::Bool(true),
        }
    }

    fn to_json(&self) -> Value {
        let list = |nodes: &[Node]| nodes.iter().map(Node::to_json).collect::<Vec<_>>();
        match self {
            Self::All(nodes) => json!({"all": list(nodes)}),
            Self::Any(nodes) => json!({"any": list(nodes)}),
            Self::Not(node) => json!({"not": node.to_json()}),
            Self::Leaf(leaf) => leaf.to_json(),
        }
    }
}

fn any(nodes: &[Node], event: &Value) -> Truth {
    let mut open = None;
    let mut failed = Vec::new();
    for (i, node) in nodes.iter().enumerate() {
        match node.truth(event).inside(&format!("any[{i}]")) {
            Truth::True => return Truth::True,
            Truth::False(clause) => failed.push(clause),
            Truth::Open(at, message) => open = open.or(Some((at, message))),
        }
    }
    if let Some((at, message)) = open {
        return Truth::Open(at, message);
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

impl Truth {
    /// Puts the place of the parent's part in front.
    fn inside(self, part: &str) -> Self {
        match self {
            Self::True => Self::True,
            Self::False(clause) => Self::False(Clause {
                at: prefix(part, &clause.at),
                ..clause
            }),
            Self::Open(at, message) => Self::Open(prefix(part, &at), message),
        }
    }
}

fn prefix(part: &str, at: &str) -> String {
    if at.is_empty() {
        part.to_owned()
    } else {
        format!("{part}.{at}")
    }
}

#[derive(Default)]
struct Compiler {
    clauses: usize,
    errors: FieldErrors,
}

impl Compiler {
    fn node(&mut self, value: &Value, path: &str, depth: usize) -> Option<Node> {
        self.clauses += 1;
        if depth > DEPTH_MAX || self.clauses > CLAUSES_MAX {
            // Reported once; the following parts would only repeat it.
            if self.clauses <= CLAUSES_MAX + 1 {
                let message = format!("is too large: at most {CLAUSES_MAX} clauses and {DEPTH_MAX} levels are allowed");
                self.errors.add(path, message);
            }
            return None;
        }
        let Some(entries) = value.as_object() else {
            self.errors.add(path, format!("{SHAPE}, not {}", json::kind(value)));
            return None;
        };
        let mut keys = entries.iter();
        match (keys.next(), keys.next()) {
            (Some((key, inner)), None) => match key.as_str() {
                "all" => self.list(inner, &format!("{path}.all"), depth).map(Node::All),
                "any" => self.list(inner, &format!("{path}.any"), depth).map(Node::Any),
                "not" => self
                    .node(inner, &format!("{path}.not"), depth + 1)
                    .map(|node| Node::Not(Box::new(node))),
                _ => self.leaf(entries, path),
            },
            _ => self.leaf(entries, path),
        }
    }

    fn list(&mut self, value: &Value, path: &str, depth: usize) -> Option<Vec<Node>> {
        let Some(items) = value.as_array().filter(|items| !items.is_empty()) else {
            self.errors.add(path, "must be a list with at least one clause");
            return None;
        };
        let mut nodes = Vec::new();
        for (i, item) in items.iter().enumerate() {
            nodes.extend(self.node(item, &format!("{path}[{i}]"), depth + 1));
        }
        (nodes.len() == items.len()).then_some(nodes)
    }

    fn leaf(&mut self, entries: &Map<String, Value>, path: &str) -> Option<Node> {
        if !entries.contains_key("path") && !entries.contains_key("operator") {
            self.errors.add(path, SHAPE);
            return None;
        }
        for key in entries
            .keys()
            .filter(|key| !["path", "operator", "value", "missing"].contains(&key.as_str()))
        {
            self.errors.add(
                join_path(path, key),
                "is unknown: a clause has `path`, `operator`, `value` and, for a path that is not there, `missing`",
            );
        }
        let address = self.part(entries.get("path"), &format!("{path}.path"), Path::parse);
        let operator = self.part(entries.get("operator"), &format!("{path}.operator"), |name| {
            Operator::parse(name).ok_or_else(|| format!("is {name:?}: there are {}", NAMES.join(", ")))
        });
        let operator = operator?;
        let missing = entries.get("missing").map(|value| WhenMissing::parse(value, operator));
        let missing = missing.transpose();
        let missing = missing.map_err(|message| self.errors.add(format!("{path}.missing"), message));
        let test = match Test::new(operator, entries.get("value")) {
            Ok(test) => test,
            Err(message) => {
                self.errors.add(format!("{path}.value"), message);
                return None;
            }
        };
        Some(Node::Leaf(Leaf {
            path: address?,
            test,
            missing: missing.ok()?,
        }))
    }

    fn part<T>(
        &mut self,
        value: Option<&Value>,
        path: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let parsed = match value {
            Some(Value::String(text)) => parse(text),
            Some(other) => Err(format!("must be a string, not {}", json::kind(other))),
            None => Err("is missing".to_owned()),
        };
        parsed.map_err(|message| self.errors.add(path, message)).ok()
    }
}
