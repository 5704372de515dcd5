//! The tokens of an expression, so that it can be checked before it is compiled.
//!
//! The tricky thing: the engine lexes the same text again. Whatever this file is not certain about is refused, so both
//! always agree on where a string ends and what is an operator.

use std::ops::Range;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Name,
    Number,
    Text,
    Symbol,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token<'s> {
    pub kind: Kind,
    pub text: &'s str,
    pub range: Range<usize>,
}

impl Token<'_> {
    pub fn is(&self, symbol: &str) -> bool {
        matches!(self.kind, Kind::Symbol | Kind::Name) && self.text == symbol
    }
}

const SYMBOLS: [&str; 25] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "|", ".", ",", ":", "(", ")", "[", "]", "{", "}",
    "<", ">", "=",
];

/// The token at or after `at`, or `None` at the end of the text.
pub fn next(source: &str, at: usize) -> Result<Option<Token<'_>>, String> {
    let rest = source.get(at..).unwrap_or_default();
    let skipped = rest.bytes().take_while(u8::is_ascii_whitespace).count();
    let rest = &rest[skipped..];
    let Some(first) = rest.chars().next() else {
        return Ok(None);
    };
    let (kind, len) = match first {
        'a'..='z' | 'A'..='Z' | '_' => (Kind::Name, name_len(rest)),
        '0'..='9' => (Kind::Number, number_len(rest)?),
        '"' | '\'' => (Kind::Text, text_len(rest)?),
        _ => (Kind::Symbol, symbol(rest, first)?),
    };
    let start = at + skipped;
    Ok(Some(Token {
        kind,
        text: &rest[..len],
        range: start..start + len,
    }))
}

/// All tokens of a text.
pub fn all(source: &str) -> Result<Vec<Token<'_>>, String> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(token) = next(source, at)? {
        at = token.range.end;
        tokens.push(token);
    }
    Ok(tokens)
}

fn name_len(text: &str) -> usize {
    text.bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
        .count()
}

/// Operators of other languages, and what does the same.
const FOREIGN: [(&str, &str); 12] = [
    ("&&", "write `and`"),
    ("||", "write `or`"),
    ("===", "write `==`"),
    ("!==", "write `!=`"),
    ("<>", "write `!=`"),
    ("=~", "write `value is search('pattern')`"),
    ("!~", "write `value is not search('pattern')`"),
    ("??", "write `value | default(other)`"),
    ("?.", "write `value.name | default(other)`"),
    ("?", "write `a if condition else b`"),
    ("&", "write `and`"),
    ("$", "write the name alone, as in `event.payload.name`"),
];

/// The length of a symbol.
fn symbol(text: &str, first: char) -> Result<usize, String> {
    let foreign = FOREIGN.iter().find(|(symbol, _)| text.starts_with(symbol));
    if let Some((symbol, advice)) = foreign {
        return Err(format!("has `{symbol}`, which is not an operator: {advice}"));
    }
    match symbol_len(text) {
        Some(len) => Ok(len),
        None if first == '!' => Err("has `!`, which is not an operator: write `not`".to_owned()),
        None => Err(format!("has an unexpected {first:?}")),
    }
}

fn symbol_len(text: &str) -> Option<usize> {
    SYMBOLS
        .iter()
        .find(|symbol| text.starts_with(**symbol))
        .map(|s| s.len())
}

/// Plain decimal numbers only: `12`, `1.5`, `2e-3`.
fn number_len(text: &str) -> Result<usize, String> {
    let digits = |from: usize| text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let bytes = text.as_bytes();
    let mut len = digits(0);
    if bytes.get(len) == Some(&b'.') && bytes.get(len + 1).is_some_and(u8::is_ascii_digit) {
        len += 1 + digits(len + 1);
    }
    if matches!(bytes.get(len), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(len + 1), Some(b'+' | b'-')));
        let exponent = digits(len + 1 + sign);
        if exponent > 0 {
            len += 1 + sign + exponent;
        }
    }
    match bytes.get(len) {
        Some(b) if b.is_ascii_alphanumeric() || *b == b'_' => {
            Err(format!("has an invalid number: {:?}", &text[..=len]))
        }
        _ => Ok(len),
    }
}

/// A quoted text with its quotes; a backslash keeps the next character from ending it.
fn text_len(text: &str) -> Result<usize, String> {
    let bytes = text.as_bytes();
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b if *b == bytes[0] => return Ok(at + 1),
            _ => at += 1,
        }
    }
    Err("has an unterminated string: a quote is missing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_numbers_names_and_symbols() {
        let check = |source: &str, expected: &[&str]| {
            let tokens = all(source).expect("tokens");
            assert_eq!(tokens.iter().map(|t| t.text).collect::<Vec<_>>(), expected, "{source}");
        };
        check("a.b*1.5e-3", &["a", ".", "b", "*", "1.5e-3"]);
        check(r"'it\'s' ~ x", &[r"'it\'s'", "~", "x"]);
        check("x.0.name**2", &["x", ".", "0", ".", "name", "**", "2"]);
        check("'ü'|upper", &["'ü'", "|", "upper"]);
        for bad in [
            "'open", "1x", "a ! b", "a ; b", "0x10", "1_000", "ä", "'\\", "a\0", "a\u{a0}b",
        ] {
            assert!(all(bad).is_err(), "{bad:?}");
        }
    }
}
