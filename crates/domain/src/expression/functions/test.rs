//! Tests: `value is name`.

use crate::{
    expression::{
        arguments::Arguments,
        compare::{self, Comparison},
        value::{Meter, Value},
    },
    number::{Number, truncated},
};

type Answer<'v> = Result<Value<'v>, String>;

macro_rules! kinds {
    ($($name:ident => $pattern:pat,)*) => {
        $(
            pub fn $name<'v>(value: &Value<'v>, _: &Arguments<'v>, _: &mut Meter) -> Answer<'v> {
                Ok(Value::Bool(matches!(value, $pattern)))
            }
        )*
    };
}

kinds! {
    undefined => Value::Missing(_),
    null => Value::Null,
    boolean => Value::Bool(_),
    is_true => Value::Bool(true),
    is_false => Value::Bool(false),
    number => Value::Number(_),
    integer => Value::Number(Number::Whole(_)),
    float => Value::Number(Number::Decimal(_)),
    string => Value::Text(_),
    sequence => Value::List(_),
    iterable => Value::List(_) | Value::Object(_) | Value::Text(_),
    mapping => Value::Object(_),
}

#[expect(clippy::unnecessary_wraps, reason = "every function has this shape")]
pub fn defined<'v>(value: &Value<'v>, _: &Arguments<'v>, _: &mut Meter) -> Answer<'v> {
    Ok(Value::Bool(!matches!(value, Value::Missing(_))))
}

#[expect(clippy::unnecessary_wraps, reason = "every function has this shape")]
pub fn truthy<'v>(value: &Value<'v>, _: &Arguments<'v>, _: &mut Meter) -> Answer<'v> {
    Ok(Value::Bool(value.is_true()))
}

#[expect(clippy::unnecessary_wraps, reason = "every function has this shape")]
pub fn falsy<'v>(value: &Value<'v>, _: &Arguments<'v>, _: &mut Meter) -> Answer<'v> {
    Ok(Value::Bool(!value.is_true()))
}

fn compared<'v>(value: &Value<'v>, arguments: &Arguments<'v>, comparison: Comparison, meter: &mut Meter) -> Answer<'v> {
    let other = arguments.get(0).unwrap_or(&Value::Null);
    comparison.holds(value, other, ("", ""), meter).map(Value::Bool)
}

macro_rules! comparisons {
    ($($name:ident => $comparison:ident;)*) => {
        $(
            pub fn $name<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
                compared(value, arguments, Comparison::$comparison, meter)
            }
        )*
    };
}

comparisons! {
    equal => Equal;
    not_equal => NotEqual;
    less => Less;
    less_or_equal => LessOrEqual;
    greater => Greater;
    greater_or_equal => GreaterOrEqual;
    is_in => In;
}

pub fn contains<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    let part = arguments.get(0).unwrap_or(&Value::Null);
    compare::contains(value, part, ("", ""), meter).map(Value::Bool)
}

/// The remainder of a division by an integer.
fn rest(value: &Value<'_>, divisor: i128, arguments: &Arguments<'_>) -> Result<i128, String> {
    let whole = match value {
        Value::Number(Number::Whole(whole)) => Some(*whole),
        Value::Number(Number::Decimal(decimal)) if decimal.fract() == 0.0 => truncated(*decimal),
        _ => None,
    };
    let whole = whole.ok_or_else(|| arguments.needs("a whole number", value))?;
    whole
        .checked_rem(divisor)
        .ok_or_else(|| format!("`{}` divides by zero", arguments.name()))
}

pub fn even<'v>(value: &Value<'v>, arguments: &Arguments<'v>, _: &mut Meter) -> Answer<'v> {
    rest(value, 2, arguments).map(|rest| Value::Bool(rest == 0))
}

pub fn odd<'v>(value: &Value<'v>, arguments: &Arguments<'v>, _: &mut Meter) -> Answer<'v> {
    rest(value, 2, arguments).map(|rest| Value::Bool(rest != 0))
}

pub fn divisible_by<'v>(value: &Value<'v>, arguments: &Arguments<'v>, _: &mut Meter) -> Answer<'v> {
    let divisor = arguments.whole(0).unwrap_or_default();
    rest(value, divisor, arguments).map(|rest| Value::Bool(rest == 0))
}

fn cased<'v>(
    value: &Value<'v>,
    arguments: &Arguments<'v>,
    meter: &mut Meter,
    is_wrong: fn(char) -> bool,
) -> Answer<'v> {
    let Value::Text(text) = value else {
        return Err(arguments.needs("a string", value));
    };
    meter.read(text.len())?;
    Ok(Value::Bool(
        text.chars().any(char::is_alphabetic) && !text.chars().any(is_wrong),
    ))
}

pub fn lower<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    cased(value, arguments, meter, char::is_uppercase)
}

pub fn upper<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    cased(value, arguments, meter, char::is_lowercase)
}
