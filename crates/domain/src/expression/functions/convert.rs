//! Conversions, and defaults for missing values.

use super::{digits::Digits, text::plain};
use crate::{
    expression::{
        arguments::Arguments,
        value::{Meter, SLOT_BYTES, Value},
    },
    json::{Refused, check_number},
    number::{Number, truncated},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use std::borrow::Cow;

/// `default(value, true)` also replaces empty values, as in Jinja.
#[expect(clippy::unnecessary_wraps, reason = "every function has this shape")]
pub fn default<'v>(value: &Value<'v>, arguments: &Arguments<'v>, _: &mut Meter) -> Result<Value<'v>, String> {
    let other = || arguments.get(0).cloned().unwrap_or_else(|| Value::text(String::new()));
    Ok(match value {
        Value::Missing(_) => other(),
        value if arguments.flag(1) == Some(true) && !value.is_true() => other(),
        value => value.clone(),
    })
}

#[expect(clippy::unnecessary_wraps, reason = "every function has this shape")]
pub fn same<'v>(value: &Value<'v>, _: &Arguments<'v>, _: &mut Meter) -> Result<Value<'v>, String> {
    Ok(value.clone())
}

#[expect(clippy::unnecessary_wraps, reason = "every function has this shape")]
pub fn ternary<'v>(value: &Value<'v>, arguments: &Arguments<'v>, _: &mut Meter) -> Result<Value<'v>, String> {
    let chosen = arguments.get(usize::from(!value.is_true())).cloned();
    Ok(chosen.unwrap_or_else(|| Value::text(String::new())))
}

pub fn abs<'v>(value: &Value<'v>, arguments: &Arguments<'v>, _: &mut Meter) -> Result<Value<'v>, String> {
    match value {
        Value::Number(Number::Whole(whole)) => {
            let positive = whole
                .checked_abs()
                .ok_or("results in an integer that does not fit into 128 bits")?;
            Ok(Value::Number(Number::Whole(positive)))
        }
        Value::Number(Number::Decimal(decimal)) => Ok(Value::Number(Number::Decimal(decimal.abs()))),
        other => Err(arguments.needs("a number", other)),
    }
}

/// The value, else the given default, else the reason for the failure.
fn or_default<'v>(converted: Result<Value<'v>, String>, arguments: &Arguments<'v>) -> Result<Value<'v>, String> {
    match (converted, arguments.get(0)) {
        (Err(_), Some(other)) => Ok(other.clone()),
        (converted, _) => converted,
    }
}

pub fn int<'v>(value: &Value<'v>, arguments: &Arguments<'v>, _: &mut Meter) -> Result<Value<'v>, String> {
    // The parameter's kind has checked its range.
    let base = arguments
        .whole(1)
        .and_then(|base| u32::try_from(base).ok())
        .unwrap_or(10);
    let whole = match value {
        Value::Number(Number::Whole(whole)) => Ok(*whole),
        Value::Number(Number::Decimal(decimal)) => truncated(*decimal).ok_or_else(|| too_large(value)),
        Value::Bool(flag) => Ok(i128::from(*flag)),
        Value::Text(text) => whole_part(text, base),
        other => Err(arguments.needs("a number or a string", other)),
    };
    or_default(whole.map(|whole| Value::Number(Number::Whole(whole))), arguments)
}

fn too_large(value: &Value<'_>) -> String {
    format!("`int` gives {} that does not fit into 128 bits", value.kind())
}

/// Read digit by digit, so that a long number is not rounded: `"9007199254740993.7"`, `"9007199254740993e0"`.
fn whole_part(text: &str, base: u32) -> Result<i128, String> {
    let text = text.trim();
    let unprefixed = without_prefix(text, base);
    if let Ok(whole) = i128::from_str_radix(&unprefixed, base) {
        return Ok(whole);
    }
    let shown: String = text.chars().take(60).collect();
    let decimal = (base == 10).then(|| Digits::read(text)).flatten();
    let decimal =
        decimal.ok_or_else(|| format!("`int` needs a number, not the string {shown:?}; give a default: `int(0)`"))?;
    decimal
        .whole_part()
        .ok_or_else(|| format!("`int` results in an integer that does not fit into 128 bits: {shown}"))
}

/// `0x1f` in base 16, `0o17` in base 8 and `0b11` in base 2 have a prefix, as in Python.
fn without_prefix(text: &str, base: u32) -> Cow<'_, str> {
    let letter = match base {
        2 => 'b',
        8 => 'o',
        16 => 'x',
        _ => return Cow::Borrowed(text),
    };
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (&text[..1], digits),
        None => ("", text),
    };
    let prefixes = [format!("0{letter}"), format!("0{}", letter.to_ascii_uppercase())];
    match prefixes.iter().find_map(|prefix| digits.strip_prefix(prefix.as_str())) {
        Some(digits) if !digits.starts_with(['-', '+']) => Cow::Owned(format!("{sign}{digits}")),
        _ => Cow::Borrowed(text),
    }
}

pub fn float<'v>(value: &Value<'v>, arguments: &Arguments<'v>, _: &mut Meter) -> Result<Value<'v>, String> {
    let decimal = match value {
        Value::Number(number) => number.exact(),
        Value::Bool(flag) => Ok(f64::from(u8::from(*flag))),
        Value::Text(text) => exact_decimal(text.trim()),
        other => Err(arguments.needs("a number or a string", other)),
    };
    or_default(decimal.and_then(Number::decimal).map(Value::Number), arguments)
}

fn exact_decimal(text: &str) -> Result<f64, String> {
    let shown = || text.chars().take(60).collect::<String>();
    let (true, Ok(decimal)) = (Digits::read(text).is_some(), text.parse::<f64>()) else {
        return Err(format!(
            "`float` needs a number, not the string {:?}; give a default: `float(0)`",
            shown()
        ));
    };
    // A whole number is checked as a decimal one.
    let point = if text.contains(['.', 'e', 'E']) { "" } else { ".0" };
    check_number(&format!("{text}{point}")).map_err(|_| {
        format!(
            "`float` would round {}: a decimal number holds 15 to 17 digits",
            shown()
        )
    })?;
    Ok(decimal)
}

/// Spellings of true and false in forms and environment variables.
pub fn bool<'v>(value: &Value<'v>, arguments: &Arguments<'v>, _: &mut Meter) -> Result<Value<'v>, String> {
    let flag = match value {
        Value::Bool(flag) => Ok(*flag),
        Value::Number(number) if *number == Number::Whole(1) => Ok(true),
        Value::Number(number) if number.is_zero() => Ok(false),
        Value::Text(text) => match text.trim().to_lowercase().as_str() {
            "true" | "yes" | "on" | "1" | "y" | "t" => Ok(true),
            "false" | "no" | "off" | "0" | "n" | "f" | "" => Ok(false),
            _ => Err("`bool` needs true/false, yes/no, on/off or 1/0; give a default: `bool(false)`".to_owned()),
        },
        other => Err(arguments.needs("a boolean, 1, 0 or a string", other)),
    };
    or_default(flag.map(Value::Bool), arguments)
}

pub fn round<'v>(value: &Value<'v>, arguments: &Arguments<'v>, _: &mut Meter) -> Result<Value<'v>, String> {
    let Value::Number(number) = value else {
        return Err(arguments.needs("a number", value));
    };
    let digits = arguments
        .whole(0)
        .and_then(|digits| i32::try_from(digits).ok())
        .unwrap_or(0);
    let decimal = match number {
        Number::Whole(_) if digits >= 0 => return Ok(value.clone()),
        number => number.exact()?,
    };
    let scale = 10_f64.powi(digits);
    let scaled = decimal * scale;
    let rounded = match arguments.text(1).unwrap_or("common") {
        "common" => scaled.round(),
        "ceil" => scaled.ceil(),
        _ => scaled.floor(),
    };
    // A number that is too large for its digits has none to round.
    let rounded = if scaled.is_finite() { rounded / scale } else { decimal };
    Number::decimal(rounded).map(Value::Number)
}

pub fn string<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    let text = plain(value, arguments, meter)?.into_owned();
    meter.make(text.len())?;
    Ok(Value::text(text))
}

pub fn to_json<'v>(value: &Value<'v>, _: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    let text = value.to_json(&mut meter.text_budget())?.to_string();
    meter.make(text.len())?;
    Ok(Value::text(text))
}

pub fn from_json<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    let Value::Text(text) = value else {
        return Err(arguments.needs("a string", value));
    };
    // Every value except the first follows one of these.
    let values = text.bytes().filter(|b| b",:[{".contains(b)).count();
    meter.make(text.len().saturating_add(values.saturating_mul(2 * SLOT_BYTES)))?;
    match crate::json::parse(text) {
        Ok(json) => Ok(Value::from_owned(json)),
        Err(Refused::Syntax(why)) => Err(format!("`from_json` reads text that is not JSON: {why}")),
        Err(Refused::Fields(errors)) => {
            let errors = errors.iter().map(|error| match error.path.as_str() {
                "" => error.message.clone(),
                path => format!("{path} {}", error.message),
            });
            let errors = errors.collect::<Vec<_>>().join("; ");
            Err(format!("`from_json` reads a value that cannot be stored: {errors}"))
        }
    }
}

pub fn b64encode<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    let text = plain(value, arguments, meter)?;
    meter.make(text.len().saturating_mul(2))?;
    Ok(Value::text(BASE64_STANDARD.encode(text.as_bytes())))
}

pub fn b64decode<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    let Value::Text(text) = value else {
        return Err(arguments.needs("a string", value));
    };
    meter.make(text.len())?;
    let bytes = BASE64_STANDARD
        .decode(text.trim())
        .map_err(|e| format!("`b64decode` reads text that is not base64: {e}"))?;
    let text = String::from_utf8(bytes).map_err(|_| "`b64decode` gives bytes that are not UTF-8 text")?;
    Ok(Value::text(text))
}
