//! Compiles the operator list, and reports everything that is wrong with it.

use super::{
    clause::{Leaf, WhenMissing},
    node::{Items, Node},
    operator::{NAMES, Operator, Quantifier, Test},
    path::Path,
};
use crate::{
    FieldErrors,
    json::{self, join_path},
};
use serde_json::{Map, Value};

const DEPTH_MAX: usize = 16;
/// How many clauses a condition may have.
pub const CLAUSES_MAX: usize = 256;
const SHAPE: &str = "must be an object with `all`, `any`, `not`, or `path`, `operator` and `value`";
const FIELDS: [&str; 5] = ["path", "operator", "value", "missing", "ignore_case"];

impl Node {
    pub fn compile(value: &Value, root: &str) -> Result<Self, FieldErrors> {
        let mut compiler = Compiler::default();
        let node = compiler.node(value, root, 0);
        compiler.errors.into_result()?;
        node.ok_or_else(|| FieldErrors::one(root, SHAPE))
    }
}

#[derive(Default)]
struct Compiler {
    clauses: usize,
    /// How many `any_item` and `every_item` surround the current node.
    lists: usize,
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
                _ => self.leaf(entries, path, depth),
            },
            _ => self.leaf(entries, path, depth),
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

    fn leaf(&mut self, entries: &Map<String, Value>, path: &str, depth: usize) -> Option<Node> {
        if !entries.contains_key("path") && !entries.contains_key("operator") {
            self.errors.add(path, SHAPE);
            return None;
        }
        for key in entries.keys().filter(|key| !FIELDS.contains(&key.as_str())) {
            self.errors.add(
                join_path(path, key),
                "is unknown: a clause has `path`, `operator`, `value` and, if needed, `missing` and `ignore_case`",
            );
        }
        let inside_items = self.lists > 0;
        let parse = |text: &str| Path::parse(text, inside_items);
        let address = self.part(entries.get("path"), &format!("{path}.path"), parse);
        let name = self.part(entries.get("operator"), &format!("{path}.operator"), |name| {
            Name::parse(name).ok_or_else(|| {
                let names = [NAMES.as_slice(), &Quantifier::NAMES].concat();
                format!("is {name:?}: there are {}", names.join(", "))
            })
        })?;
        let missing = self.missing(entries.get("missing"), name, path);
        let ignore_case = self.ignore_case(entries.get("ignore_case"), name, path);
        let node = match name {
            Name::Quantifier(quantifier) => {
                let node = self.inner(entries.get("value"), &format!("{path}.value"), depth);
                Node::Items(Items {
                    path: address?,
                    quantifier,
                    node: Box::new(node?),
                    missing: missing.ok()?,
                })
            }
            Name::Operator(operator) => {
                let test = Test::new(operator, entries.get("value"), ignore_case.unwrap_or_default());
                let test = test.map_err(|message| self.errors.add(format!("{path}.value"), message));
                Node::Leaf(Leaf {
                    path: address?,
                    test: test.ok()?,
                    missing: missing.ok()?,
                })
            }
        };
        ignore_case.map(|_| node)
    }

    /// The condition on an item.
    fn inner(&mut self, value: Option<&Value>, path: &str, depth: usize) -> Option<Node> {
        let Some(value) = value else {
            self.errors.add(path, "is missing: what must be true of an item?");
            return None;
        };
        self.lists += 1;
        let node = self.node(value, path, depth + 1);
        self.lists -= 1;
        node
    }

    fn missing(&mut self, value: Option<&Value>, name: Name, path: &str) -> Result<Option<WhenMissing>, Reported> {
        let parsed = match (value, name) {
            (None, _) => return Ok(None),
            (Some(_), Name::Operator(Operator::Exists)) => {
                Err("has no meaning for `exists`, which itself decides whether the path is there".to_owned())
            }
            (Some(value), _) => WhenMissing::parse(value),
        };
        let parsed = parsed.map_err(|message| self.errors.add(format!("{path}.missing"), message));
        parsed.map(Some).map_err(|()| Reported)
    }

    fn ignore_case(&mut self, value: Option<&Value>, name: Name, path: &str) -> Option<bool> {
        let parsed = match (value, name) {
            (None, _) => return Some(false),
            (Some(Value::Bool(false)), _) => Ok(false),
            (Some(Value::Bool(true)), Name::Operator(operator)) if operator.compares_text() => Ok(true),
            (Some(Value::Bool(true)), _) => Err(format!("has no meaning for `{}`", name.as_str())),
            (Some(other), _) => Err(format!("must be true or false, not {}", json::kind(other))),
        };
        parsed
            .map_err(|message| self.errors.add(format!("{path}.ignore_case"), message))
            .ok()
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

/// An error that the compiler has noted.
struct Reported;

/// The value of `operator`.
#[derive(Clone, Copy)]
enum Name {
    Operator(Operator),
    Quantifier(Quantifier),
}

impl Name {
    fn parse(name: &str) -> Option<Self> {
        let quantifier = Quantifier::parse(name).map(Self::Quantifier);
        quantifier.or_else(|| Operator::parse(name).map(Self::Operator))
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Operator(operator) => operator.as_str(),
            Self::Quantifier(quantifier) => quantifier.as_str(),
        }
    }
}
