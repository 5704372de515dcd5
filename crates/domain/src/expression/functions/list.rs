//! Functions on lists and objects.

use super::item::{field, items_of};
use crate::{
    expression::{
        arguments::Arguments,
        compare::{equal, no_order, order},
        value::{List, Meter, Missing, Object, Text, Value},
    },
    number::{self, Number},
};
use std::cmp::Ordering;

type Answer<'v> = Result<Value<'v>, String>;

fn entries_of<'a, 'v>(value: &'a Value<'v>, arguments: &Arguments<'v>) -> Result<&'a Object<'v>, String> {
    match value {
        Value::Object(entries) => Ok(entries),
        other => Err(arguments.needs("an object", other)),
    }
}

fn charged<'v>(items: Vec<Value<'v>>, meter: &mut Meter) -> Answer<'v> {
    for _ in &items {
        meter.item()?;
    }
    Ok(Value::list(items))
}

pub fn length<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    Ok(Value::whole(match value {
        Value::Text(text) => {
            meter.read(text.len())?;
            text.chars().count()
        }
        Value::List(items) => items.len(),
        Value::Object(entries) => entries.len(),
        other => return Err(arguments.needs("a list, an object or a string", other)),
    }))
}

fn end<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter, last: bool) -> Answer<'v> {
    let found = match value {
        Value::List(items) if last => items.len().checked_sub(1).and_then(|index| items.get(index)),
        Value::List(items) => items.get(0),
        Value::Text(text) => {
            meter.step()?;
            let mut chars = text.chars();
            let char = if last { chars.next_back() } else { chars.next() };
            char.map(|char| Value::text(char.to_string()))
        }
        other => return Err(arguments.needs("a list or a string", other)),
    };
    let nothing = if last {
        "the last item of an empty list"
    } else {
        "the first item of an empty list"
    };
    Ok(found.unwrap_or(Value::Missing(Missing::Result(nothing))))
}

pub fn first<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    end(value, arguments, meter, false)
}

pub fn last<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    end(value, arguments, meter, true)
}

/// The items with their sort keys.
fn keyed<'v>(
    value: &Value<'v>,
    attribute: Option<&Value<'v>>,
    ignore_case: bool,
    arguments: &Arguments<'v>,
    meter: &mut Meter,
) -> Result<Vec<(Value<'v>, Value<'v>)>, String> {
    let mut keyed = Vec::new();
    for (i, item) in items_of(value, arguments)?.iter().enumerate() {
        meter.item()?;
        let key = match attribute {
            Some(name) => field(&item, name, i, arguments, meter)?,
            None => item.clone(),
        };
        keyed.push((comparable(key, ignore_case, meter)?, item));
    }
    Ok(keyed)
}

fn comparable<'v>(key: Value<'v>, ignore_case: bool, meter: &mut Meter) -> Answer<'v> {
    match key {
        Value::Text(text) if ignore_case => {
            meter.make(text.len())?;
            Ok(Value::text(text.to_lowercase()))
        }
        key => Ok(key),
    }
}

/// Sorts backwards. Equal ones keep their order.
fn backwards(sorted: &mut [(Value<'_>, Value<'_>)]) {
    sorted.sort_by(|(a, _), (b, _)| plain_order(b, a));
}

/// Sorted by their keys, which must be numbers only or strings only. Equal ones keep their order.
pub fn sorted<'v>(
    mut keyed: Vec<(Value<'v>, Value<'v>)>,
    arguments: &Arguments<'v>,
    meter: &mut Meter,
) -> Result<Vec<(Value<'v>, Value<'v>)>, String> {
    one_kind(&keyed, arguments, meter)?;
    let depth = usize::try_from(keyed.len().checked_ilog2().unwrap_or(0)).unwrap_or(0);
    meter.steps(keyed.len().saturating_mul(depth))?;
    keyed.sort_by(|(a, _), (b, _)| plain_order(a, b));
    Ok(keyed)
}

fn one_kind(keyed: &[(Value<'_>, Value<'_>)], arguments: &Arguments<'_>, meter: &mut Meter) -> Result<(), String> {
    let Some((first, _)) = keyed.first() else { return Ok(()) };
    let mut ordered = true;
    for (key, _) in keyed {
        ordered = ordered && order(first, key, meter)?.is_some();
    }
    if ordered {
        return Ok(());
    }
    let other = keyed.iter().map(|(key, _)| key).find(|key| key.kind() != first.kind());
    Err(no_order(
        &format!("`{}`", arguments.name()),
        first,
        other.unwrap_or(first),
        ("", ""),
    ))
}

/// The order of values that have been checked to be of one kind.
fn plain_order(a: &Value<'_>, b: &Value<'_>) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => (**a).cmp(&**b),
        _ => Ordering::Equal,
    }
}

fn extreme<'v>(
    value: &Value<'v>,
    arguments: &Arguments<'v>,
    meter: &mut Meter,
    best_order: Ordering,
    nothing: &'static str,
) -> Answer<'v> {
    let ignore_case = arguments.flag(1) == Some(false);
    let keyed = keyed(value, arguments.get(0), ignore_case, arguments, meter)?;
    one_kind(&keyed, arguments, meter)?;
    let found = keyed.into_iter().reduce(|best, next| {
        if plain_order(&next.0, &best.0) == best_order {
            next
        } else {
            best
        }
    });
    Ok(found.map_or(Value::Missing(Missing::Result(nothing)), |(_, item)| item))
}

pub fn max<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    extreme(
        value,
        arguments,
        meter,
        Ordering::Greater,
        "the largest item of an empty list",
    )
}

pub fn min<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    extreme(
        value,
        arguments,
        meter,
        Ordering::Less,
        "the smallest item of an empty list",
    )
}

pub fn sum<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    let mut sum = match arguments.get(1) {
        Some(Value::Number(start)) => *start,
        _ => Number::Whole(0),
    };
    for (i, (key, _)) in keyed(value, arguments.get(0), false, arguments, meter)?
        .into_iter()
        .enumerate()
    {
        sum = match key {
            Value::Number(number) => number::add(sum, number)?,
            other => return Err(format!("`sum` needs numbers: item {i} is {}", other.kind())),
        };
    }
    Ok(Value::Number(sum))
}

pub fn sort<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    let ignore_case = arguments.flag(1) == Some(false);
    let keyed = keyed(value, arguments.get(2), ignore_case, arguments, meter)?;
    let mut sorted = sorted(keyed, arguments, meter)?;
    if arguments.flag(0) == Some(true) {
        backwards(&mut sorted);
    }
    Ok(Value::list(sorted.into_iter().map(|(_, item)| item).collect()))
}

/// The first of equal items. Items are equal as for `==`.
pub fn unique<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    let ignore_case = arguments.flag(0) == Some(false);
    let mut kept: Vec<(Value<'v>, Value<'v>)> = Vec::new();
    for (key, item) in keyed(value, arguments.get(1), ignore_case, arguments, meter)? {
        let mut known = false;
        for (other, _) in &kept {
            known = known || equal(other, &key, meter)?;
        }
        if !known {
            kept.push((key, item));
        }
    }
    Ok(Value::list(kept.into_iter().map(|(_, item)| item).collect()))
}

pub fn reverse<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    match value {
        Value::Text(text) => {
            meter.make(text.len())?;
            Ok(Value::text(text.chars().rev().collect()))
        }
        Value::List(items) => charged(items.iter().rev().collect(), meter),
        other => Err(arguments.needs("a list or a string", other)),
    }
}

pub fn list<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    match value {
        Value::List(_) => Ok(value.clone()),
        Value::Object(_) => keys(value, arguments, meter),
        other => Err(arguments.needs("a list or an object", other)),
    }
}

pub fn flatten<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    let levels = arguments.whole(0).unwrap_or(i128::MAX);
    let mut flat = Vec::new();
    spread(items_of(value, arguments)?, levels, &mut flat, meter)?;
    Ok(Value::list(flat))
}

/// Recurses no deeper than values are nested.
fn spread<'v>(list: &List<'v>, levels: i128, flat: &mut Vec<Value<'v>>, meter: &mut Meter) -> Result<(), String> {
    for item in list.iter() {
        meter.item()?;
        match item {
            Value::List(inner) if levels > 0 => spread(&inner, levels - 1, flat, meter)?,
            item => flat.push(item),
        }
    }
    Ok(())
}

fn other_list<'a, 'v>(arguments: &'a Arguments<'v>) -> Result<&'a List<'v>, String> {
    items_of(arguments.get(0).unwrap_or(&Value::Null), arguments)
}

fn holds<'v>(items: &[Value<'v>], item: &Value<'v>, meter: &mut Meter) -> Result<bool, String> {
    for other in items {
        if equal(other, item, meter)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The distinct items of a list that are in the other list, or that are not.
fn common<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter, keep_shared: bool) -> Answer<'v> {
    let other = other_list(arguments)?;
    meter.make(other.len().saturating_mul(crate::expression::value::SLOT_BYTES))?;
    let other = other.iter().collect::<Vec<_>>();
    let mut kept = Vec::new();
    for item in items_of(value, arguments)?.iter() {
        if holds(&other, &item, meter)? == keep_shared && !holds(&kept, &item, meter)? {
            meter.item()?;
            kept.push(item);
        }
    }
    Ok(Value::list(kept))
}

pub fn intersect<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    common(value, arguments, meter, true)
}

pub fn difference<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    common(value, arguments, meter, false)
}

pub fn union<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    let mut kept = Vec::new();
    for item in items_of(value, arguments)?.iter().chain(other_list(arguments)?.iter()) {
        if !holds(&kept, &item, meter)? {
            meter.item()?;
            kept.push(item);
        }
    }
    Ok(Value::list(kept))
}

fn pairs<'v>(
    value: &Value<'v>,
    arguments: &Arguments<'v>,
    meter: &mut Meter,
) -> Result<Vec<(Text<'v>, Value<'v>)>, String> {
    let entries = entries_of(value, arguments)?;
    for _ in 0..entries.len() {
        // An entry and the list that holds it.
        meter.make(4 * crate::expression::value::SLOT_BYTES)?;
        meter.step()?;
    }
    Ok(entries.entries())
}

pub fn items<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    let pairs = pairs(value, arguments, meter)?;
    let lists = pairs
        .into_iter()
        .map(|(key, item)| Value::list(vec![Value::Text(key), item]));
    Ok(Value::list(lists.collect()))
}

pub fn sorted_items<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    let by_value = arguments.text(1) == Some("value");
    let ignore_case = arguments.flag(0) != Some(true);
    let mut keyed = Vec::new();
    for (name, item) in pairs(value, arguments, meter)? {
        let name = Value::Text(name);
        let key = if by_value { &item } else { &name };
        let key = comparable(key.clone(), ignore_case, meter)?;
        keyed.push((key, Value::list(vec![name, item])));
    }
    let mut sorted = sorted(keyed, arguments, meter)?;
    if arguments.flag(2) == Some(true) {
        backwards(&mut sorted);
    }
    Ok(Value::list(sorted.into_iter().map(|(_, pair)| pair).collect()))
}

pub fn named_items<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    let pairs = pairs(value, arguments, meter)?;
    let objects = pairs.into_iter().map(|(key, item)| {
        let entries = vec![
            (Text::Borrowed("key"), Value::Text(key)),
            (Text::Borrowed("value"), item),
        ];
        Value::object(entries)
    });
    Ok(Value::list(objects.collect()))
}

pub fn keys<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    let pairs = pairs(value, arguments, meter)?;
    Ok(Value::list(
        pairs.into_iter().map(|(key, _)| Value::Text(key)).collect(),
    ))
}

pub fn values<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    let pairs = pairs(value, arguments, meter)?;
    Ok(Value::list(pairs.into_iter().map(|(_, item)| item).collect()))
}

/// `object.get('name', default)`: null without a default, as in Python.
pub fn get<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    let entries = entries_of(value, arguments)?;
    meter.step()?;
    let found = arguments.text(0).and_then(|name| entries.get(name));
    Ok(found.or_else(|| arguments.get(1).cloned()).unwrap_or(Value::Null))
}

/// The entries of both; those of the other object win.
pub fn combine<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    let mine = pairs(value, arguments, meter)?;
    let other = arguments.get(0).unwrap_or(&Value::Null);
    let theirs = entries_of(other, arguments)?;
    let mut entries = Vec::new();
    for (key, item) in mine {
        meter.steps(1 + theirs.len() / 8)?;
        if theirs.get(&key).is_none() {
            entries.push((key, item));
        }
    }
    entries.extend(pairs(other, arguments, meter)?);
    Ok(Value::object(entries))
}
