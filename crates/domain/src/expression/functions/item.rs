//! The items of a list and their fields.

use crate::expression::{
    arguments::Arguments,
    member::{Part, member},
    value::{List, Meter, Missing, Value},
};

type Answer<'v> = Result<Value<'v>, String>;

pub fn items_of<'a, 'v>(value: &'a Value<'v>, arguments: &Arguments<'v>) -> Result<&'a List<'v>, String> {
    match value {
        Value::List(items) => Ok(items),
        other => Err(arguments.needs("a list", other)),
    }
}

/// The field `name` of an item, which may contain dots. Missing where it does not exist.
pub fn field_or_missing<'v>(item: &Value<'v>, name: &Value<'v>, meter: &mut Meter) -> Answer<'v> {
    let missing = Value::Missing(Missing::Result("a field of an item"));
    let found = match name {
        Value::Number(number) => match number.whole().and_then(|whole| i64::try_from(whole).ok()) {
            Some(index) => member(item, &Part::Index(index), meter)?,
            None => None,
        },
        Value::Text(path) => {
            let mut at = Some(item.clone());
            for part in path.split('.') {
                at = match at {
                    Some(value) => member(&value, &Part::Name(part), meter)?,
                    None => None,
                };
            }
            at
        }
        _ => None,
    };
    Ok(found.unwrap_or(missing))
}

/// The field `name` of an item. A missing field is an error.
pub fn field<'v>(
    item: &Value<'v>,
    name: &Value<'v>,
    index: usize,
    arguments: &Arguments<'v>,
    meter: &mut Meter,
) -> Answer<'v> {
    match field_or_missing(item, name, meter)? {
        Value::Missing(_) => {
            let (function, name) = (arguments.name(), shown(name));
            Err(format!(
                "`{function}` finds no {name} in item {index}; `selectattr({name}, 'defined')` takes only the items that have it"
            ))
        }
        value => Ok(value),
    }
}

fn shown(name: &Value<'_>) -> String {
    match name {
        Value::Text(name) => format!("'{}'", name.chars().take(60).collect::<String>()),
        Value::Number(number) => number.to_string(),
        other => other.kind().to_owned(),
    }
}
