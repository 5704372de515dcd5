//! Expressions over an event: `event.payload.temperature > 30`, `event.payload.name | upper`.
//!
//! [`Expression::compile`] once per definition, [`Expression::evaluate`] (JSON) or [`Expression::evaluate_text`] per event.
//! The language is minijinja's expression syntax over the names `event` and `rule` (and `parameters` where a [`Scope`] says so), with the filters and tests listed in
//! `filter`; a missing field is an error (`is defined` and `default` ask first).
//!
//! Bounded in time and memory, whoever wrote the expression: at most [`SOURCE_MAX`] bytes and 256 words, no loops, no
//! functions, no repetition (see `check`), [`FUEL`] steps with every made byte counted, and a [`Budget`] on the result.
//! An evaluation therefore costs at most a small multiple of the event's own size.

mod check;
mod filter;
mod token;
mod value;

pub use check::{SOURCE_MAX, Scope};
pub(crate) use token::next as next_token;
pub use value::Budget;
pub(crate) use value::{Root, from_json};

use crate::{
    event::{Context, leads_nowhere},
    json::lookup,
};
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};
use std::sync::LazyLock;

/// Steps of one evaluation. One step also pays for 64 made bytes, or for 4 bytes of a container turned to text: with
/// 50,000 steps at most 200,000 bytes of such text, less than where containers are cut (`value::TEXT_MAX`).
pub const FUEL: u64 = 50_000;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut env = Environment::empty();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    filter::add_all(&mut env);
    env
});

/// A checked and compiled expression.
#[derive(Debug)]
pub struct Expression {
    source: String,
    paths: Vec<Vec<String>>,
    compiled: minijinja::Expression<'static, 'static>,
}

impl Expression {
    /// The error fits after the name of the field: "is empty", "uses the unknown name …".
    pub fn compile(source: &str, scope: Scope) -> Result<Self, String> {
        let source = source.trim();
        let checked = check::check(source, scope)?;
        let compiled = ENVIRONMENT.compile_expression_owned(checked.source).map_err(|e| {
            format!(
                "cannot be read as an expression: {}",
                e.detail().unwrap_or("syntax error")
            )
        })?;
        Ok(Self {
            source: source.to_owned(),
            paths: checked.paths,
            compiled,
        })
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// Why a name in it leads nowhere, whatever comes. It still compiles: what stood there before may go on as it did.
    pub fn leads_nowhere(&self) -> Option<String> {
        self.paths.iter().find_map(|path| leads_nowhere(path))
    }

    /// The value, with its JSON type.
    pub fn evaluate(&self, context: &Context<'_>, budget: &mut Budget) -> Result<serde_json::Value, String> {
        let value = self.run(context)?;
        value::to_json(&value, budget).map_err(|e| self.explain(&e))
    }

    /// The value as text: strings plain, everything else as JSON.
    pub fn evaluate_text(&self, context: &Context<'_>, out: &mut String, budget: &mut Budget) -> Result<(), String> {
        let value = self.run(context)?;
        value::write_text(&value, out, budget).map_err(|e| self.explain(&e))
    }

    fn run(&self, context: &Context<'_>) -> Result<Value, String> {
        match self.compiled.eval(Value::from_object(context.root())) {
            Ok(value) if value.is_undefined() => Err(self.explain(&self.missing(context))),
            Ok(value) => Ok(value),
            Err(error) => Err(self.explain(&match error.kind() {
                ErrorKind::UndefinedError => self.missing(context),
                ErrorKind::OutOfFuel => "takes more steps or memory than allowed".to_owned(),
                _ => error
                    .detail()
                    .map_or_else(|| error.kind().to_string(), |d| d.chars().take(300).collect()),
            })),
        }
    }

    fn explain(&self, what: &str) -> String {
        let source: String = self.source.chars().take(120).collect();
        format!("`{source}`: {what}")
    }

    /// Names the first path of the expression that is not there.
    fn missing(&self, context: &Context<'_>) -> String {
        let missing = self.paths.iter().find(|path| match path.split_first() {
            Some((root, keys)) if root == "event" => lookup(context.event(), keys).is_none(),
            Some((root, keys)) if root == "parameters" => lookup(context.parameters(), keys).is_none(),
            Some((_, keys)) => keys != ["ref"],
            None => false,
        });
        match missing {
            Some(path) if path[0] == "parameters" => format!("{} is missing", path.join(".")),
            Some(path) => format!("{} is missing in the event", path.join(".")),
            None => "uses a value that is missing in the event".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
