//! Operands: values followed by names, brackets, filters, tests and methods.

use super::{KEYWORDS, Parser, unexpected};
use crate::expression::{
    arguments::Place,
    ast::{Call, Constant, Expr, Key, Kind},
    bind::Written,
    functions::find,
    literal,
    token::{self, Token},
};

impl<'s> Parser<'s> {
    /// A value with its filters and tests.
    pub(super) fn operand(&mut self) -> Result<Expr, String> {
        let start = self.start();
        let mut expr = self.signed()?;
        loop {
            if self.skip("|") {
                let name = self.function_name(Place::Filter)?;
                let function = find(name, Place::Filter)?;
                let written = if self.peek_is("(") {
                    self.arguments()?
                } else {
                    Vec::new()
                };
                let call = Call::bind(function, name, written)?;
                expr = self.made(start, Kind::Call(Box::new(expr), Box::new(call)));
            } else if self.skip("is") {
                expr = self.test(start, expr)?;
            } else {
                return Ok(expr);
            }
        }
    }

    fn test(&mut self, start: usize, subject: Expr) -> Result<Expr, String> {
        let negated = self.skip("not");
        let name = self.function_name(Place::Test)?;
        let function = find(name, Place::Test)?;
        let written = if self.peek_is("(") {
            self.arguments()?
        } else if !function.parameters.is_empty() && self.begins_operand() {
            // `n is divisibleby 3`
            vec![(None, self.signed()?)]
        } else {
            Vec::new()
        };
        let call = Call::bind(function, name, written)?;
        let mut expr = self.made(start, Kind::Call(Box::new(subject), Box::new(call)));
        if negated {
            expr = self.made(start, Kind::Not(Box::new(expr)));
        }
        Ok(expr)
    }

    fn function_name(&mut self, place: Place) -> Result<&'s str, String> {
        let name = self.next_name(&format!("the name of a {}", place.as_str()))?;
        if self.peek_is(".") {
            return Err(format!(
                "has a dot after the {} {name:?}: put what is before the dot in parentheses",
                place.as_str()
            ));
        }
        Ok(name)
    }

    fn begins_operand(&self) -> bool {
        self.peek().is_some_and(|token| match token.kind {
            token::Kind::Number | token::Kind::Text => true,
            token::Kind::Name => !["and", "or", "not", "in", "is", "if", "else"].contains(&token.text),
            token::Kind::Symbol => ["-", "[", "{"].contains(&token.text),
        })
    }

    fn signed(&mut self) -> Result<Expr, String> {
        let start = self.start();
        if !self.skip("-") {
            let primary = self.primary()?;
            return self.postfix(start, primary);
        }
        let of = self.nested(Self::signed)?;
        let kind = match of.kind {
            Kind::Constant(Constant::Number(number)) => {
                Kind::Constant(Constant::Number(crate::number::negate(number)?))
            }
            kind => Kind::Negate(Box::new(Expr { kind, ..of })),
        };
        Ok(self.made(start, kind))
    }

    fn primary(&mut self) -> Result<Expr, String> {
        let start = self.start();
        if self.peek().is_some_and(|token| token.is("*") || token.is("**")) {
            return Err("spreads a value with `*`, which is not available".to_owned());
        }
        let token = self.next("a value")?;
        let kind = match (token.kind, token.text) {
            (token::Kind::Number, text) => Kind::Constant(Constant::Number(literal::number(text)?)),
            (token::Kind::Text, text) => self.texts(text)?,
            (token::Kind::Name, name) => self.name(name, &token)?,
            (token::Kind::Symbol, "(") => return self.parenthesis(start),
            (token::Kind::Symbol, "[") => Kind::List(self.list("]", Self::expression)?),
            (token::Kind::Symbol, "{") => Kind::Object(self.list("}", |parser| {
                let key = parser.expression()?;
                parser.expect(":")?;
                Ok((key, parser.expression()?))
            })?),
            _ => return Err(unexpected(&token, "a value")),
        };
        Ok(self.made(start, kind))
    }

    /// Adjacent strings are joined.
    fn texts(&mut self, first: &str) -> Result<Kind, String> {
        let mut text = literal::text(first)?;
        while let Some(next) = self.peek().filter(|token| token.kind == token::Kind::Text) {
            text.push_str(&literal::text(next.text)?);
            self.at += 1;
        }
        Ok(Kind::Constant(Constant::Text(text)))
    }

    fn name(&self, name: &str, token: &Token<'_>) -> Result<Kind, String> {
        Ok(match name {
            "true" | "True" => Kind::Constant(Constant::Bool(true)),
            "false" | "False" => Kind::Constant(Constant::Bool(false)),
            "none" | "None" => Kind::Constant(Constant::Null),
            keyword if KEYWORDS.contains(&keyword) => return Err(unexpected(token, "a value")),
            _ if self.peek_is("(") => {
                return Err(format!(
                    "calls {name:?}: there are no functions; filters are written `value | {name}`, methods `value.{name}()`"
                ));
            }
            "null" => return Err("uses the unknown name \"null\": write `none`".to_owned()),
            _ => {
                let hyphenated = self.hyphenated();
                let root = self.scope.root(name);
                match hyphenated {
                    Some(hint) if root.is_err() || !(self.peek_is(".") || self.peek_is("[")) => return Err(hint),
                    _ => Kind::Root(root?),
                }
            }
        })
    }

    /// For a name directly behind `value.name-`: the hyphen belongs to the name and was read as a minus.
    fn hyphenated(&self) -> Option<String> {
        let touch = |left: usize| {
            let (left, right) = (self.tokens.get(left)?, self.tokens.get(left + 1)?);
            (left.range.end == right.range.start).then_some(())
        };
        let is_part = |at: usize| {
            self.tokens
                .get(at)
                .is_some_and(|t| t.is("-") || t.kind != token::Kind::Symbol)
        };
        let mut first = self.at.checked_sub(1)?;
        if !self.tokens.get(first.checked_sub(1)?)?.is("-") {
            return None;
        }
        while touch(first.checked_sub(1)?).is_some() && is_part(first - 1) {
            first -= 1;
        }
        let dot = first.checked_sub(1).filter(|dot| self.tokens[*dot].is("."))?;
        touch(dot)?;
        let mut last = self.at - 1;
        while touch(last).is_some() && is_part(last + 1) {
            last += 1;
        }
        let mut begin = dot;
        while begin > 0
            && touch(begin - 1).is_some()
            && ([".", "[", "]"].contains(&self.tokens[begin - 1].text) || is_part(begin - 1))
        {
            begin -= 1;
        }
        let text = |range: std::ops::Range<usize>| self.tokens[range].iter().map(|t| t.text).collect::<String>();
        Some(format!(
            "reads the hyphen in `{name}` as a minus: write `{of}['{name}']`",
            of = text(begin..dot),
            name = text(first..last + 1),
        ))
    }

    fn parenthesis(&mut self, start: usize) -> Result<Expr, String> {
        if self.skip(")") {
            return Ok(self.made(start, Kind::List(Vec::new())));
        }
        let first = self.expression()?;
        if !self.skip(",") {
            self.expect(")")?;
            return Ok(Expr {
                range: self.range_from(start),
                ..first
            });
        }
        let mut items = vec![first];
        items.extend(self.list(")", Self::expression)?);
        Ok(self.made(start, Kind::List(items)))
    }

    /// Everything up to `close`, separated by commas.
    fn list<T>(&mut self, close: &str, read: impl Fn(&mut Self) -> Result<T, String>) -> Result<Vec<T>, String> {
        let mut items = Vec::new();
        while !self.skip(close) {
            items.push(read(self)?);
            if !self.skip(",") {
                self.expect(close)?;
                break;
            }
        }
        Ok(items)
    }

    fn postfix(&mut self, start: usize, mut expr: Expr) -> Result<Expr, String> {
        loop {
            if self.skip(".") {
                expr = self.after_dot(start, expr)?;
            } else if self.skip("[") {
                expr = self.subscript(start, expr)?;
            } else if self.peek_is("(") {
                return Err("calls a value: there are no functions; methods are written `value.lower()`".to_owned());
            } else {
                return Ok(expr);
            }
        }
    }

    fn after_dot(&mut self, start: usize, mut of: Expr) -> Result<Expr, String> {
        let token = self.next("a name")?;
        match token.kind {
            token::Kind::Name if self.peek_is("(") => {
                let function = find(token.text, Place::Method)?;
                let call = Call::bind(function, token.text, self.arguments()?)?;
                Ok(self.made(start, Kind::Call(Box::new(of), Box::new(call))))
            }
            token::Kind::Name => {
                let key = Key::Name(token.text.to_owned());
                Ok(self.made(start, Kind::Get(Box::new(of), key)))
            }
            token::Kind::Number => {
                // `list.1.0` has the token `1.0`.
                for index in token.text.split('.') {
                    let index = index.parse().map_err(|_| unexpected(&token, "a name"))?;
                    of = self.made(start, Kind::Get(Box::new(of), Key::Index(index)));
                }
                Ok(of)
            }
            _ => Err(unexpected(&token, "a name")),
        }
    }

    fn subscript(&mut self, start: usize, of: Expr) -> Result<Expr, String> {
        let mut bounds = [None, None, None];
        let mut is_slice = false;
        for bound in &mut bounds {
            if !self.peek_is(":") && !self.peek_is("]") {
                *bound = Some(self.expression()?);
            }
            if !self.skip(":") {
                break;
            }
            is_slice = true;
        }
        self.expect("]")?;
        let of = Box::new(of);
        if is_slice {
            return Ok(self.made(start, Kind::Slice(of, bounds.map(|bound| bound.map(Box::new)))));
        }
        let [Some(key), ..] = bounds else {
            return Err("has empty brackets `[]` after a value: write a name or an index in them".to_owned());
        };
        let key = match key.kind {
            Kind::Constant(Constant::Text(name)) => Key::Name(name),
            Kind::Constant(Constant::Number(number)) => {
                let index = number.whole().and_then(|whole| i64::try_from(whole).ok());
                Key::Index(index.ok_or_else(|| format!("has the index {number}: an index is a whole number"))?)
            }
            kind => Key::Computed(Box::new(Expr { kind, ..key })),
        };
        Ok(self.made(start, Kind::Get(of, key)))
    }

    fn arguments(&mut self) -> Result<Vec<Written<'s>>, String> {
        self.expect("(")?;
        let arguments = self.list(")", |parser| {
            let by_name = parser.tokens.get(parser.at + 1).is_some_and(|next| next.is("="));
            if !by_name {
                return Ok((None, parser.expression()?));
            }
            let name = parser.next_name("the name of an argument")?;
            parser.expect("=")?;
            Ok((Some(name), parser.expression()?))
        })?;
        let first_named = arguments.iter().position(|(name, _)| name.is_some());
        match arguments.iter().rposition(|(name, _)| name.is_none()) {
            Some(last) if first_named.is_some_and(|first| first < last) => {
                Err("has a positional argument after a named one".to_owned())
            }
            _ => Ok(arguments),
        }
    }
}
