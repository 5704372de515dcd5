//! Expressions over an event: `event.payload.temperature > 30`, `event.payload.name | upper`.
//!
//! [`Expression::compile`] once per definition, [`Expression::evaluate`] (JSON) or [`Expression::evaluate_text`] per event.
//! The grammar is that of Jinja's expressions (see `parse`) over the names `event` and `rule` (and `parameters` where the
//! [`Scope`] has it), with the filters, tests and methods of `functions::table`. It is not evaluated by a template
//! engine, because values must compare as they do in clauses (see `compare`) and no engine lets its operators be replaced.
//!
//! A missing field is an error, except for `default`, `is defined` and `is undefined`, at any depth.
//!
//! Bounded in time and memory for every expression: at most [`SOURCE_MAX`] bytes and 256 tokens, no loops, no
//! repetition of texts and lists, [`FUEL`] steps with every read and made byte counted, and a [`Budget`] on the result.

mod arguments;
mod ast;
mod bind;
mod compare;
mod evaluate;
mod functions;
mod literal;
mod literals;
mod member;
mod parse;
mod scope;
mod token;
mod value;

pub use parse::SOURCE_MAX;
pub use scope::Scope;
pub(crate) use token::next as next_token;
pub use value::{Budget, FUEL};

use crate::event::{Context, unknown_field_hint};
use ast::Expr;
use evaluate::Machine;
use value::{Meter, Value};

/// A checked and compiled expression.
#[derive(Debug)]
pub struct Expression {
    source: String,
    tree: Expr,
}

impl Expression {
    /// The error fits after the name of the field: "is empty", "uses the unknown name …".
    pub fn compile(source: &str, scope: Scope) -> Result<Self, String> {
        let source = source.trim();
        let tree = parse::parse(source, scope)?;
        literals::check(&tree, source)?;
        Ok(Self {
            tree,
            source: source.to_owned(),
        })
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// Why a name in it can never exist. It still compiles, so that existing definitions continue to work.
    pub fn unknown_field_hint(&self) -> Option<String> {
        self.tree.paths().iter().find_map(|path| unknown_field_hint(path))
    }

    /// The paths of all names in it.
    pub(crate) fn names(&self) -> Vec<Vec<String>> {
        self.tree.paths()
    }

    /// The value, with its JSON type.
    pub fn evaluate(&self, context: &Context<'_>, budget: &mut Budget) -> Result<serde_json::Value, String> {
        let json = self.run(context, budget).and_then(|value| value.to_json(budget));
        json.map_err(|message| self.explain(&message))
    }

    /// The value as text: strings plain, everything else as JSON.
    pub fn evaluate_text(&self, context: &Context<'_>, out: &mut String, budget: &mut Budget) -> Result<(), String> {
        let written = self
            .run(context, budget)
            .and_then(|value| value.write_text(out, budget));
        written.map_err(|message| self.explain(&message))
    }

    fn run<'v>(&'v self, context: &Context<'v>, budget: &mut Budget) -> Result<Value<'v>, String> {
        let mut machine = Machine {
            context: *context,
            tree: &self.tree,
            source: &self.source,
            meter: Meter::within(budget),
        };
        let value = machine.run(&self.tree);
        machine.meter.charge(budget);
        value
    }

    fn explain(&self, what: &str) -> String {
        let source: String = self.source.chars().take(120).collect();
        format!("`{source}`: {what}")
    }
}

/// The quoted text at the start of `rest`, and how many bytes it takes.
pub(crate) fn text_literal(rest: &str) -> Result<(String, usize), String> {
    match token::next(rest, 0)? {
        Some(token) if token.kind == token::Kind::Text && token.range.start == 0 => {
            Ok((literal::text(token.text)?, token.range.end))
        }
        _ => Err("is not a quoted text".to_owned()),
    }
}

#[cfg(test)]
mod tests;
