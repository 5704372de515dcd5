//! Finds a function by its name.

use super::{advice::advice, table::FUNCTIONS};
use crate::{
    expression::arguments::{Function, Place},
    spelled::closest_match,
};

/// The function of this name. The error suggests a similar name or an alternative.
pub fn find(name: &str, place: Place) -> Result<&'static Function, String> {
    let found = FUNCTIONS
        .iter()
        .find(|function| function.places.contains(&place) && function.names.contains(&name));
    found.ok_or_else(|| unknown(name, place))
}

fn unknown(name: &str, place: Place) -> String {
    let known = FUNCTIONS
        .iter()
        .filter(|function| function.places.contains(&place))
        .flat_map(|function| function.names.iter().copied())
        .collect::<Vec<_>>();
    let what = place.as_str();
    let hint = advice(name)
        .map(str::to_owned)
        .or_else(|| elsewhere(name, place))
        .or_else(|| closest_match(name, &known).map(|meant| format!("did you mean {meant:?}?")))
        .unwrap_or_else(|| {
            // The symbols of tests such as `selectattr('n', '>', 3)` are not names.
            let names = known
                .iter()
                .filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()));
            format!("there are {}", names.copied().collect::<Vec<_>>().join(", "))
        });
    format!("uses the unknown {what} {name:?}: {hint}")
}

/// A function with this name and another syntax.
fn elsewhere(name: &str, place: Place) -> Option<String> {
    let function = FUNCTIONS.iter().find(|function| function.names.contains(&name))?;
    let other = function.places.iter().find(|other| **other != place)?;
    let example = match other {
        Place::Filter => format!("value | {name}"),
        Place::Test => format!("value is {name}"),
        Place::Method => format!("value.{name}()"),
    };
    Some(format!("it is a {}, written `{example}`", other.as_str()))
}
