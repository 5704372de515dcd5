//! Filters, tests and methods: what they take, checked when the expression is written.

use super::{
    ast::{Constant, Expr, Kind},
    functions::{self, FUNCTIONS},
    value::{Meter, Value},
};
use crate::spelled::meant;
use regex::{Regex, RegexBuilder};

const PATTERN_LENGTH_MAX: usize = 1024;
const PATTERN_BYTES_MAX: usize = 256 * 1024;

/// How a function is written.
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

pub type Run = for<'v> fn(Value<'v>, &Arguments<'v>, &mut Meter) -> Result<Value<'v>, String>;

#[derive(Debug)]
pub struct Function {
    pub names: &'static [&'static str],
    pub places: &'static [Place],
    pub parameters: &'static [Parameter],
    /// What it applies to each item of a list: named by an argument, with the arguments after it.
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
    Whole,
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

impl ParameterKind {
    fn fits(self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Self::Any, _)
            | (Self::Text | Self::Pattern | Self::PatternAtStart | Self::Field, Value::Text(_))
            | (Self::Flag, Value::Bool(_))
            | (Self::List, Value::List(_))
            | (Self::Object, Value::Object(_)) => true,
            (Self::Whole | Self::Field, Value::Number(number)) => number.whole().is_some(),
            _ => false,
        }
    }

    fn needed(self) -> &'static str {
        match self {
            Self::Any => "a value",
            Self::Text => "a string",
            Self::Whole => "a whole number",
            Self::Flag => "true or false",
            Self::List => "a list",
            Self::Object => "an object",
            Self::Field => "the name of a field",
            Self::Pattern | Self::PatternAtStart => "a regular expression as a literal string",
        }
    }

    fn is_pattern(self) -> bool {
        matches!(self, Self::Pattern | Self::PatternAtStart)
    }
}

/// A function with its arguments, one for each parameter.
#[derive(Debug)]
pub struct Call {
    pub function: &'static Function,
    pub arguments: Vec<Option<Expr>>,
    pub inner: Option<Box<Call>>,
    pub pattern: Option<Regex>,
}

/// The values of a call's arguments.
#[derive(Debug)]
pub struct Arguments<'v> {
    pub function: &'static Function,
    pub values: Vec<Option<Value<'v>>>,
    pub inner: Option<Box<Arguments<'v>>>,
    pub pattern: Option<&'v Regex>,
}

/// An argument as it is written: `name=value` or `value`.
pub type Written<'s> = (Option<&'s str>, Expr);

/// The function of this name; the error says which one was meant, or what does the same.
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
    let advice = functions::advice(name)
        .map(str::to_owned)
        .or_else(|| elsewhere(name, place))
        .or_else(|| meant(name, &known).map(|meant| format!("did you mean {meant:?}?")))
        .unwrap_or_else(|| {
            // The symbols of tests such as `selectattr('n', '>', 3)` are no names.
            let names = known
                .iter()
                .filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()));
            format!("there are {}", names.copied().collect::<Vec<_>>().join(", "))
        });
    format!("uses the unknown {what} {name:?}: {advice}")
}

/// A function of this name that is written in another way.
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

impl Call {
    pub fn bind(function: &'static Function, name: &str, written: Vec<Written<'_>>) -> Result<Self, String> {
        let mut binder = Binder {
            function,
            name,
            arguments: function.parameters.iter().map(|_| None).collect(),
            rest: Vec::new(),
            inner: None,
        };
        for (keyword, value) in written {
            binder.take(keyword, value)?;
        }
        binder.finish()
    }

    /// Everything that is evaluated for it.
    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        let inner = self.inner.iter().flat_map(|inner| inner.arguments.iter().flatten());
        self.arguments.iter().flatten().chain(inner)
    }
}

struct Binder<'s, 'n> {
    function: &'static Function,
    name: &'n str,
    arguments: Vec<Option<Expr>>,
    /// The arguments of the inner function.
    rest: Vec<Written<'s>>,
    inner: Option<(&'static Function, String)>,
}

impl<'s> Binder<'s, '_> {
    fn take(&mut self, keyword: Option<&'s str>, value: Expr) -> Result<(), String> {
        let parameters = self.function.parameters;
        let place = match keyword {
            Some(name) => parameters.iter().position(|parameter| parameter.name == name),
            None => (0..parameters.len()).find(|i| self.arguments[*i].is_none() && !parameters[*i].by_name_only),
        };
        match (place, self.function.inner, keyword) {
            (Some(place), ..) => self.set(place, value),
            (None, Some(kind), None) if self.inner.is_none() => self.name_inner(kind, &value),
            (None, Some(_), _) if self.inner.is_some() => {
                self.rest.push((keyword, value));
                Ok(())
            }
            (None, _, Some(name)) => Err(self.unknown_keyword(name)),
            (None, _, None) => Err(format!("gives too many arguments to `{}`: {}", self.name, self.takes())),
        }
    }

    fn set(&mut self, place: usize, value: Expr) -> Result<(), String> {
        let parameter = &self.function.parameters[place];
        if self.arguments[place].is_some() {
            return Err(format!("gives `{}` of `{}` twice", parameter.name, self.name));
        }
        if is_null(&value) && !parameter.required && parameter.kind != ParameterKind::Any {
            return Ok(());
        }
        let fits = match literal(&value) {
            Some(literal) => parameter.kind.fits(&literal),
            None => !parameter.kind.is_pattern(),
        };
        if !fits {
            let given = literal(&value).map_or("a computed value", |literal| literal.kind());
            return Err(wrong_type(self.name, parameter, given));
        }
        self.arguments[place] = Some(value);
        Ok(())
    }

    fn name_inner(&mut self, kind: Place, value: &Expr) -> Result<(), String> {
        let Kind::Constant(Constant::Text(name)) = &value.kind else {
            return Err(format!(
                "must give `{}` the name of a {} as a literal string",
                self.name,
                kind.as_str()
            ));
        };
        let function = find(name, kind)?;
        if function.inner.is_some() {
            return Err(format!("cannot use `{name}` inside of `{}`", self.name));
        }
        self.inner = Some((function, name.clone()));
        Ok(())
    }

    fn finish(self) -> Result<Call, String> {
        let takes = self.takes();
        let pairs = self.function.parameters.iter().zip(&self.arguments);
        if let Some((parameter, _)) = pairs.into_iter().find(|(p, argument)| p.required && argument.is_none()) {
            return Err(format!(
                "does not give `{}` to `{}`: {takes}",
                parameter.name, self.name
            ));
        }
        let is_empty = self.arguments.iter().all(Option::is_none) && self.inner.is_none();
        if self.function.inner == Some(Place::Filter) && is_empty {
            return Err(format!(
                "must say what `{0}` makes of each item: `{0}(attribute='name')` or `{0}('upper')`",
                self.name
            ));
        }
        if let (Some(_), Some(inner)) = (self.arguments.iter().flatten().next(), &self.inner)
            && self.function.inner == Some(Place::Filter)
        {
            return Err(format!(
                "gives `{}` both `attribute` and the filter {:?}",
                self.name, inner.1
            ));
        }
        let pattern = self.pattern()?;
        let rest = self.rest;
        let inner = match self.inner {
            Some((function, name)) => Some(Box::new(Call::bind(function, &name, rest)?)),
            None => None,
        };
        Ok(Call {
            function: self.function,
            arguments: self.arguments,
            inner,
            pattern,
        })
    }

    /// The compiled pattern, with the literal flags that go with it.
    fn pattern(&self) -> Result<Option<Regex>, String> {
        let parameters = self.function.parameters;
        let Some(place) = parameters.iter().position(|parameter| parameter.kind.is_pattern()) else {
            return Ok(None);
        };
        let Some(Kind::Constant(Constant::Text(pattern))) = self.arguments[place].as_ref().map(|expr| &expr.kind)
        else {
            return Ok(None);
        };
        let flag = |name: &str| -> Result<bool, String> {
            let place = parameters.iter().position(|parameter| parameter.name == name);
            match place
                .and_then(|place| self.arguments[place].as_ref())
                .map(|expr| &expr.kind)
            {
                None => Ok(false),
                Some(Kind::Constant(Constant::Bool(flag))) => Ok(*flag),
                Some(_) => Err(format!(
                    "must give `{name}` of `{}` as a literal true or false",
                    self.name
                )),
            }
        };
        let at_start = parameters[place].kind == ParameterKind::PatternAtStart;
        compile_pattern(pattern, at_start, flag("ignorecase")?, flag("multiline")?).map(Some)
    }

    fn unknown_keyword(&self, name: &str) -> String {
        let known = self.function.parameters.iter().map(|p| p.name).collect::<Vec<_>>();
        let meant = meant(name, &known).map_or_else(String::new, |meant| format!(" did you mean `{meant}`?"));
        format!(
            "gives `{}` the unknown argument `{name}`:{meant} {}",
            self.name,
            self.takes()
        )
    }

    fn takes(&self) -> String {
        let parameters = self.function.parameters.iter().map(|parameter| {
            if parameter.required {
                parameter.name.to_owned()
            } else {
                format!("[{}]", parameter.name)
            }
        });
        let inner = self
            .function
            .inner
            .map(|place| format!("[name of a {} and its arguments]", place.as_str()));
        let list = parameters.chain(inner).collect::<Vec<_>>();
        if list.is_empty() {
            "it takes no arguments".to_owned()
        } else {
            format!("it takes {}", list.join(", "))
        }
    }
}

fn wrong_type(name: &str, parameter: &Parameter, given: &str) -> String {
    format!(
        "must give `{}` of `{name}` as {}, not {given}",
        parameter.name,
        parameter.kind.needed()
    )
}

fn compile_pattern(pattern: &str, at_start: bool, ignore_case: bool, multi_line: bool) -> Result<Regex, String> {
    if pattern.len() > PATTERN_LENGTH_MAX {
        return Err(format!("has a pattern longer than {PATTERN_LENGTH_MAX} bytes"));
    }
    let anchored = format!("\\A(?:{pattern})");
    RegexBuilder::new(if at_start { &anchored } else { pattern })
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX)
        .case_insensitive(ignore_case)
        .multi_line(multi_line)
        .build()
        .map_err(|error| {
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default();
            format!("has a pattern that is not a regular expression: {reason}")
        })
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr.kind, Kind::Constant(Constant::Null))
}

/// The value of a literal; nothing for what is known only later.
fn literal(expr: &Expr) -> Option<Value<'_>> {
    match &expr.kind {
        Kind::Constant(constant) => Some(constant.value()),
        Kind::List(_) => Some(Value::list(Vec::new())),
        Kind::Object(_) => Some(Value::object(Vec::new())),
        _ => None,
    }
}

impl<'v> Arguments<'v> {
    /// Checks what could not be checked when the expression was written.
    pub fn check(&self) -> Result<(), String> {
        for (parameter, value) in self.function.parameters.iter().zip(&self.values) {
            if let Some(value) = value.as_ref().filter(|value| !parameter.kind.fits(value)) {
                return Err(wrong_type(self.name(), parameter, value.kind()));
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
    pub fn apply(&self, value: Value<'v>, meter: &mut Meter) -> Result<Value<'v>, String> {
        meter.step()?;
        (self.function.run)(value, self, meter)
    }

    /// "`upper` needs a string, not a list"
    pub fn needs(&self, needed: &str, value: &Value<'_>) -> String {
        format!("`{}` needs {needed}, not {}", self.name(), value.kind())
    }
}
