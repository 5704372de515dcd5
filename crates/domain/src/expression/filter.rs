//! The filters and tests that expressions have: those whose result is bounded by their input, written here so that each
//! bound can be seen. Nothing of the engine's own list is taken over as a whole.

use super::{
    check::NUMBER,
    value::{Budget, to_json},
};
use minijinja::{
    Environment, Error, ErrorKind, tests,
    value::{Value, ValueKind},
};

pub const NAMES: [&str; 22] = [
    "abs",
    "capitalize",
    "count",
    "d",
    "default",
    "first",
    "float",
    "int",
    "join",
    "last",
    "length",
    "lower",
    "max",
    "min",
    "replace",
    "round",
    "split",
    "string",
    "title",
    "tojson",
    "trim",
    "upper",
];
pub const TESTS: [&str; 23] = [
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "even",
    "false",
    "float",
    "ge",
    "gt",
    "in",
    "integer",
    "le",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sequence",
    "startingwith",
    "string",
    "undefined",
];

/// The longest text that a filter may make.
const TEXT_MAX: usize = 1024 * 1024;
const ITEMS_MAX: usize = 10_000;

pub fn add_all(env: &mut Environment<'static>) {
    env.add_filter(NUMBER, number);
    env.add_filter("abs", abs);
    env.add_filter("capitalize", |v: &Value| Ok::<_, Error>(capitalize(&text(v)?)));
    env.add_filter("count", length);
    env.add_filter("d", default);
    env.add_filter("default", default);
    env.add_filter("first", |v: &Value| {
        items(v)?.next().ok_or_else(|| wrong("the list is empty"))
    });
    env.add_filter("float", float);
    env.add_filter("int", int);
    env.add_filter("join", join);
    env.add_filter("last", |v: &Value| {
        items(v)?.last().ok_or_else(|| wrong("the list is empty"))
    });
    env.add_filter("length", length);
    env.add_filter("lower", |v: &Value| Ok::<_, Error>(text(v)?.to_lowercase()));
    env.add_filter("max", |v: &Value| {
        items(v)?.max().ok_or_else(|| wrong("the list is empty"))
    });
    env.add_filter("min", |v: &Value| {
        items(v)?.min().ok_or_else(|| wrong("the list is empty"))
    });
    env.add_filter("replace", replace);
    env.add_filter("round", round);
    env.add_filter("split", split);
    env.add_filter("string", text);
    env.add_filter("title", |v: &Value| {
        Ok::<_, Error>(text(v)?.split(' ').map(capitalize).collect::<Vec<_>>().join(" "))
    });
    env.add_filter("tojson", to_json_text);
    env.add_filter("trim", |v: &Value| Ok::<_, Error>(text(v)?.trim().to_owned()));
    env.add_filter("upper", |v: &Value| Ok::<_, Error>(text(v)?.to_uppercase()));
    add_tests(env);
}

fn add_tests(env: &mut Environment<'static>) {
    env.add_test("boolean", tests::is_boolean);
    env.add_test("defined", tests::is_defined);
    env.add_test("divisibleby", tests::is_divisibleby);
    env.add_test("endingwith", tests::is_endingwith);
    env.add_test("eq", tests::is_eq);
    env.add_test("even", tests::is_even);
    env.add_test("false", tests::is_false);
    env.add_test("float", tests::is_float);
    env.add_test("ge", tests::is_ge);
    env.add_test("gt", tests::is_gt);
    env.add_test("in", tests::is_in);
    env.add_test("integer", tests::is_integer);
    env.add_test("le", tests::is_le);
    env.add_test("lt", tests::is_lt);
    env.add_test("mapping", tests::is_mapping);
    env.add_test("ne", tests::is_ne);
    env.add_test("none", tests::is_none);
    env.add_test("number", tests::is_number);
    env.add_test("odd", tests::is_odd);
    env.add_test("sequence", tests::is_sequence);
    env.add_test("startingwith", tests::is_startingwith);
    env.add_test("string", tests::is_string);
    env.add_test("undefined", tests::is_undefined);
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// The guard of `*`.
fn number(value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Number => Ok(value.clone()),
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        kind => Err(wrong(format!("`*` needs two numbers, not {kind}"))),
    }
}

/// The text of a string, a number or a boolean; containers are for `tojson` and `join`.
fn text(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::String => Ok(value.as_str().unwrap_or_default().to_owned()),
        ValueKind::Number | ValueKind::Bool => to_json_text(value),
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        kind => Err(wrong(format!("a string is needed, not {kind}"))),
    }
}

fn to_json_text(value: &Value) -> Result<String, Error> {
    let json = to_json(value, &mut Budget::new(TEXT_MAX)).map_err(wrong)?;
    Ok(json.to_string())
}

fn items(value: &Value) -> Result<impl Iterator<Item = Value>, Error> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => value.try_iter(),
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        kind => Err(wrong(format!("a list is needed, not {kind}"))),
    }
}

fn abs(value: &Value) -> Result<Value, Error> {
    let number = number(value)?;
    match i64::try_from(number.clone()) {
        Ok(whole) if number.is_integer() => Ok(Value::from(whole.unsigned_abs())),
        _ => Ok(Value::from(f64::try_from(number)?.abs())),
    }
}

fn capitalize(text: impl AsRef<str>) -> String {
    let mut chars = text.as_ref().chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars.flat_map(char::to_lowercase)).collect(),
        None => String::new(),
    }
}

fn default(value: &Value, other: Option<Value>) -> Value {
    if value.is_undefined() {
        other.unwrap_or_else(|| Value::from(""))
    } else {
        value.clone()
    }
}

fn length(value: &Value) -> Result<usize, Error> {
    match value.kind() {
        ValueKind::String => Ok(value.as_str().unwrap_or_default().chars().count()),
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        kind => value.len().ok_or_else(|| wrong(format!("{kind} has no length"))),
    }
}

fn float(value: &Value) -> Result<f64, Error> {
    match value.as_str() {
        Some(text) => text.trim().parse().map_err(|_| wrong("the text is not a number")),
        None => f64::try_from(value.clone()),
    }
}

fn int(value: &Value) -> Result<i64, Error> {
    if let Some(Ok(whole)) = value.as_str().map(|text| text.trim().parse()) {
        return Ok(whole);
    }
    if value.is_integer() {
        return i64::try_from(value.clone());
    }
    let float = float(value)?.trunc();
    // 2^63 is exact as a double, so the comparison is as well.
    if float.abs() < 9_223_372_036_854_775_808.0 {
        #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
        return Ok(float as i64);
    }
    Err(wrong("the number does not fit 64 bits"))
}

fn round(value: &Value, digits: Option<i32>) -> Result<Value, Error> {
    let digits = digits.unwrap_or(0);
    if !(0..=15).contains(&digits) {
        return Err(wrong("`round` takes 0 to 15 digits"));
    }
    if value.is_integer() {
        return Ok(value.clone());
    }
    let scale = 10_f64.powi(digits);
    Ok(Value::from((f64::try_from(number(value)?)? * scale).round() / scale))
}

fn join(value: &Value, separator: Option<&str>) -> Result<String, Error> {
    let mut joined = String::new();
    for (i, item) in items(value)?.enumerate() {
        if i > 0 {
            joined.push_str(separator.unwrap_or_default());
        }
        joined.push_str(&text(&item)?);
        if joined.len() > TEXT_MAX {
            return Err(wrong("the joined text is too long"));
        }
    }
    Ok(joined)
}

fn replace(value: &Value, from: &str, to: &str) -> Result<String, Error> {
    let text = text(value)?;
    if from.is_empty() {
        return Err(wrong("`replace` needs a text to look for"));
    }
    let longer = text.matches(from).count().saturating_mul(to.len());
    if text.len().saturating_add(longer) > TEXT_MAX {
        return Err(wrong("the replaced text is too long"));
    }
    Ok(text.replace(from, to))
}

fn split(value: &Value, separator: &str) -> Result<Vec<String>, Error> {
    let text = text(value)?;
    if separator.is_empty() {
        return Err(wrong("`split` needs a separator"));
    }
    let parts = text
        .split(separator)
        .map(str::to_owned)
        .take(ITEMS_MAX + 1)
        .collect::<Vec<_>>();
    if parts.len() > ITEMS_MAX {
        return Err(wrong(format!("`split` gives more than {ITEMS_MAX} parts")));
    }
    Ok(parts)
}
