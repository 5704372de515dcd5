//! Finds errors in an expression that no event can avoid, because of its literals: `event.payload.n / 0`, `none > 1`. Such an
//! expression is refused when it is saved instead of failing at every event.

use super::{
    ast::{Constant, Expr, Key, Kind, Operation},
    compare::Comparison,
    evaluate::Machine,
    value::{Budget, Meter, Value},
};
use crate::{event::Context, number::Number};

/// Checks every part of an expression; `source` is its text.
pub fn check(tree: &Expr, source: &str) -> Result<(), String> {
    let mut checked = Ok(());
    tree.visit(&mut |expr| {
        if checked.is_err() {
            return false;
        }
        if !matches!(expr.kind, Kind::Constant(_)) && is_constant(expr) {
            checked = evaluate(expr, source);
            return false;
        }
        checked = check_node(expr, source);
        true
    });
    checked
}

/// The value of a literal, or `None` if it depends on the event.
pub fn literal(expr: &Expr) -> Option<Value<'_>> {
    match &expr.kind {
        Kind::Constant(constant) => Some(constant.value()),
        Kind::List(_) => Some(Value::list(Vec::new())),
        Kind::Object(_) => Some(Value::object(Vec::new())),
        _ => None,
    }
}

fn is_constant(expr: &Expr) -> bool {
    let mut constant = true;
    expr.visit(&mut |part| {
        constant &= !matches!(part.kind, Kind::Root(_));
        constant
    });
    constant
}

/// An expression without names of the event can be evaluated now.
fn evaluate(expr: &Expr, source: &str) -> Result<(), String> {
    let nothing = serde_json::Value::Null;
    let mut machine = Machine {
        context: Context::of_action(&nothing),
        tree: expr,
        source,
        meter: Meter::within(&Budget::new(super::value::TEXT_MAX)),
    };
    machine.evaluate(expr).map(drop)
}

fn check_node(expr: &Expr, source: &str) -> Result<(), String> {
    let label = |expr: &Expr| source.get(expr.range.clone()).unwrap_or_default().to_owned();
    match &expr.kind {
        Kind::Calculate(operation, a, b) => {
            for operand in [a, b] {
                if let Some(value) = literal(operand).filter(|value| !operation.takes(value)) {
                    return Err(format!(
                        "`{}` needs {}, not {} (`{}`)",
                        operation.symbol(),
                        operation.needed(),
                        value.kind(),
                        label(operand)
                    ));
                }
            }
            let divides = matches!(
                operation,
                Operation::Divide | Operation::DivideDown | Operation::Remainder
            );
            match literal(b) {
                Some(Value::Number(number)) if divides && number.is_zero() => {
                    Err(format!("divides by zero with `{}`", operation.symbol()))
                }
                _ => Ok(()),
            }
        }
        Kind::Compare(first, rest) => {
            let lefts = std::iter::once(&**first).chain(rest.iter().map(|(_, right)| right));
            for (left, (comparison, right)) in lefts.zip(rest) {
                check_comparison(*comparison, left, right, &label)?;
            }
            Ok(())
        }
        Kind::Get(_, Key::Computed(key)) => match literal(key) {
            Some(value) => Err(format!(
                "uses {} (`{}`) in brackets: a name or an index belongs there",
                value.kind(),
                label(key)
            )),
            None => Ok(()),
        },
        Kind::Slice(_, bounds) => check_bounds(bounds, &label),
        _ => Ok(()),
    }
}

fn check_comparison(
    comparison: Comparison,
    left: &Expr,
    right: &Expr,
    label: &impl Fn(&Expr) -> String,
) -> Result<(), String> {
    let symbol = comparison.symbol();
    match comparison {
        Comparison::Equal | Comparison::NotEqual => Ok(()),
        Comparison::In | Comparison::NotIn => match literal(right) {
            Some(value @ (Value::Null | Value::Bool(_) | Value::Number(_))) => Err(format!(
                "`{symbol}` requires a list, an object or a string on its right side, not {} (`{}`)",
                value.kind(),
                label(right)
            )),
            _ => Ok(()),
        },
        _ => {
            let unordered =
                |expr: &&Expr| literal(expr).is_some_and(|value| !matches!(value, Value::Number(_) | Value::Text(_)));
            match [left, right].into_iter().find(unordered) {
                Some(expr) => Err(format!(
                    "`{symbol}` compares two numbers or two strings, not {} (`{}`)",
                    literal(expr).map_or("a value", |value| value.kind()),
                    label(expr)
                )),
                None => Ok(()),
            }
        }
    }
}

fn check_bounds(bounds: &[Option<Box<Expr>>; 3], label: &impl Fn(&Expr) -> String) -> Result<(), String> {
    for bound in bounds.iter().flatten() {
        match literal(bound) {
            None | Some(Value::Null | Value::Number(Number::Whole(_))) => {}
            Some(other) => {
                return Err(format!(
                    "slices with {} (`{}`): whole numbers belong there",
                    other.kind(),
                    label(bound)
                ));
            }
        }
    }
    let step = bounds[2].as_deref().map(|step| &step.kind);
    if matches!(step, Some(Kind::Constant(Constant::Number(number))) if number.is_zero()) {
        return Err("slices in steps of 0".to_owned());
    }
    Ok(())
}
