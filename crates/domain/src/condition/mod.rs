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
//! A path that the event does not have decides only `exists` (false) and `not_equals` (true); a value of the wrong type
//! (text for `greater_than: 30`) decides nothing. What is not decided stays open through `all`, `any` and `not` (false in
//! `all` and true in `any` decide them anyway, so `exists` next to a comparison guards it); a condition that is open in the
//! end is a [`ConditionError`], never a silent "no": a misspelled path must be seen. A clause with `"missing": false` or
//! `true` decides a path that is not there itself; `"missing": "fail"` leaves it open, for `not_equals` as well.
//!
//! Measured with optimisation on two busy cores: an expression with one comparison takes 0.7 µs, with two 0.8 µs; a clause a
//! fifth of that.
//!
//! An operator list explains itself: [`Verdict::Fails`] carries the clause that failed.

mod clause;
mod operator;
mod part;
mod path;
mod suggestion;
mod verdict;

pub use clause::CLAUSES_MAX;
pub use operator::{NAMES as OPERATORS, Operator};
pub use verdict::{Clause, ConditionError, Verdict};

use crate::{
    FieldErrors,
    event::Context,
    expression::{Budget, Expression, Scope},
    json::{self, check_json},
    template::truth,
};
use clause::Node;
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

    /// Names in it that lead nowhere, whatever comes. An operator list with one does not compile.
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

/// `{{ a and b }}` is what people write who come from templates.
fn without_braces(source: &str) -> &str {
    let source = source.trim();
    source
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"))
        .unwrap_or(source)
}

#[cfg(test)]
mod tests;
