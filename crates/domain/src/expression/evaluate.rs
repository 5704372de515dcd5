//! Evaluates the tree of an expression for one event.

use super::{
    arguments::Arguments,
    ast::{Call, Constant, Expr, Key, Kind, Operation, Root},
    compare::Comparison,
    member::{Part, member},
    value::{List, Meter, Missing, Text, Value},
};
use crate::{
    event::Context,
    number::{self, Number},
};

pub struct Machine<'v> {
    pub context: Context<'v>,
    /// The whole expression and its text, for messages.
    pub tree: &'v Expr,
    pub source: &'v str,
    pub meter: Meter,
}

impl Constant {
    pub fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Number(number) => Value::Number(*number),
            Self::Text(text) => Value::Text(Text::Borrowed(text)),
        }
    }
}

impl<'v> Machine<'v> {
    /// The value, which must exist.
    pub fn run(&mut self, expr: &'v Expr) -> Result<Value<'v>, String> {
        let value = self.evaluate(expr)?;
        self.there(value)
    }

    /// The value, which may be missing.
    pub fn evaluate(&mut self, expr: &'v Expr) -> Result<Value<'v>, String> {
        self.meter.step()?;
        match &expr.kind {
            Kind::Constant(constant) => Ok(constant.value()),
            Kind::Root(root) => Ok(self.root(*root)),
            Kind::Get(of, key) => self.get(expr, of, key),
            Kind::Slice(of, bounds) => self.slice(of, bounds),
            Kind::Negate(of) => match self.run(of)? {
                Value::Number(number) => number::negate(number).map(Value::Number),
                other => Err(format!(
                    "`-` needs a number, not {} (`{}`)",
                    other.kind(),
                    self.label(of)
                )),
            },
            Kind::Not(of) => Ok(Value::Bool(!self.run(of)?.is_true())),
            Kind::And(a, b) => {
                let left = self.run(a)?;
                if left.is_true() { self.run(b) } else { Ok(left) }
            }
            Kind::Or(a, b) => {
                let left = self.run(a)?;
                if left.is_true() { Ok(left) } else { self.run(b) }
            }
            Kind::Calculate(operation, a, b) => {
                let (left, right) = (self.run(a)?, self.run(b)?);
                self.calculate(*operation, &left, &right, (a, b))
            }
            Kind::Compare(first, rest) => self.compare(first, rest),
            Kind::If {
                condition,
                then,
                otherwise,
            } => {
                if self.run(condition)?.is_true() {
                    self.evaluate(then)
                } else if let Some(otherwise) = otherwise {
                    self.evaluate(otherwise)
                } else {
                    Ok(Value::Missing(Missing::Result("the value of an `if` without `else`")))
                }
            }
            Kind::List(items) => {
                let mut values = Vec::with_capacity(items.len());
                for item in items {
                    self.meter.item()?;
                    values.push(self.run(item)?);
                }
                Ok(Value::list(values))
            }
            Kind::Object(entries) => self.object(entries),
            Kind::Call(of, call) => self.call(of, call),
        }
    }

    fn root(&self, root: Root) -> Value<'v> {
        match root {
            Root::Event => Value::from_json(self.context.event()),
            Root::Parameters => Value::from_json(self.context.parameters()),
            Root::Rule => {
                let name = Value::Text(Text::Borrowed(self.context.rule_ref()));
                Value::object(vec![(Text::Borrowed("ref"), name)])
            }
        }
    }

    /// Rejects a missing value, by its name.
    fn there(&self, value: Value<'v>) -> Result<Value<'v>, String> {
        match value {
            Value::Missing(Missing::At(start, end)) => Err(match self.tree.path_at(&(start..end)) {
                Some(path) if path[0] == "parameters" => format!("{} is missing", path.join(".")),
                Some(path) => format!("{} is missing in the event", path.join(".")),
                None => format!("`{}` is missing", self.source.get(start..end).unwrap_or_default()),
            }),
            Value::Missing(Missing::Result(what)) => Err(format!("{what} is missing")),
            value => Ok(value),
        }
    }

    /// The source text, for messages.
    fn label(&self, expr: &Expr) -> &'v str {
        self.source.get(expr.range.clone()).unwrap_or_default()
    }

    fn get(&mut self, expr: &'v Expr, of: &'v Expr, key: &'v Key) -> Result<Value<'v>, String> {
        let container = self.evaluate(of)?;
        let computed;
        let key = match key {
            Key::Name(name) => Part::Name(name),
            Key::Index(index) => Part::Index(*index),
            Key::Computed(key) => {
                computed = self.run(key)?;
                match &computed {
                    Value::Text(name) => Part::Name(name),
                    Value::Number(number) => match number.whole().and_then(|whole| i64::try_from(whole).ok()) {
                        Some(index) => Part::Index(index),
                        None => return Err(format!("uses {number} as an index: an index is a whole number")),
                    },
                    other => {
                        return Err(format!(
                            "uses {} (`{}`) in brackets: a name or an index belongs there",
                            other.kind(),
                            self.label(key)
                        ));
                    }
                }
            }
        };
        // Everything behind a missing name or index is missing, too.
        Ok(member(&container, &key, &mut self.meter)?
            .unwrap_or(Value::Missing(Missing::At(expr.range.start, expr.range.end))))
    }

    fn slice(&mut self, of: &'v Expr, bounds: &'v [Option<Box<Expr>>; 3]) -> Result<Value<'v>, String> {
        let value = self.evaluate(of)?;
        if matches!(value, Value::Missing(_)) {
            // A member of a missing value is missing, too.
            return Ok(value);
        }
        let mut numbers = [None; 3];
        for (number, bound) in numbers.iter_mut().zip(bounds) {
            let Some(bound) = bound else { continue };
            *number = match self.run(bound)? {
                Value::Null => None,
                Value::Number(Number::Whole(whole)) => Some(whole),
                other => {
                    let label = self.label(bound);
                    return Err(format!(
                        "slices with {} (`{label}`): whole numbers belong there",
                        other.kind()
                    ));
                }
            };
        }
        match value {
            Value::List(list) => {
                let mut items = Vec::new();
                for index in sliced(list.len(), numbers)? {
                    self.meter.item()?;
                    items.extend(list.get(index));
                }
                Ok(Value::list(items))
            }
            Value::Text(text) => {
                self.meter.make(text.len().saturating_mul(4))?;
                let chars = text.chars().collect::<Vec<_>>();
                let picked = sliced(chars.len(), numbers)?.into_iter().map(|index| chars[index]);
                Ok(Value::text(picked.collect()))
            }
            other => Err(format!(
                "slices {} (`{}`): only lists and strings have parts",
                other.kind(),
                self.label(of)
            )),
        }
    }

    fn object(&mut self, entries: &'v [(Expr, Expr)]) -> Result<Value<'v>, String> {
        let mut made = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            self.meter.item()?;
            let name = match self.run(key)? {
                Value::Text(name) => name,
                Value::Number(number) => Text::Made(number.to_string().into()),
                other => return Err(format!("has {} as a key: keys are strings", other.kind())),
            };
            made.retain(|(known, _): &(Text<'v>, _)| **known != *name);
            made.push((name, self.run(value)?));
        }
        Ok(Value::object(made))
    }

    fn compare(&mut self, first: &'v Expr, rest: &'v [(Comparison, Expr)]) -> Result<Value<'v>, String> {
        let (mut left, mut left_expr) = (self.run(first)?, first);
        for (comparison, right_expr) in rest {
            let right = self.run(right_expr)?;
            let labels = (self.label(left_expr), self.label(right_expr));
            if !comparison.holds(&left, &right, labels, &mut self.meter)? {
                return Ok(Value::Bool(false));
            }
            (left, left_expr) = (right, right_expr);
        }
        Ok(Value::Bool(true))
    }

    fn calculate(
        &mut self,
        operation: Operation,
        left: &Value<'v>,
        right: &Value<'v>,
        exprs: (&'v Expr, &'v Expr),
    ) -> Result<Value<'v>, String> {
        match (operation, left, right) {
            (Operation::Join, ..) => self.join(left, right),
            (Operation::Add, Value::Text(a), Value::Text(b)) => {
                self.meter.make(a.len() + b.len())?;
                Ok(Value::text(format!("{}{}", &**a, &**b)))
            }
            (Operation::Add, Value::List(a), Value::List(b)) => self.append(a, b),
            (_, Value::Number(a), Value::Number(b)) => numbers(operation, *a, *b).map(Value::Number),
            _ => Err(format!(
                "`{}` needs {}, not {} (`{}`) and {} (`{}`)",
                operation.symbol(),
                operation.needed(),
                left.kind(),
                self.label(exprs.0),
                right.kind(),
                self.label(exprs.1)
            )),
        }
    }

    /// `a ~ b`: the texts of both.
    fn join(&mut self, left: &Value<'v>, right: &Value<'v>) -> Result<Value<'v>, String> {
        let mut text = String::new();
        for value in [left, right] {
            match value {
                // As Jinja writes it; `tojson` gives `null`.
                Value::Null => text.push_str("none"),
                value => value.write_metered(&mut text, &mut self.meter)?,
            }
        }
        Ok(Value::text(text))
    }

    fn append(&mut self, a: &List<'v>, b: &List<'v>) -> Result<Value<'v>, String> {
        let mut items = Vec::with_capacity(a.len().saturating_add(b.len()).min(1024));
        for item in a.iter().chain(b.iter()) {
            self.meter.item()?;
            items.push(item);
        }
        Ok(Value::list(items))
    }

    fn call(&mut self, of: &'v Expr, call: &'v Call) -> Result<Value<'v>, String> {
        let subject = self.evaluate(of)?;
        let subject = if call.function.takes_missing {
            subject
        } else {
            self.there(subject)?
        };
        let arguments = self.arguments(call)?;
        let result = arguments.apply(&subject, &mut self.meter);
        result.map_err(|message| match of.path() {
            Some(path) => format!("{message} ({})", path.join(".")),
            None => message,
        })
    }

    fn arguments(&mut self, call: &'v Call) -> Result<Arguments<'v>, String> {
        let mut values = Vec::with_capacity(call.arguments.len());
        for argument in &call.arguments {
            values.push(match argument {
                // The second choice of `default` may be missing as well: the next `default` decides.
                Some(argument) if call.function.takes_missing => Some(self.evaluate(argument)?),
                Some(argument) => Some(self.run(argument)?),
                None => None,
            });
        }
        let inner = match &call.inner {
            Some(inner) => Some(Box::new(self.arguments(inner)?)),
            None => None,
        };
        let arguments = Arguments {
            function: call.function,
            values,
            inner,
            pattern: call.pattern.as_ref(),
        };
        arguments.check()?;
        Ok(arguments)
    }
}

/// The indices that `[from:to:step]` selects, as in Python.
fn sliced(len: usize, [from, to, step]: [Option<i128>; 3]) -> Result<Vec<usize>, String> {
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err("slices in steps of 0".to_owned());
    }
    let end = i128::try_from(len).unwrap_or(i128::MAX);
    let (lowest, highest) = if step > 0 { (0, end) } else { (-1, end - 1) };
    let bound = |bound: Option<i128>, otherwise: i128| match bound {
        None => otherwise,
        Some(bound) if bound < 0 => bound.saturating_add(end).clamp(lowest, highest),
        Some(bound) => bound.clamp(lowest, highest),
    };
    let (mut place, beyond) = if step > 0 {
        (bound(from, lowest), bound(to, highest))
    } else {
        (bound(from, highest), bound(to, lowest))
    };
    let mut picked = Vec::new();
    while (step > 0 && place < beyond) || (step < 0 && place > beyond) {
        picked.extend(usize::try_from(place).ok());
        place = place.saturating_add(step);
    }
    Ok(picked)
}

fn numbers(operation: Operation, a: Number, b: Number) -> Result<Number, String> {
    match operation {
        Operation::Add => number::add(a, b),
        Operation::Subtract => number::subtract(a, b),
        Operation::Multiply => number::multiply(a, b),
        Operation::Divide => number::divide(a, b),
        Operation::DivideDown => number::divide_down(a, b),
        Operation::Remainder => number::remainder(a, b),
        Operation::Power => number::power(a, b),
        Operation::Join => Err("`~` joins texts".to_owned()),
    }
}
