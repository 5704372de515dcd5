//! Conversions, and what stands in for a missing value.

use super::text::plain;
use crate::{
    expression::{
        arguments::Arguments,
        value::{Budget, Meter, SLOT_BYTES, TEXT_MAX, Value},
    },
    number::{Number, truncated},
};
use base64::{Engine, prelude::BASE64_STANDARD};

/// `default(value, true)` also stands in for what is empty, as in Jinja.
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
                .ok_or("gives a whole number that does not fit 128 bits")?;
            Ok(Value::Number(Number::Whole(positive)))
        }
        Value::Number(Number::Decimal(decimal)) => Ok(Value::Number(Number::Decimal(decimal.abs()))),
        other => Err(arguments.needs("a number", other)),
    }
}

/// The value, or the default where one was given, or why there is none.
fn or_default<'v>(converted: Result<Value<'v>, String>, arguments: &Arguments<'v>) -> Result<Value<'v>, String> {
    match (converted, arguments.get(0)) {
        (Err(_), Some(other)) => Ok(other.clone()),
        (converted, _) => converted,
    }
}

pub fn int<'v>(value: &Value<'v>, arguments: &Arguments<'v>, _: &mut Meter) -> Result<Value<'v>, String> {
    let base = arguments.whole(1).unwrap_or(10);
    let base = u32::try_from(base).ok().filter(|base| (2..=36).contains(base));
    let base = base.ok_or("`int` takes a `base` from 2 to 36")?;
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
    format!("`int` gives {} that does not fit 128 bits", value.kind())
}

/// Digit by digit, so that a long number is not rounded: `"9007199254740993.7"`.
fn whole_part(text: &str, base: u32) -> Result<i128, String> {
    let text = text.trim();
    let shown = || text.chars().take(60).collect::<String>();
    if let Ok(whole) = i128::from_str_radix(text, base) {
        return Ok(whole);
    }
    let not_a_number = || {
        format!(
            "`int` needs a number, not the string {:?}; give a default: `int(0)`",
            shown()
        )
    };
    if base != 10 {
        return Err(not_a_number());
    }
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if digits(whole.trim_start_matches(['-', '+'])) && digits(fraction) {
        return whole
            .parse()
            .map_err(|_| format!("`int` gives a whole number that does not fit 128 bits: {}", shown()));
    }
    let decimal: f64 = text.parse().map_err(|_| not_a_number())?;
    truncated(decimal).ok_or_else(not_a_number)
}

pub fn float<'v>(value: &Value<'v>, arguments: &Arguments<'v>, _: &mut Meter) -> Result<Value<'v>, String> {
    let decimal = match value {
        Value::Number(number) => Ok(number.nearest()),
        Value::Bool(flag) => Ok(f64::from(u8::from(*flag))),
        Value::Text(text) => text.trim().parse::<f64>().map_err(|_| {
            let shown: String = text.chars().take(60).collect();
            format!("`float` needs a number, not the string {shown:?}; give a default: `float(0)`")
        }),
        other => Err(arguments.needs("a number or a string", other)),
    };
    or_default(decimal.and_then(Number::decimal).map(Value::Number), arguments)
}

/// What people write for true and false, in forms and in environment variables.
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
    let digits = arguments.whole(0).unwrap_or(0);
    let digits = i32::try_from(digits).ok().filter(|digits| (0..=15).contains(digits));
    let digits = digits.ok_or("`round` takes 0 to 15 digits")?;
    let decimal = match number {
        Number::Whole(_) => return Ok(value.clone()),
        Number::Decimal(decimal) => *decimal,
    };
    let scale = 10_f64.powi(digits);
    let scaled = decimal * scale;
    let rounded = match arguments.text(1).unwrap_or("common") {
        "common" => scaled.round(),
        "ceil" => scaled.ceil(),
        "floor" => scaled.floor(),
        _ => return Err("`round` takes the `method` 'common', 'ceil' or 'floor'".to_owned()),
    };
    // A number that is too large for its digits has none to round.
    let rounded = if scaled.is_finite() { rounded / scale } else { decimal };
    Number::decimal(rounded).map(Value::Number)
}

pub fn string<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    let text = plain(value, arguments)?.into_owned();
    meter.make(text.len())?;
    Ok(Value::text(text))
}

pub fn to_json<'v>(value: &Value<'v>, _: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    let text = value.to_json(&mut Budget::new(TEXT_MAX))?.to_string();
    meter.make(text.len())?;
    Ok(Value::text(text))
}

pub fn from_json<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    let Value::Text(text) = value else {
        return Err(arguments.needs("a string", value));
    };
    // Every value but the first stands behind one of these.
    let values = text.bytes().filter(|b| b",:[{".contains(b)).count();
    meter.make(text.len().saturating_add(values.saturating_mul(2 * SLOT_BYTES)))?;
    if let Some(number) = wide_number(text) {
        let shown: String = number.chars().take(60).collect();
        return Err(format!(
            "`from_json` reads a whole number that does not fit 64 bits: {shown}"
        ));
    }
    let json = serde_json::from_str(text).map_err(|e| format!("`from_json` reads text that is not JSON: {e}"))?;
    Ok(Value::from_owned(json))
}

/// The first whole number outside of strings that 64 bits do not hold; the parser would round it.
fn wide_number(json: &str) -> Option<&str> {
    let is_number = |c: char| c.is_ascii_digit() || ['-', '+', '.', 'e', 'E'].contains(&c);
    let mut rest = json;
    while let Some(start) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        rest = &rest[start..];
        if let Some(text) = rest.strip_prefix('"') {
            rest = after_string(text);
            continue;
        }
        let len = rest.find(|c| !is_number(c)).unwrap_or(rest.len());
        let (number, behind) = rest.split_at(len);
        let is_whole = !number.contains(['.', 'e', 'E']);
        if is_whole && number.len() > 18 && number.parse::<i64>().is_err() && number.parse::<u64>().is_err() {
            return Some(number);
        }
        rest = behind;
    }
    None
}

/// What is left behind the closing quote.
fn after_string(text: &str) -> &str {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

pub fn b64encode<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    let text = plain(value, arguments)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_numbers_are_seen() {
        let check = |json: &str, expected: Option<&str>| assert_eq!(wide_number(json), expected, "{json}");
        check("[1, 18446744073709551615, -9223372036854775808]", None);
        check("[18446744073709551616]", Some("18446744073709551616"));
        check(r#"{"a": -9223372036854775809}"#, Some("-9223372036854775809"));
        check(r#"{"99999999999999999999": "\"99999999999999999999"}"#, None);
        check("99999999999999999999.5", None);
        check("1e99999", None);
        check(r#""open 99999999999999999999"#, None);
    }
}
