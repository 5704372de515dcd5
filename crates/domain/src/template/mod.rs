//! Templates: any JSON whose strings may hold `{{ expression }}` over `event` and `rule`.
//!
//! - A string that is exactly one `{{ expression }}` becomes the value, with its JSON type.
//! - In any other string each value is written as text: strings plain, other values as JSON.
//! - `{% if %}`, `{% elif %}`, `{% else %}`, `{% endif %}` and `{# comments #}` work; **loops do not exist**, because nothing
//!   needs them and they would make the cost unbounded.
//! - A string without `{{`, `{%` and a whole comment is unchanged and costs nothing; literal braces are written `{{ '{{' }}`.
//! - Names of properties are never templates.
//!
//! `Template::compile(&value)` once per definition (1.4 µs for one expression), `template.render(&context)` per event
//! (0.5 µs for one expression, measured with optimisation on two cores). Bounds: 16 KiB of expressions,
//! 256 of them, and 1 MiB of result for the whole template.

mod limits;
mod text;

use crate::{
    FieldErrors,
    event::Context,
    expression::{Budget, Expression, Scope},
    json::{self, check_json, join_path},
};
use limits::Limits;
use serde_json::{Map, Value};
use text::Node;
pub(crate) use text::is_template;

/// How large a rendered template may be.
pub const RESULT_BYTES_MAX: usize = 1024 * 1024;
/// The path under which errors of a rule's parameters are reported.
const ROOT: &str = "action_params";

/// A compiled template.
#[derive(Debug)]
pub struct Template {
    root: &'static str,
    shape: Shape,
}

/// Why a template has no value; `path` is the string in the template, `action_params.message`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct RenderError {
    pub path: String,
    pub message: String,
}

#[derive(Debug)]
enum Shape {
    Constant(Value),
    Typed(Expression),
    Text(Vec<Node>),
    List(Vec<Shape>),
    Object(Vec<(String, Shape)>),
}

impl Template {
    /// Every bad string at once, with its path (`action_params.message`).
    pub fn compile(value: &Value) -> Result<Self, FieldErrors> {
        Self::compile_at(ROOT, value, Scope::Rule)
    }

    /// A template of another field, `root`, over other names.
    pub(crate) fn compile_at(root: &'static str, value: &Value, scope: Scope) -> Result<Self, FieldErrors> {
        check_json(value).map_err(|errors| errors.under(root))?;
        let mut errors = FieldErrors::new();
        let mut limits = Limits::of(scope);
        let shape = compile(value, root, &mut limits, &mut errors);
        errors.into_result()?;
        Ok(Self { root, shape })
    }

    /// Names in it that no event can have, at the string that contains them.
    pub fn unknown_references(&self) -> FieldErrors {
        let mut errors = FieldErrors::new();
        self.shape.add_lost_names(self.root, &mut errors);
        errors
    }

    pub fn render(&self, context: &Context<'_>) -> Result<Value, RenderError> {
        self.render_within(context, Budget::new(RESULT_BYTES_MAX))
    }

    /// The text of a key. Equal numbers give the same text, in whichever form they came: 1 and 1.0.
    pub fn render_key(&self, context: &Context<'_>) -> Result<String, RenderError> {
        let value = self.render_within(context, Budget::of_key(RESULT_BYTES_MAX))?;
        Ok(match value {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }

    fn render_within(&self, context: &Context<'_>, mut budget: Budget) -> Result<Value, RenderError> {
        render(&self.shape, context, &mut self.root.to_owned(), &mut budget)
    }
}

fn compile(value: &Value, path: &str, limits: &mut Limits, errors: &mut FieldErrors) -> Shape {
    match value {
        Value::String(source) if text::is_template(source) => match text::parse(source, limits) {
            Ok(mut nodes) => match nodes.pop() {
                Some(Node::Value(expression)) if nodes.is_empty() => Shape::Typed(expression),
                last => {
                    nodes.extend(last);
                    Shape::Text(nodes)
                }
            },
            Err(message) => {
                errors.add(path, message);
                Shape::Constant(Value::Null)
            }
        },
        Value::Array(items) => {
            let compile_item = |(i, item)| compile(item, &format!("{path}[{i}]"), limits, errors);
            let shapes = items.iter().enumerate().map(compile_item).collect::<Vec<_>>();
            if shapes.iter().all(Shape::is_constant) {
                return Shape::Constant(value.clone());
            }
            Shape::List(shapes)
        }
        Value::Object(entries) => {
            let compile_entry =
                |(key, item): (&String, &Value)| (key.clone(), compile(item, &join_path(path, key), limits, errors));
            let shapes = entries.iter().map(compile_entry).collect::<Vec<_>>();
            if shapes.iter().all(|(_, shape)| shape.is_constant()) {
                return Shape::Constant(value.clone());
            }
            Shape::Object(shapes)
        }
        constant => Shape::Constant(constant.clone()),
    }
}

impl Shape {
    fn is_constant(&self) -> bool {
        matches!(self, Self::Constant(_))
    }

    fn add_lost_names(&self, path: &str, errors: &mut FieldErrors) {
        match self {
            Self::Constant(_) => {}
            Self::Typed(expression) => add_lost_name(expression, path, errors),
            Self::Text(nodes) => {
                for expression in text::expressions(nodes) {
                    add_lost_name(expression, path, errors);
                }
            }
            Self::List(shapes) => {
                for (i, shape) in shapes.iter().enumerate() {
                    shape.add_lost_names(&format!("{path}[{i}]"), errors);
                }
            }
            Self::Object(shapes) => {
                for (key, shape) in shapes {
                    shape.add_lost_names(&join_path(path, key), errors);
                }
            }
        }
    }
}

/// Adds a suggestion for a name in an expression that can never exist.
fn add_lost_name(expression: &Expression, path: &str, errors: &mut FieldErrors) {
    if let Some(message) = expression.unknown_field_hint() {
        let source: String = expression.source().chars().take(80).collect();
        errors.add(path, format!("the expression `{source}` {message}"));
    }
}

fn render(shape: &Shape, context: &Context<'_>, path: &mut String, budget: &mut Budget) -> Result<Value, RenderError> {
    let here = path.len();
    let at = |path: &str, message: String| RenderError {
        path: path.to_owned(),
        message,
    };
    match shape {
        Shape::Constant(value) => Ok(value.clone()),
        Shape::Typed(expression) => expression.evaluate(context, budget).map_err(|e| at(path, e)),
        Shape::Text(nodes) => {
            let mut out = String::new();
            text::render(nodes, context, &mut out, budget).map_err(|e| at(path, e))?;
            Ok(Value::String(out))
        }
        Shape::List(shapes) => {
            let mut items = Vec::with_capacity(shapes.len());
            for (i, shape) in shapes.iter().enumerate() {
                json::push_index(path, i);
                items.push(render(shape, context, path, budget)?);
                path.truncate(here);
            }
            Ok(Value::Array(items))
        }
        Shape::Object(shapes) => {
            let mut entries = Map::with_capacity(shapes.len());
            for (key, shape) in shapes {
                path.push('.');
                path.push_str(key);
                entries.insert(key.clone(), render(shape, context, path, budget)?);
                path.truncate(here);
            }
            Ok(Value::Object(entries))
        }
    }
}

impl Expression {
    /// Whether it is true. Only unambiguous values are accepted: booleans, null (false) and numbers (0 is false).
    pub fn holds(&self, context: &Context<'_>, budget: &mut Budget) -> Result<bool, String> {
        let value = self.evaluate(context, budget)?;
        truth(&value).ok_or_else(|| {
            let source: String = self.source().chars().take(120).collect();
            format!(
                "`{source}`: gives {}, not true or false: compare it with something",
                json::kind(&value)
            )
        })
    }
}

pub(crate) fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Null => Some(false),
        Value::Number(number) => Some(number.as_f64() != Some(0.0)),
        _ => None,
    }
}

#[cfg(test)]
mod jinja;
#[cfg(test)]
mod tests;
