//! Parses the tokens of an expression into a tree.
//!
//! The grammar is that of Jinja's expressions. From the loosest to the tightest: `if … else`, `or`, `and`, `not`,
//! comparisons (which chain), `+ -`, `~`, `* / // %`, `**`, then a sign, `.name`, `[…]`, `(…)`, `| filter` and `is test`.

mod operand;

use super::{
    ast::{Expr, Kind, Operation},
    compare::Comparison,
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

/// How tightly an operator binds.
const NOT: u8 = 2;
const COMPARE: u8 = 3;

/// Parses a whole expression. The error describes the problem and what is expected.
pub fn parse(source: &str, scope: Scope) -> Result<Expr, String> {
    if source.len() > SOURCE_MAX {
        return Err(format!("is longer than {SOURCE_MAX} bytes"));
    }
    let tokens = token::all(source)?;
    if tokens.is_empty() {
        return Err("is empty".to_owned());
    }
    if tokens.len() > TOKENS_MAX {
        return Err(format!("has more than {TOKENS_MAX} tokens"));
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

fn unexpected(token: &Token<'_>, expected: &str) -> String {
    let text: String = token.text.chars().take(40).collect();
    format!(
        "is not a valid expression: found `{text}` at character {}, expected {expected}",
        token.range.start + 1
    )
}

fn incomplete(expected: &str) -> String {
    format!("is not a valid expression: it ends where {expected} is expected")
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

    fn wrong(&self, expected: &str) -> String {
        self.peek()
            .map_or_else(|| incomplete(expected), |token| unexpected(token, expected))
    }

    fn next(&mut self, expected: &str) -> Result<Token<'s>, String> {
        let token = self.peek().cloned().ok_or_else(|| incomplete(expected))?;
        self.at += 1;
        Ok(token)
    }

    fn next_name(&mut self, expected: &str) -> Result<&'s str, String> {
        match self.peek() {
            Some(token) if token.kind == token::Kind::Name => {
                let name = token.text;
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.wrong(expected)),
        }
    }

    fn start(&self) -> usize {
        self.peek().map_or(0, |token| token.range.start)
    }

    /// The source from `start` to the end of the last consumed token.
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

    /// An operand and every operator after it that binds at least as tightly as `level`.
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

    /// The next operator, how tightly it binds, and its number of tokens.
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
}
