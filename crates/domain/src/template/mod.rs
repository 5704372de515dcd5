//! Templates: any JSON whose strings may hold `{{ expression }}` over `event` and `rule`.
//!
//! - A string that is exactly one `{{ expression }}` becomes the value, with its JSON type.
//! - In any other string each value is written as text: strings plain, other values as JSON.
//! - `{% if %}`, `{% elif %}`, `{% else %}`, `{% endif %}` and `{# comments #}` work; **loops do not exist**, because nothing
//!   needs them and they would make the cost unbounded.
//! - A string without `{{`, `{%` and a whole comment is unchanged and costs nothing; literal braces are written `{{ '{{' }}`.
//! - Names of properties are never templates.
//! - `{{ secrets.pack.name }}` in the parameters of a rule gives a marker and never a value ([`crate::secret`]).
//!
//! `Template::compile(&value)` once per definition (1.4 µs for one expression), `template.render(&context)` per event
//! (0.5 µs for one expression, measured with optimisation on two cores). Bounds: 16 KiB of expressions,
//! 256 of them, and 1 MiB of result for the whole template.

mod limits;
mod text;

use crate::{
    FieldErrors, Ref,
    event::Context,
    expression::{Budget, Expression, Scope},
    json::{self, check_json, join_path},
    secret::{self, Hidden, Parameters, Path, Placed, Sealed},
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
    /// Text with secrets in it.
    Secret(Path, Vec<Node>),
    Sealed(Path, Sealed),
}

impl Template {
    /// Every bad string at once, with its path (`action_params.message`).
    pub fn compile(value: &Value) -> Result<Self, FieldErrors> {
        Self::build(ROOT, value, Limits::of(Scope::Rule, true))
    }

    /// A template of another field, `root`, over other names.
    pub(crate) fn compile_at(root: &'static str, value: &Value, scope: Scope) -> Result<Self, FieldErrors> {
        Self::build(root, value, Limits::of(scope, false))
    }

    fn build(root: &'static str, value: &Value, limits: Limits) -> Result<Self, FieldErrors> {
        check_json(value).map_err(|errors| errors.under(root))?;
        let mut compiler = Compiler {
            limits,
            errors: FieldErrors::new(),
            steps: Path::default(),
        };
        let shape = compiler.compile(value, root);
        compiler.errors.into_result()?;
        Ok(Self { root, shape })
    }

    /// Where it passes secrets on, and which; a sealed literal has no ref.
    pub fn secrets(&self) -> Vec<(&Path, Vec<&Ref>)> {
        let mut found = Vec::new();
        self.shape.add_secrets(&mut found);
        found
    }

    /// The paths of names in it.
    pub(crate) fn names(&self) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        self.shape.add_names(&mut found);
        found
    }

    /// Names in it that no event can have, at the string that contains them.
    pub fn unknown_references(&self) -> FieldErrors {
        let mut errors = FieldErrors::new();
        self.shape.add_lost_names(self.root, &mut errors);
        errors
    }

    /// Renders a template that passes no secrets on.
    pub fn render(&self, context: &Context<'_>) -> Result<Value, RenderError> {
        self.render_parameters(context).map(|rendered| rendered.values)
    }

    /// The text of a key. Equal numbers give the same text, in whichever form they came: 1 and 1.0.
    pub fn render_key(&self, context: &Context<'_>) -> Result<String, RenderError> {
        let value = self.render_within(context, Budget::of_key(RESULT_BYTES_MAX))?.values;
        Ok(match value {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }

    pub fn render_parameters(&self, context: &Context<'_>) -> Result<Parameters, RenderError> {
        self.render_within(context, Budget::new(RESULT_BYTES_MAX))
    }

    fn render_within(&self, context: &Context<'_>, mut budget: Budget) -> Result<Parameters, RenderError> {
        let mut secrets = Vec::new();
        let values = render(
            &self.shape,
            context,
            &mut self.root.to_owned(),
            &mut budget,
            &mut secrets,
        )?;
        Ok(Parameters { values, secrets })
    }
}

struct Compiler {
    limits: Limits,
    errors: FieldErrors,
    /// Where the compiler is.
    steps: Path,
}

impl Compiler {
    fn compile(&mut self, value: &Value, path: &str) -> Shape {
        match value {
            Value::String(source) if text::is_template(source) => match text::parse(source, &mut self.limits) {
                Ok(nodes) if !text::secrets(&nodes).is_empty() => Shape::Secret(self.steps.clone(), nodes),
                Ok(mut nodes) => match nodes.pop() {
                    Some(Node::Value(expression)) if nodes.is_empty() => Shape::Typed(expression),
                    last => {
                        nodes.extend(last);
                        Shape::Text(nodes)
                    }
                },
                Err(message) => self.refuse(path, message),
            },
            Value::Array(items) => {
                let mut shapes = Vec::with_capacity(items.len());
                for (i, item) in items.iter().enumerate() {
                    self.steps.push_index(i);
                    shapes.push(self.compile(item, &format!("{path}[{i}]")));
                    self.steps.pop();
                }
                if shapes.iter().all(Shape::is_constant) {
                    return Shape::Constant(value.clone());
                }
                Shape::List(shapes)
            }
            Value::Object(entries) => {
                if self.limits.may_pass_secrets() {
                    match secret::constant(entries) {
                        Ok(None) => {}
                        Ok(Some(sealed)) => return Shape::Sealed(self.steps.clone(), sealed),
                        Err(message) => return self.refuse(path, message),
                    }
                }
                let mut shapes = Vec::with_capacity(entries.len());
                for (key, item) in entries {
                    self.steps.push_key(key);
                    shapes.push((key.clone(), self.compile(item, &join_path(path, key))));
                    self.steps.pop();
                }
                if shapes.iter().all(|(_, shape)| shape.is_constant()) {
                    return Shape::Constant(value.clone());
                }
                Shape::Object(shapes)
            }
            constant => Shape::Constant(constant.clone()),
        }
    }

    fn refuse(&mut self, path: &str, message: String) -> Shape {
        self.errors.add(path, message);
        Shape::Constant(Value::Null)
    }
}

impl Shape {
    fn is_constant(&self) -> bool {
        matches!(self, Self::Constant(_))
    }

    fn add_lost_names(&self, path: &str, errors: &mut FieldErrors) {
        match self {
            Self::Constant(_) | Self::Sealed(..) => {}
            Self::Typed(expression) => add_lost_name(expression, path, errors),
            Self::Text(nodes) | Self::Secret(_, nodes) => {
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

impl Shape {
    fn add_secrets<'s>(&'s self, found: &mut Vec<(&'s Path, Vec<&'s Ref>)>) {
        match self {
            Self::Secret(path, nodes) => found.push((path, text::secrets(nodes))),
            Self::Sealed(path, _) => found.push((path, Vec::new())),
            _ => self.inner().for_each(|shape| shape.add_secrets(found)),
        }
    }

    fn add_names(&self, found: &mut Vec<Vec<String>>) {
        match self {
            Self::Typed(expression) => found.extend(expression.names()),
            Self::Text(nodes) | Self::Secret(_, nodes) => {
                found.extend(text::expressions(nodes).into_iter().flat_map(Expression::names));
            }
            _ => self.inner().for_each(|shape| shape.add_names(found)),
        }
    }

    fn inner(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        match self {
            Self::List(shapes) => Box::new(shapes.iter()),
            Self::Object(shapes) => Box::new(shapes.iter().map(|(_, shape)| shape)),
            _ => Box::new(std::iter::empty()),
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

fn render(
    shape: &Shape,
    context: &Context<'_>,
    path: &mut String,
    budget: &mut Budget,
    secrets: &mut Vec<Placed>,
) -> Result<Value, RenderError> {
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
        Shape::Secret(place, nodes) => {
            let mut parts = Vec::new();
            text::render_parts(nodes, context, &mut parts, budget).map_err(|e| at(path, e))?;
            // None of its branches with a secret was taken.
            if let [] | [secret::Part::Text(_)] = parts.as_slice() {
                let text = match parts.pop() {
                    Some(secret::Part::Text(text)) => text,
                    _ => String::new(),
                };
                return Ok(Value::String(text));
            }
            let (path, hidden) = (place.clone(), Hidden::Marker(parts));
            secrets.push(Placed { path, hidden });
            Ok(Value::Null)
        }
        Shape::Sealed(place, sealed) => {
            let (path, hidden) = (place.clone(), Hidden::Sealed(sealed.clone()));
            secrets.push(Placed { path, hidden });
            Ok(Value::Null)
        }
        Shape::List(shapes) => {
            let mut items = Vec::with_capacity(shapes.len());
            for (i, shape) in shapes.iter().enumerate() {
                json::push_index(path, i);
                items.push(render(shape, context, path, budget, secrets)?);
                path.truncate(here);
            }
            Ok(Value::Array(items))
        }
        Shape::Object(shapes) => {
            let mut entries = Map::with_capacity(shapes.len());
            for (key, shape) in shapes {
                path.push('.');
                path.push_str(key);
                entries.insert(key.clone(), render(shape, context, path, budget, secrets)?);
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
