//! Regular expressions; their matcher takes linear time.

use super::text::made;
use crate::expression::{
    arguments::Arguments,
    value::{Meter, TEXT_MAX, Value},
};
use regex::{Captures, Regex};

fn parts<'a>(
    value: &'a Value<'_>,
    arguments: &Arguments<'a>,
    meter: &mut Meter,
) -> Result<(&'a str, &'a Regex), String> {
    match (value, arguments.pattern) {
        (Value::Text(text), Some(pattern)) => {
            meter.read(text.len().saturating_mul(4))?;
            Ok((text, pattern))
        }
        _ => Err(arguments.needs("a string", value)),
    }
}

pub fn search<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    let (text, pattern) = parts(value, arguments, meter)?;
    Ok(Value::Bool(pattern.is_match(text)))
}

/// Every match, as in Python: the matched string; with one group, its string; with several groups, the list of their strings.
pub fn find_all<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    let (text, pattern) = parts(value, arguments, meter)?;
    let mut found = Vec::new();
    for captures in pattern.captures_iter(text) {
        meter.item()?;
        let mut groups = Vec::new();
        for group in captures.iter().skip(usize::from(captures.len() > 1)) {
            meter.item()?;
            groups.push(Value::Text(made(group.map_or("", |group| group.as_str()), meter)?));
        }
        match groups.pop() {
            Some(only) if groups.is_empty() => found.push(only),
            last => {
                groups.extend(last);
                found.push(Value::list(groups));
            }
        }
    }
    Ok(Value::list(found))
}

pub fn replace<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    let (text, pattern) = parts(value, arguments, meter)?;
    let replacement = arguments.text(1).unwrap_or_default();
    let mut out = String::new();
    let mut at = 0;
    for captures in pattern.captures_iter(text) {
        let Some(whole) = captures.get(0) else { continue };
        meter.step()?;
        out.push_str(&text[at..whole.start()]);
        expand(replacement, &captures, &mut out);
        at = whole.end();
        if out.len() > TEXT_MAX {
            return Err("creates a string with `regex_replace` that is too long".to_owned());
        }
    }
    out.push_str(&text[at..]);
    meter.make(out.len())?;
    Ok(Value::text(out))
}

/// `\1` and `\g<name>` are groups, as in Python.
fn expand(replacement: &str, captures: &Captures<'_>, out: &mut String) {
    let mut rest = replacement;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let named = rest.strip_prefix("g<").and_then(|rest| rest.split_once('>'));
        let group = |name: &str| match name.parse::<usize>() {
            Ok(index) => captures.get(index),
            Err(_) => captures.name(name),
        };
        if let Some((name, behind)) = named {
            out.push_str(group(name).map_or("", |group| group.as_str()));
            rest = behind;
        } else if rest.starts_with(|c: char| c.is_ascii_digit()) {
            out.push_str(group(&rest[..1]).map_or("", |group| group.as_str()));
            rest = &rest[1..];
        } else {
            out.push('\\');
            rest = rest.strip_prefix('\\').unwrap_or(rest);
        }
    }
    out.push_str(rest);
}
