//! Literals of an expression: numbers, and strings with escapes.

use crate::{json::check_number, number::Number};

pub fn number(text: &str) -> Result<Number, String> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().map(Number::Whole).map_err(|_| {
            format!(
                "has a whole number that does not fit into 128 bits: {}",
                shortened(text)
            )
        });
    }
    let decimal = text.parse().map_err(|_| format!("has an invalid number: {text}"))?;
    check_number(text).map_err(|_| {
        format!(
            "has a number that a decimal number cannot hold exactly: {}",
            shortened(text)
        )
    })?;
    Number::decimal(decimal)
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

/// A quoted text without its quotes, its escapes replaced. An unknown escape keeps its backslash, so that a
/// regular expression needs no doubled backslash: `'\d+'`.
pub fn text(quoted: &str) -> Result<String, String> {
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    if !inner.contains('\\') {
        return Ok(inner.to_owned());
    }
    let bad = || format!("has a string with an invalid escape: {}", shortened(quoted));
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let escaped = rest.chars().next().ok_or_else(bad)?;
        rest = &rest[escaped.len_utf8()..];
        match escaped {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            '"' | '\'' | '\\' | '/' => out.push(escaped),
            'x' => out.push(char::from(
                hex(&mut rest, 2)
                    .and_then(|code| u8::try_from(code).ok())
                    .ok_or_else(bad)?,
            )),
            'u' => out.push(unicode(&mut rest).ok_or_else(bad)?),
            // `\033` and `\0` are characters; `\1` alone is left for a regular expression.
            '0'..='7' if escaped == '0' || rest.bytes().take(2).filter(|b| (b'0'..=b'7').contains(b)).count() == 2 => {
                let more = rest.bytes().take(2).take_while(|b| (b'0'..=b'7').contains(b)).count();
                let octal = format!("{escaped}{}", &rest[..more]);
                rest = &rest[more..];
                out.push(char::from(u8::from_str_radix(&octal, 8).map_err(|_| bad())?));
            }
            other => out.extend(['\\', other]),
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn hex(rest: &mut &str, digits: usize) -> Option<u32> {
    let code = rest
        .get(..digits)
        .filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()))?;
    *rest = &rest[digits..];
    u32::from_str_radix(code, 16).ok()
}

/// `\u00e9`, or two of them for a character beyond the first 65,536.
fn unicode(rest: &mut &str) -> Option<char> {
    let first = hex(rest, 4)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first);
    }
    *rest = rest.strip_prefix("\\u")?;
    let second = hex(rest, 4).filter(|second| (0xdc00..0xe000).contains(second))?;
    char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        let check =
            |quoted: &str, expected: Option<&str>| assert_eq!(text(quoted).ok().as_deref(), expected, "{quoted}");
        check(r"'plain'", Some("plain"));
        check(r"'it\'s \\ \n'", Some("it's \\ \n"));
        check(r"'\d+\.\w'", Some(r"\d+\.\w"));
        check(r"'\u00e9\x41\101'", Some("éAA"));
        check(r"'\2=\1\033\0'", Some("\\2=\\1\u{1b}\0"));
        check(r"'\ud83d\ude00'", Some("😀"));
        check(r"'\ud83d'", None);
        check(r"'\u12'", None);
        check(r"'\xg1'", None);
        check("''", Some(""));
    }
}
