//! An expression as a tree.

use super::{arguments::Function, compare::Comparison, value::Value};
use crate::number::Number;
use regex::Regex;
use std::ops::Range;

#[derive(Debug)]
pub struct Expr {
    pub kind: Kind,
    /// Where it is written.
    pub range: Range<usize>,
}

#[derive(Debug)]
pub enum Kind {
    Constant(Constant),
    Root(Root),
    Get(Box<Expr>, Key),
    Slice(Box<Expr>, [Option<Box<Expr>>; 3]),
    Negate(Box<Expr>),
    Not(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Calculate(Operation, Box<Expr>, Box<Expr>),
    /// `a < b <= c` holds when each pair does.
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    If {
        condition: Box<Expr>,
        then: Box<Expr>,
        otherwise: Option<Box<Expr>>,
    },
    List(Vec<Expr>),
    Object(Vec<(Expr, Expr)>),
    /// A filter, a test or a method.
    Call(Box<Expr>, Box<Call>),
}

/// A function with its arguments, one for each parameter.
#[derive(Debug)]
pub struct Call {
    pub function: &'static Function,
    pub arguments: Vec<Option<Expr>>,
    pub inner: Option<Box<Call>>,
    pub pattern: Option<Regex>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    Event,
    Rule,
    Parameters,
}

#[derive(Debug)]
pub enum Key {
    Name(String),
    Index(i64),
    Computed(Box<Expr>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    DivideDown,
    Remainder,
    Power,
    Join,
}

impl Operation {
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::DivideDown => "//",
            Self::Remainder => "%",
            Self::Power => "**",
            Self::Join => "~",
        }
    }

    pub fn needed(self) -> &'static str {
        match self {
            Self::Add => "two numbers, two strings or two lists",
            _ => "two numbers",
        }
    }

    /// Can an operand have this type?
    pub fn takes(self, operand: &Value<'_>) -> bool {
        matches!(
            (self, operand),
            (Self::Join, _) | (_, Value::Number(_)) | (Self::Add, Value::Text(_) | Value::List(_))
        )
    }
}

impl Call {
    /// All expressions among its arguments.
    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        let inner = self.inner.iter().flat_map(|inner| inner.arguments.iter().flatten());
        self.arguments.iter().flatten().chain(inner)
    }
}

impl Root {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Rule => "rule",
            Self::Parameters => "parameters",
        }
    }
}

impl Expr {
    /// The names that it follows from a root: `event.payload['a'][0]`. Nothing for any other expression.
    pub fn path(&self) -> Option<Vec<String>> {
        match &self.kind {
            Kind::Root(root) => Some(vec![root.as_str().to_owned()]),
            Kind::Get(of, key) => {
                let mut path = of.path()?;
                path.push(match key {
                    Key::Name(name) => name.clone(),
                    Key::Index(index) => index.to_string(),
                    Key::Computed(_) => return None,
                });
                Some(path)
            }
            _ => None,
        }
    }

    /// Every path in it, in the order in which they are written.
    pub fn paths(&self) -> Vec<Vec<String>> {
        let mut paths = Vec::new();
        self.visit(&mut |expr| {
            let path = expr.path();
            let found = path.is_some();
            paths.extend(path);
            !found
        });
        paths
    }

    /// The path of the member that is written at this place.
    pub fn path_at(&self, range: &Range<usize>) -> Option<Vec<String>> {
        let mut path = None;
        self.visit(&mut |expr| {
            if matches!(expr.kind, Kind::Get(..)) && expr.range == *range {
                path = expr.path();
            }
            path.is_none()
        });
        path
    }

    /// Visits the tree from the outside in. Does not descend where `enter` returns false.
    pub fn visit(&self, enter: &mut impl FnMut(&Self) -> bool) {
        if !enter(self) {
            return;
        }
        match &self.kind {
            Kind::Constant(_) | Kind::Root(_) => {}
            Kind::Get(of, key) => {
                of.visit(enter);
                if let Key::Computed(key) = key {
                    key.visit(enter);
                }
            }
            Kind::Slice(of, bounds) => {
                of.visit(enter);
                bounds.iter().flatten().for_each(|bound| bound.visit(enter));
            }
            Kind::Negate(of) | Kind::Not(of) => of.visit(enter),
            Kind::And(a, b) | Kind::Or(a, b) | Kind::Calculate(_, a, b) => {
                a.visit(enter);
                b.visit(enter);
            }
            Kind::Compare(first, rest) => {
                first.visit(enter);
                for (_, next) in rest {
                    next.visit(enter);
                }
            }
            Kind::If {
                condition,
                then,
                otherwise,
            } => {
                then.visit(enter);
                condition.visit(enter);
                if let Some(otherwise) = otherwise {
                    otherwise.visit(enter);
                }
            }
            Kind::List(items) => {
                for item in items {
                    item.visit(enter);
                }
            }
            Kind::Object(entries) => {
                for (key, value) in entries {
                    key.visit(enter);
                    value.visit(enter);
                }
            }
            Kind::Call(of, call) => {
                of.visit(enter);
                call.expressions().for_each(|argument| argument.visit(enter));
            }
        }
    }
}
