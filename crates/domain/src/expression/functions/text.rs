//! Functions on strings.

use super::item::field;
use crate::expression::{
    arguments::Arguments,
    value::{Meter, TEXT_MAX, Text, Value},
};
use std::borrow::Cow;

/// How many characters a text may have in addition to the length of `truncate` without being cut.
const LEEWAY: usize = 5;
/// The maximum number of parts that a string is split into.
const PARTS_MAX: usize = 10_000;

/// The text of a string, a number or a boolean; containers are for `tojson` and `join`.
pub fn plain<'a>(value: &'a Value<'_>, arguments: &Arguments<'_>, meter: &Meter) -> Result<Cow<'a, str>, String> {
    match value {
        Value::Text(text) => Ok(Cow::Borrowed(text)),
        Value::Number(number) => Ok(Cow::Owned(meter.written(*number).to_string())),
        Value::Bool(flag) => Ok(Cow::Borrowed(if *flag { "true" } else { "false" })),
        other => Err(arguments.needs("a string", other)),
    }
}

fn mapped<'v>(
    value: &Value<'v>,
    arguments: &Arguments<'v>,
    meter: &mut Meter,
    map: impl FnOnce(&str) -> String,
) -> Result<Value<'v>, String> {
    let text = plain(value, arguments, meter)?;
    // Some letters grow when their case changes, at most to three times their size.
    meter.make(text.len().saturating_mul(3))?;
    Ok(Value::text(map(&text)))
}

pub fn upper<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    mapped(value, arguments, meter, str::to_uppercase)
}

pub fn lower<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    mapped(value, arguments, meter, str::to_lowercase)
}

pub fn capitalize<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    mapped(value, arguments, meter, capitalized)
}

/// The filter: words begin behind blanks, hyphens and opening brackets, as in Jinja.
pub fn title<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    let begins_word = |before: char| before.is_whitespace() || "-({[<".contains(before);
    mapped(value, arguments, meter, |text| titled(text, begins_word))
}

/// The method: words begin behind everything that is not a letter, as in Python.
pub fn title_method<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    mapped(value, arguments, meter, |text| {
        titled(text, |before| !before.is_alphabetic())
    })
}

fn titled(text: &str, begins_word: impl Fn(char) -> bool) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut begins = true;
    for char in text.chars() {
        if begins {
            titled.extend(char.to_uppercase());
        } else {
            titled.extend(char.to_lowercase());
        }
        begins = begins_word(char);
    }
    titled
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars.flat_map(char::to_lowercase)).collect(),
        None => String::new(),
    }
}

fn trimmed<'v>(
    value: &Value<'v>,
    arguments: &Arguments<'v>,
    meter: &mut Meter,
    (start, end): (bool, bool),
) -> Result<Value<'v>, String> {
    mapped(value, arguments, meter, |text| {
        let chars = arguments.text(0);
        let is_trimmed = |c: char| chars.map_or(c.is_whitespace(), |chars| chars.contains(c));
        let text = if start {
            text.trim_start_matches(is_trimmed)
        } else {
            text
        };
        let text = if end { text.trim_end_matches(is_trimmed) } else { text };
        text.to_owned()
    })
}

pub fn trim<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    trimmed(value, arguments, meter, (true, true))
}

pub fn trim_start<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    trimmed(value, arguments, meter, (true, false))
}

pub fn trim_end<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    trimmed(value, arguments, meter, (false, true))
}

pub fn replace<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    let text = plain(value, arguments, meter)?;
    let (old, new) = (
        arguments.text(0).unwrap_or_default(),
        arguments.text(1).unwrap_or_default(),
    );
    // A negative count replaces all, as in Python.
    let count = arguments
        .whole(2)
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or(usize::MAX);
    let found = text.matches(old).take(count).count();
    let size = text.len().saturating_add(found.saturating_mul(new.len()));
    if size > TEXT_MAX {
        return Err("creates a string with `replace` that is too long".to_owned());
    }
    meter.make(size)?;
    Ok(Value::text(text.replacen(old, new, count)))
}

pub fn split<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    let text = plain(value, arguments, meter)?;
    let most = match arguments.whole(1) {
        None | Some(..0) => usize::MAX,
        Some(most) => usize::try_from(most).unwrap_or(usize::MAX),
    };
    match arguments.text(0) {
        Some(separator) => parts(text.splitn(most.saturating_add(1), separator), meter),
        None if most == usize::MAX => parts(text.split_whitespace(), meter),
        None => Err("`split` needs a separator with `maxsplit`".to_owned()),
    }
}

pub fn lines<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    parts(plain(value, arguments, meter)?.lines(), meter)
}

fn parts<'v, 't>(texts: impl Iterator<Item = &'t str>, meter: &mut Meter) -> Result<Value<'v>, String> {
    let mut parts = Vec::new();
    for text in texts {
        if parts.len() == PARTS_MAX {
            return Err(format!("splits a string into more than {PARTS_MAX} parts"));
        }
        meter.item()?;
        meter.make(text.len())?;
        parts.push(Value::text(text.to_owned()));
    }
    Ok(Value::list(parts))
}

/// Two strings: a number has no beginning.
fn both<'a>(
    value: &'a Value<'_>,
    arguments: &'a Arguments<'_>,
    meter: &mut Meter,
) -> Result<(&'a str, &'a str), String> {
    match (value, arguments.text(0)) {
        (Value::Text(text), Some(part)) => {
            meter.read(part.len())?;
            Ok((text, part))
        }
        _ => Err(arguments.needs("a string", value)),
    }
}

pub fn starts_with<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    both(value, arguments, meter).map(|(text, part)| Value::Bool(text.starts_with(part)))
}

pub fn ends_with<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    both(value, arguments, meter).map(|(text, part)| Value::Bool(text.ends_with(part)))
}

pub fn truncate<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    let text = plain(value, arguments, meter)?;
    let most = arguments
        .whole(0)
        .and_then(|most| usize::try_from(most).ok())
        .unwrap_or(255);
    let end = arguments.text(2).unwrap_or("...");
    let leeway = arguments
        .whole(3)
        .and_then(|leeway| usize::try_from(leeway).ok())
        .unwrap_or(LEEWAY);
    let Some(kept) = most.checked_sub(end.chars().count()) else {
        return Err(format!(
            "has `truncate` to {most} characters, which is shorter than its end {end:?}: give a shorter end, as in `truncate({most}, end='')`"
        ));
    };
    meter.make(text.len())?;
    if text.chars().count() <= most.saturating_add(leeway) {
        return Ok(Value::text(text.into_owned()));
    }
    let cut: String = text.chars().take(kept).collect();
    let words = cut.rsplit_once(' ').map_or(cut.as_str(), |(words, _)| words);
    let kept = if arguments.flag(1) == Some(true) { &cut } else { words };
    Ok(Value::text(format!("{kept}{end}")))
}

pub fn join<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    let separator = arguments.text(0).unwrap_or_default();
    joined(value, separator, arguments.get(1), arguments, meter)
}

/// `', '.join(list)`
pub fn join_items<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
    match (value, arguments.get(0)) {
        (Value::Text(separator), Some(items)) => joined(items, separator, None, arguments, meter),
        _ => Err(arguments.needs("a string in front of it", value)),
    }
}

fn joined<'v>(
    list: &Value<'v>,
    separator: &str,
    attribute: Option<&Value<'v>>,
    arguments: &Arguments<'v>,
    meter: &mut Meter,
) -> Result<Value<'v>, String> {
    let Value::List(items) = list else {
        return Err(arguments.needs("a list", list));
    };
    let mut out = String::new();
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            meter.make(separator.len())?;
            out.push_str(separator);
        }
        let item = match attribute {
            Some(name) => field(&item, name, i, arguments, meter)?,
            None => item,
        };
        if matches!(item, Value::List(_) | Value::Object(_) | Value::Null) {
            return Err(format!("`join` needs strings and numbers: item {i} is {}", item.kind()));
        }
        meter.step()?;
        item.write_metered(&mut out, meter)?;
        if out.len() > TEXT_MAX {
            return Err("creates a string with `join` that is too long".to_owned());
        }
    }
    Ok(Value::text(out))
}

/// A string that was derived from another one.
pub fn made<'v>(text: &str, meter: &mut Meter) -> Result<Text<'v>, String> {
    meter.make(text.len())?;
    Ok(Text::Made(text.into()))
}
