//! How values compare, the same in conditions, templates, filters and tests, and as clauses do.
//!
//! - Equality is never an error: values of different types are unequal, a boolean is not a number, `1` and `1.0` are one
//!   number, objects have no order.
//! - Only two numbers or two strings have an order.
//! - `in` searches an item in a list, a name in an object, and a string in a string.

use super::value::{Meter, Value};
use std::cmp::Ordering;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}

impl Comparison {
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
            Self::NotIn => "not in",
        }
    }

    /// The error names both types; `labels` are the source texts of both sides.
    pub fn holds(
        self,
        left: &Value<'_>,
        right: &Value<'_>,
        labels: (&str, &str),
        meter: &mut Meter,
    ) -> Result<bool, String> {
        let order = |meter: &mut Meter| {
            order(left, right, meter)?.ok_or_else(|| no_order(&format!("`{}`", self.symbol()), left, right, labels))
        };
        match self {
            Self::Equal => equal(left, right, meter),
            Self::NotEqual => equal(left, right, meter).map(|equal| !equal),
            Self::Less => order(meter).map(Ordering::is_lt),
            Self::LessOrEqual => order(meter).map(Ordering::is_le),
            Self::Greater => order(meter).map(Ordering::is_gt),
            Self::GreaterOrEqual => order(meter).map(Ordering::is_ge),
            Self::In => contains(right, left, (labels.1, labels.0), meter),
            Self::NotIn => contains(right, left, (labels.1, labels.0), meter).map(|contains| !contains),
        }
    }
}

pub fn equal(a: &Value<'_>, b: &Value<'_>, meter: &mut Meter) -> Result<bool, String> {
    meter.step()?;
    Ok(match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Number(a), Value::Number(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => {
            meter.read(a.len().min(b.len()))?;
            **a == **b
        }
        (Value::List(a), Value::List(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            for (a, b) in a.iter().zip(b.iter()) {
                if !equal(&a, &b, meter)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Object(a), Value::Object(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            meter.steps(a.len())?;
            for (key, a) in a.entries() {
                match b.get(&key) {
                    Some(b) if equal(&a, &b, meter)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        _ => false,
    })
}

/// `None` if the two have no order.
pub fn order(a: &Value<'_>, b: &Value<'_>, meter: &mut Meter) -> Result<Option<Ordering>, String> {
    meter.step()?;
    Ok(match (a, b) {
        (Value::Number(a), Value::Number(b)) => Some(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => {
            meter.read(a.len().min(b.len()))?;
            Some((**a).cmp(&**b))
        }
        _ => None,
    })
}

/// `labels` are the source texts of the container and of the searched value.
pub fn contains(
    container: &Value<'_>,
    part: &Value<'_>,
    labels: (&str, &str),
    meter: &mut Meter,
) -> Result<bool, String> {
    match (container, part) {
        (Value::List(items), part) => {
            for item in items.iter() {
                if equal(&item, part, meter)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        (Value::Text(text), Value::Text(part)) => {
            meter.read(text.len())?;
            Ok(text.contains(&**part))
        }
        (Value::Object(entries), Value::Text(name)) => Ok(entries.get(name).is_some()),
        (Value::Text(_) | Value::Object(_), part) => Err(format!(
            "`in` searches a string in {}{}, not {}{}",
            container.kind(),
            labelled(labels.0),
            part.kind(),
            labelled(labels.1)
        )),
        _ => Err(format!(
            "`in` searches a list, an object or a string, not {}{} for {}{}",
            container.kind(),
            labelled(labels.0),
            part.kind(),
            labelled(labels.1)
        )),
    }
}

/// Why two values have no order; `what` is the operation that needs it.
pub fn no_order(what: &str, a: &Value<'_>, b: &Value<'_>, labels: (&str, &str)) -> String {
    let hint = match (a, b) {
        (Value::Text(_), Value::Number(_)) | (Value::Number(_), Value::Text(_)) => {
            "; convert the string with `| int` or `| float`"
        }
        _ => "",
    };
    format!(
        "{what} compares two numbers or two strings, not {}{} with {}{}{hint}",
        a.kind(),
        labelled(labels.0),
        b.kind(),
        labelled(labels.1)
    )
}

fn labelled(label: &str) -> String {
    if label.is_empty() {
        String::new()
    } else {
        format!(" (`{label}`)")
    }
}
