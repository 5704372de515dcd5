//! Binds each written argument to its parameter, or explains why that is impossible.

use super::{
    arguments::{Function, ParameterKind, Place, given, wrong_type},
    ast::{Call, Constant, Expr, Kind},
    functions::find,
    literals::literal,
};
use crate::spelled::closest_match;
use regex::{Regex, RegexBuilder};

const PATTERN_LENGTH_MAX: usize = 1024;
const PATTERN_BYTES_MAX: usize = 256 * 1024;

/// An argument as written: `name=value` or `value`.
pub type Written<'s> = (Option<&'s str>, Expr);

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
            let given = literal(&value).map_or_else(
                || "a computed value".to_owned(),
                |literal| given(parameter.kind, &literal),
            );
            return Err(wrong_type(self.name, parameter, &given));
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
                "must define how `{0}` maps each item: `{0}(attribute='name')` or `{0}('upper')`",
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
        let meant = closest_match(name, &known).map_or_else(String::new, |meant| format!(" did you mean `{meant}`?"));
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
