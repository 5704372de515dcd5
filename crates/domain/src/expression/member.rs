//! The members of a value: fields of objects, items of lists, characters of texts.

use super::value::{Meter, Object, Value};
use crate::json::list_index;

/// A name or an index.
pub enum Part<'k> {
    Name(&'k str),
    Index(i64),
}

/// The member of a value with this name or index.
pub fn member<'v>(container: &Value<'v>, key: &Part<'_>, meter: &mut Meter) -> Result<Option<Value<'v>>, String> {
    meter.step()?;
    Ok(match (container, key) {
        (Value::Object(entries), Part::Name(name)) => {
            if let Object::Made(entries) = entries {
                meter.steps(entries.len() / 8)?;
            }
            entries.get(name)
        }
        (Value::Object(entries), Part::Index(index)) => entries.get(&index.to_string()),
        (Value::List(items), Part::Index(index)) => place(*index, items.len()).and_then(|index| items.get(index)),
        (Value::Text(text), Part::Index(index)) => {
            meter.read(text.len())?;
            let index = place(*index, text.chars().count());
            let found = index.and_then(|index| text.chars().nth(index));
            found.map(|char| Value::text(char.to_string()))
        }
        // A number among the names of a path addresses an item of a list.
        (Value::List(items), Part::Name(name)) => list_index(name).and_then(|index| items.get(index)),
        _ => None,
    })
}

/// The position of an index; a negative index counts from the end.
fn place(index: i64, len: usize) -> Option<usize> {
    match usize::try_from(index) {
        Ok(index) => Some(index),
        Err(_) => len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}
