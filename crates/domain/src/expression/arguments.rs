//! Filters, tests and methods: their parameters, and the values of their arguments.

use super::value::{Meter, Value};
use regex::Regex;

/// The syntax of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `value | name(…)`
    Filter,
    /// `value is name(…)`
    Test,
    /// `value.name(…)`
    Method,
}

impl Place {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Test => "test",
            Self::Method => "method",
        }
    }
}

pub type Run = for<'v> fn(&Value<'v>, &Arguments<'v>, &mut Meter) -> Result<Value<'v>, String>;

#[derive(Debug)]
pub struct Function {
    pub names: &'static [&'static str],
    pub places: &'static [Place],
    pub parameters: &'static [Parameter],
    /// The function that it applies to each item of a list: named by an argument, followed by its arguments.
    pub inner: Option<Place>,
    pub takes_missing: bool,
    pub run: Run,
}

#[derive(Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub kind: ParameterKind,
    pub required: bool,
    pub by_name_only: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    Any,
    Text,
    /// A text that is not empty.
    Part,
    Number,
    Whole,
    /// A whole number that is not negative.
    Count,
    Divisor,
    /// Of a numeral system.
    Base,
    /// How many digits after the decimal point are kept; before it, if negative.
    Digits,
    Rounding,
    /// What `dictsort` sorts by.
    KeyOrValue,
    Flag,
    List,
    Object,
    /// The name of a field, with dots for fields of fields, or the index of an item.
    Field,
    /// A regular expression, written as a literal.
    Pattern,
    /// The same, matching at the start of the string only.
    PatternAtStart,
}

/// The methods of `round`.
const ROUNDINGS: [&str; 3] = ["common", "ceil", "floor"];
const SORTED_BY: [&str; 2] = ["key", "value"];

impl ParameterKind {
    pub fn fits(self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Self::Any, _)
            | (Self::Text | Self::Pattern | Self::PatternAtStart, Value::Text(_))
            | (Self::Number, Value::Number(_))
            | (Self::Flag, Value::Bool(_))
            | (Self::List, Value::List(_))
            | (Self::Object, Value::Object(_)) => true,
            (Self::Part | Self::Field, Value::Text(text)) => !text.is_empty(),
            (Self::Rounding, Value::Text(text)) => ROUNDINGS.contains(&&**text),
            (Self::KeyOrValue, Value::Text(text)) => SORTED_BY.contains(&&**text),
            (_, Value::Number(number)) => number.whole().is_some_and(|whole| self.allows(whole)),
            _ => false,
        }
    }

    fn allows(self, whole: i128) -> bool {
        match self {
            Self::Whole | Self::Field => true,
            Self::Count => whole >= 0,
            Self::Divisor => whole != 0,
            Self::Base => (2..=36).contains(&whole),
            Self::Digits => (-15..=15).contains(&whole),
            _ => false,
        }
    }

    fn needed(self) -> &'static str {
        match self {
            Self::Any => "a value",
            Self::Text => "a string",
            Self::Part => "a string that is not empty",
            Self::Number => "a number",
            Self::Whole => "a whole number",
            Self::Count => "a whole number that is not negative",
            Self::Divisor => "a whole number other than 0",
            Self::Base => "a whole number from 2 to 36",
            Self::Digits => "a whole number from -15 to 15",
            Self::Rounding => "'common', 'ceil' or 'floor'",
            Self::KeyOrValue => "'key' or 'value'",
            Self::Flag => "true or false",
            Self::List => "a list",
            Self::Object => "an object",
            Self::Field => "the name of a field",
            Self::Pattern | Self::PatternAtStart => "a regular expression as a literal string",
        }
    }

    pub fn is_pattern(self) -> bool {
        matches!(self, Self::Pattern | Self::PatternAtStart)
    }
}

/// The values of a call's arguments.
#[derive(Debug)]
pub struct Arguments<'v> {
    pub function: &'static Function,
    pub values: Vec<Option<Value<'v>>>,
    pub inner: Option<Box<Arguments<'v>>>,
    pub pattern: Option<&'v Regex>,
}

/// The value for a message: its type, or the value itself if only its range is wrong.
pub fn given(kind: ParameterKind, value: &Value<'_>) -> String {
    match (kind, value) {
        (
            ParameterKind::Part | ParameterKind::Field | ParameterKind::Rounding | ParameterKind::KeyOrValue,
            Value::Text(text),
        ) => {
            format!("{:?}", text.chars().take(60).collect::<String>())
        }
        (
            ParameterKind::Count | ParameterKind::Divisor | ParameterKind::Base | ParameterKind::Digits,
            Value::Number(number),
        ) => number.to_string(),
        _ => value.kind().to_owned(),
    }
}

pub fn wrong_type(name: &str, parameter: &Parameter, given: &str) -> String {
    format!(
        "must give `{}` of `{name}` as {}, not {given}",
        parameter.name,
        parameter.kind.needed()
    )
}

impl<'v> Arguments<'v> {
    /// Checks what could not be checked when the expression was compiled.
    pub fn check(&self) -> Result<(), String> {
        for (parameter, value) in self.function.parameters.iter().zip(&self.values) {
            if let Some(value) = value.as_ref().filter(|value| !parameter.kind.fits(value)) {
                return Err(wrong_type(self.name(), parameter, &given(parameter.kind, value)));
            }
        }
        Ok(())
    }

    pub fn name(&self) -> &'static str {
        self.function.names[0]
    }

    pub fn get(&self, place: usize) -> Option<&Value<'v>> {
        self.values.get(place)?.as_ref()
    }

    pub fn text(&self, place: usize) -> Option<&str> {
        match self.get(place)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn flag(&self, place: usize) -> Option<bool> {
        match self.get(place)? {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    pub fn whole(&self, place: usize) -> Option<i128> {
        match self.get(place)? {
            Value::Number(number) => number.whole(),
            _ => None,
        }
    }

    /// Runs the function on a value.
    pub fn apply(&self, value: &Value<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
        meter.step()?;
        (self.function.run)(value, self, meter)
    }

    /// "`upper` needs a string, not a list"
    pub fn needs(&self, needed: &str, value: &Value<'_>) -> String {
        format!("`{}` needs {needed}, not {}", self.name(), value.kind())
    }
}
