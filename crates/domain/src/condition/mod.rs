//! When a rule applies.
//!
//! A condition is `null` (always), an expression (a string, with or without `{{ }}` around it), or the operator list:
//!
//! ```json
//! {"all": [{"path": "event.payload.temperature", "operator": "greater_than", "value": 30},
//!          {"any": [{"path": "payload.site", "operator": "in", "value": ["A", "B"]},
//!                   {"not": {"path": "payload.site", "operator": "exists"}}]}]}
//! ```
//!
//! If the event has no value at a path, only `exists` (false) and `not_equals` (true) have a result. Every other clause
//! stays open, and so does a clause with a value of the wrong type (text for `greater_than: 30`). `all`, `any` and
//! `not` of an open clause are open, too, unless a false clause decides `all` or a true one decides `any`; so `exists`
//! next to a comparison guards it. A condition that stays open is a [`ConditionError`] and never a silent "no", so that
//! a misspelled path is noticed. `"missing": false` or `true` is the result of a clause for a missing path;
//! `"missing": "fail"` leaves it open, also for `not_equals`.
//!
//! Measured with optimisation on two busy cores: an expression with one comparison takes 0.7 µs, with two 0.8 µs; a clause a
//! fifth of that.
//!
//! [`Verdict::Fails`] contains the clause of an operator list that failed.

mod age;
mod clause;
mod compile;
mod node;
mod operator;
mod part;
mod path;
pub(crate) mod pattern;
mod suggestion;
mod truth;
mod verdict;

pub use compile::CLAUSES_MAX;
pub use operator::{NAMES as OPERATORS, Operator, Quantifier};
pub use verdict::{Clause, ConditionError, Verdict};

use crate::{
    FieldErrors,
    event::Context,
    expression::{Budget, Expression, Scope},
    json::{self, check_json},
    template::truth,
};
use node::Node;
use serde_json::Value;
use verdict::ROOT;

const ACTUAL_BYTES_MAX: usize = 64 * 1024;

/// A compiled condition.
#[derive(Debug)]
pub struct Condition(Form);

#[derive(Debug)]
enum Form {
    Always,
    Expression(Expression),
    List(Node),
}

impl Condition {
    pub fn compile(value: &Value) -> Result<Self, FieldErrors> {
        if let Err(errors) = check_json(value) {
            let mut nested = FieldErrors::new();
            nested.nest(ROOT, errors);
            return Err(nested);
        }
        let form = match value {
            Value::Null => Form::Always,
            Value::String(source) => Form::Expression(
                Expression::compile(without_braces(source), Scope::Rule)
                    .map_err(|message| FieldErrors::one(ROOT, message))?,
            ),
            Value::Object(_) => Form::List(Node::compile(value, ROOT)?),
            other => {
                let message = format!(
                    "must be null (always), an expression such as \"event.payload.n > 3\", or an object with `all`, `any`, `not` or `path`, not {}",
                    json::kind(other)
                );
                return Err(FieldErrors::one(ROOT, message));
            }
        };
        Ok(Self(form))
    }

    /// Names in it that no event can have. An operator list with such a name does not compile.
    pub fn unknown_references(&self) -> FieldErrors {
        match &self.0 {
            Form::Expression(expression) => expression
                .unknown_field_hint()
                .map(|message| FieldErrors::one(ROOT, message))
                .unwrap_or_default(),
            Form::Always | Form::List(_) => FieldErrors::new(),
        }
    }

    pub fn evaluate(&self, context: &Context<'_>) -> Result<Verdict, ConditionError> {
        match &self.0 {
            Form::Always => Ok(Verdict::Holds),
            Form::Expression(expression) => evaluate_expression(expression, context),
            Form::List(node) => node.evaluate(context.event()),
        }
    }
}

fn evaluate_expression(expression: &Expression, context: &Context<'_>) -> Result<Verdict, ConditionError> {
    let error = |message| ConditionError {
        path: ROOT.to_owned(),
        message,
    };
    let value = expression
        .evaluate(context, &mut Budget::new(ACTUAL_BYTES_MAX))
        .map_err(error)?;
    match truth(&value) {
        Some(true) => Ok(Verdict::Holds),
        Some(false) => Ok(Verdict::Fails(Box::new(Clause {
            path: expression.source().to_owned(),
            operator: "expression".to_owned(),
            expected: Value::Bool(true),
            actual: value,
            at: String::new(),
            missing: false,
        }))),
        None => Err(error(format!(
            "`{}` gives {}, not true or false: compare it with something",
            expression.source(),
            json::kind(&value)
        ))),
    }
}

/// Also accepts `{{ a and b }}`, as in templates.
fn without_braces(source: &str) -> &str {
    let source = source.trim();
    source
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"))
        .unwrap_or(source)
}

#[cfg(test)]
mod tests;
