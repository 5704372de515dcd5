//! From the tokens of an expression to its tree.
//!
//! The grammar is that of Jinja's expressions. From the loosest to the tightest: `if … else`, `or`, `and`, `not`,
//! comparisons (which chain), `+ -`, `~`, `* / // %`, `**`, then a sign, `.name`, `[…]`, `(…)`, `| filter` and `is test`.

use super::{
    arguments::{self, Call, Place, Written},
    ast::{Constant, Expr, Key, Kind, Operation},
    compare::Comparison,
    literal,
    scope::Scope,
    token::{self, Token},
};
use std::ops::Range;

pub const SOURCE_MAX: usize = 2048;
const TOKENS_MAX: usize = 256;
const DEPTH_MAX: usize = 75;
const KEYWORDS: [&str; 13] = [
    "and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None",
];

#[derive(Debug, Clone, Copy)]
enum Infix {
    Or,
    And,
    Compare(Comparison),
    Calculate(Operation),
}

/// How tight an operator binds.
const NOT: u8 = 2;
const COMPARE: u8 = 3;

/// Reads a whole expression; the error says what is wrong and what would be right.
pub fn parse(source: &str, scope: Scope) -> Result<Expr, String> {
    if source.len() > SOURCE_MAX {
        return Err(format!("is longer than {SOURCE_MAX} bytes"));
    }
    let tokens = token::all(source)?;
    if tokens.is_empty() {
        return Err("is empty".to_owned());
    }
    if tokens.len() > TOKENS_MAX {
        return Err(format!("has more than {TOKENS_MAX} words and symbols"));
    }
    let mut parser = Parser {
        tokens,
        at: 0,
        depth: 0,
        scope,
    };
    let expr = parser.expression()?;
    match parser.peek() {
        None => Ok(expr),
        Some(token) if token.is("=") => Err("assigns with `=`: compare with `==`".to_owned()),
        Some(token) => Err(unexpected(token, "the end or an operator")),
    }
}

struct Parser<'s> {
    tokens: Vec<Token<'s>>,
    at: usize,
    depth: usize,
    scope: Scope,
}

fn unexpected(token: &Token<'_>, wanted: &str) -> String {
    let text: String = token.text.chars().take(40).collect();
    format!(
        "cannot be read as an expression: there is `{text}` at character {}, where {wanted} is expected",
        token.range.start + 1
    )
}

fn incomplete(wanted: &str) -> String {
    format!("cannot be read as an expression: it ends where {wanted} is expected")
}

impl<'s> Parser<'s> {
    fn peek(&self) -> Option<&Token<'s>> {
        self.tokens.get(self.at)
    }

    fn peek_is(&self, symbol: &str) -> bool {
        self.peek().is_some_and(|token| token.is(symbol))
    }

    fn skip(&mut self, symbol: &str) -> bool {
        let found = self.peek_is(symbol);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), String> {
        if self.skip(symbol) {
            return Ok(());
        }
        Err(self.wrong(&format!("`{symbol}`")))
    }

    fn wrong(&self, wanted: &str) -> String {
        self.peek()
            .map_or_else(|| incomplete(wanted), |token| unexpected(token, wanted))
    }

    fn next(&mut self, wanted: &str) -> Result<Token<'s>, String> {
        let token = self.peek().cloned().ok_or_else(|| incomplete(wanted))?;
        self.at += 1;
        Ok(token)
    }

    fn next_name(&mut self, wanted: &str) -> Result<&'s str, String> {
        match self.peek() {
            Some(token) if token.kind == token::Kind::Name => {
                let name = token.text;
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.wrong(wanted)),
        }
    }

    fn start(&self) -> usize {
        self.peek().map_or(0, |token| token.range.start)
    }

    /// From `start` to the end of the last token that was taken.
    fn range_from(&self, start: usize) -> Range<usize> {
        let end = self.at.checked_sub(1).map_or(start, |last| self.tokens[last].range.end);
        start..end.max(start)
    }

    fn made(&self, start: usize, kind: Kind) -> Expr {
        Expr {
            kind,
            range: self.range_from(start),
        }
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("is nested deeper than {DEPTH_MAX} levels"));
        }
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn expression(&mut self) -> Result<Expr, String> {
        self.nested(|parser| {
            let start = parser.start();
            let mut expr = parser.binary(0)?;
            while parser.skip("if") {
                let condition = Box::new(parser.binary(0)?);
                let otherwise = if parser.skip("else") {
                    Some(Box::new(parser.expression()?))
                } else {
                    None
                };
                let kind = Kind::If {
                    condition,
                    then: Box::new(expr),
                    otherwise,
                };
                expr = parser.made(start, kind);
            }
            Ok(expr)
        })
    }

    /// An operand and every operator after it that binds at least as tight as `level`.
    fn binary(&mut self, level: u8) -> Result<Expr, String> {
        let start = self.start();
        let mut left = if level <= NOT && self.skip("not") {
            let inner = self.nested(|parser| parser.binary(NOT))?;
            self.made(start, Kind::Not(Box::new(inner)))
        } else {
            self.operand()?
        };
        while let Some((infix, tightness, words)) = self.infix().filter(|(_, tightness, _)| *tightness >= level) {
            let left_box = Box::new(left);
            let kind = match infix {
                Infix::Compare(_) => Kind::Compare(left_box, self.comparisons()?),
                Infix::Or | Infix::And | Infix::Calculate(_) => {
                    self.at += words;
                    let right = Box::new(self.binary(tightness + 1)?);
                    match infix {
                        Infix::Or => Kind::Or(left_box, right),
                        Infix::Calculate(operation) => Kind::Calculate(operation, left_box, right),
                        _ => Kind::And(left_box, right),
                    }
                }
            };
            left = self.made(start, kind);
        }
        Ok(left)
    }

    /// `< b <= c` and so on, after the first operand.
    fn comparisons(&mut self) -> Result<Vec<(Comparison, Expr)>, String> {
        let mut rest = Vec::new();
        while let Some((Infix::Compare(comparison), _, words)) = self.infix() {
            self.at += words;
            rest.push((comparison, self.binary(COMPARE + 1)?));
        }
        Ok(rest)
    }

    /// The operator that comes next, how tight it binds, and of how many tokens it is.
    fn infix(&self) -> Option<(Infix, u8, usize)> {
        let token = self.peek()?;
        if !matches!(token.kind, token::Kind::Symbol | token::Kind::Name) {
            return None;
        }
        let compare = |comparison| (Infix::Compare(comparison), COMPARE, 1);
        let calculate = |operation, tightness| (Infix::Calculate(operation), tightness, 1);
        Some(match token.text {
            "or" => (Infix::Or, 0, 1),
            "and" => (Infix::And, 1, 1),
            "==" => compare(Comparison::Equal),
            "!=" => compare(Comparison::NotEqual),
            "<" => compare(Comparison::Less),
            "<=" => compare(Comparison::LessOrEqual),
            ">" => compare(Comparison::Greater),
            ">=" => compare(Comparison::GreaterOrEqual),
            "in" => compare(Comparison::In),
            "not" if self.tokens.get(self.at + 1).is_some_and(|next| next.is("in")) => {
                (Infix::Compare(Comparison::NotIn), COMPARE, 2)
            }
            "+" => calculate(Operation::Add, 4),
            "-" => calculate(Operation::Subtract, 4),
            "~" => calculate(Operation::Join, 5),
            "*" => calculate(Operation::Multiply, 6),
            "/" => calculate(Operation::Divide, 6),
            "//" => calculate(Operation::DivideDown, 6),
            "%" => calculate(Operation::Remainder, 6),
            "**" => calculate(Operation::Power, 7),
            _ => return None,
        })
    }

    /// A value with its filters and tests.
    fn operand(&mut self) -> Result<Expr, String> {
        let start = self.start();
        let mut expr = self.signed()?;
        loop {
            if self.skip("|") {
                let name = self.function_name(Place::Filter)?;
                let function = arguments::find(name, Place::Filter)?;
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
        let function = arguments::find(name, Place::Test)?;
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

    /// Texts that stand next to each other are one.
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
            _ => Kind::Root(self.scope.root(name)?),
        })
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

    /// Everything up to `close`, divided by commas.
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
                let function = arguments::find(token.text, Place::Method)?;
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
                Err("gives an argument without a name after one with a name".to_owned())
            }
            _ => Ok(arguments),
        }
    }
}
