//! Functions that visit each item of a list.

use super::{
    item::{field, field_or_missing, items_of},
    list::sorted,
};
use crate::expression::{
    arguments::Arguments,
    compare::equal,
    value::{List, Meter, Value},
};

type Answer<'v> = Result<Value<'v>, String>;

pub fn map<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    let mut mapped = Vec::new();
    for (i, item) in items_of(value, arguments)?.iter().enumerate() {
        meter.item()?;
        mapped.push(match (arguments.get(0), arguments.get(1), &arguments.inner) {
            (Some(name), None, _) => field(&item, name, i, arguments, meter)?,
            (Some(name), Some(default), _) => match field_or_missing(&item, name, meter)? {
                Value::Missing(_) => default.clone(),
                value => value,
            },
            (None, _, Some(inner)) => inner.apply(&item, meter).map_err(|e| format!("{e} (item {i})"))?,
            (None, _, None) => item,
        });
    }
    Ok(Value::list(mapped))
}

/// The items for which the test holds, or for which it does not.
fn filtered<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter, keep: bool) -> Answer<'v> {
    let mut kept = Vec::new();
    for (i, item) in items_of(value, arguments)?.iter().enumerate() {
        meter.step()?;
        let takes_missing = arguments
            .inner
            .as_ref()
            .is_some_and(|inner| inner.function.takes_missing);
        let tested = match arguments.get(0) {
            Some(name) if takes_missing => field_or_missing(&item, name, meter)?,
            Some(name) => field(&item, name, i, arguments, meter)?,
            None => item.clone(),
        };
        let holds = match &arguments.inner {
            Some(test) => test
                .apply(&tested, meter)
                .map_err(|e| format!("{e} (item {i})"))?
                .is_true(),
            None => tested.is_true(),
        };
        if holds == keep {
            meter.item()?;
            kept.push(item);
        }
    }
    Ok(Value::list(kept))
}

pub fn select<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    filtered(value, arguments, meter, true)
}

pub fn reject<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    filtered(value, arguments, meter, false)
}

pub fn select_by<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    filtered(value, arguments, meter, true)
}

pub fn reject_by<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    filtered(value, arguments, meter, false)
}

/// A list of `[key, items]`, in the order of the keys.
pub fn group_by<'v>(value: &Value<'v>, arguments: &Arguments<'v>, meter: &mut Meter) -> Answer<'v> {
    let list = items_of(value, arguments)?;
    let name = arguments.get(0).unwrap_or(&Value::Null);
    let mut keyed = Vec::with_capacity(list.len());
    for (i, item) in list.iter().enumerate() {
        meter.item()?;
        let key = match (field_or_missing(&item, name, meter)?, arguments.get(1)) {
            (Value::Missing(_), Some(default)) => default.clone(),
            (Value::Missing(_), None) => field(&item, name, i, arguments, meter)?,
            (key, _) => key,
        };
        keyed.push((key, item));
    }
    let mut groups: Vec<(Value<'v>, Vec<Value<'v>>)> = Vec::new();
    for (key, item) in sorted(keyed, arguments, meter)? {
        match groups.last_mut() {
            Some((current, items)) if equal(current, &key, meter)? => items.push(item),
            _ => groups.push((key, vec![item])),
        }
    }
    let pairs = groups
        .into_iter()
        .map(|(key, items)| Value::list(vec![key, Value::list(items)]));
    Ok(Value::List(List::Made(pairs.collect())))
}
