//! Regular expressions of clauses: written by a user, translated from a wildcard pattern, or made for a comparison that ignores
//! case. All take linear time.

use regex::{Regex, RegexBuilder, escape};

const LENGTH_MAX: usize = 1024;
const BYTES_MAX: usize = 256 * 1024;

/// What the operators `matches` and `matches_wildcard` compile.
pub fn of_user(pattern: &str, translate: fn(&str) -> String, ignore_case: bool) -> Result<Regex, String> {
    if pattern.len() > LENGTH_MAX {
        return Err(format!("is a pattern longer than {LENGTH_MAX} bytes"));
    }
    compile(&translate(pattern), ignore_case)
}

/// One of these texts in any case, between anchors. Simple case folding: `ß` is not `SS`.
pub fn one_of(texts: &[&str], (before, after): (&str, &str)) -> Result<Regex, String> {
    let texts = texts.iter().map(|text| escape(text)).collect::<Vec<_>>().join("|");
    compile(&format!("{before}(?:{texts}){after}"), true)
}

fn compile(pattern: &str, ignore_case: bool) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .case_insensitive(ignore_case)
        .size_limit(BYTES_MAX)
        .dfa_size_limit(BYTES_MAX)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "is a pattern that becomes too large".to_owned(),
            other => format!(
                "is not a regular expression: {}",
                other.to_string().lines().last().unwrap_or_default()
            ),
        })
}

/// `*` is any text, `?` one character, `[a-z]` one of a set and `[!a-z]` one outside it. Everything else is itself, also a `[`
/// that nothing closes. The pattern matches the whole text.
pub fn wildcard(pattern: &str) -> String {
    let chars: Vec<char> = pattern.chars().collect();
    let mut translated = String::from(r"\A(?s:");
    let mut at = 0;
    while at < chars.len() {
        let set = (chars[at] == '[').then(|| set(&chars[at..])).flatten();
        match (chars[at], set) {
            (_, Some((set, length))) => {
                translated.push_str(&set);
                at += length;
                continue;
            }
            ('*', _) => translated.push_str(".*"),
            ('?', _) => translated.push('.'),
            (c, _) => translated.push_str(&literal(c)),
        }
        at += 1;
    }
    translated + r")\z"
}

/// The set at the start of a text, and how many characters it has there. A `]` in front of all others belongs to the set.
pub fn set(chars: &[char]) -> Option<(String, usize)> {
    let negated = chars.get(1) == Some(&'!');
    let start = if negated { 2 } else { 1 };
    let end = (start + 1..chars.len()).find(|&at| chars[at] == ']')?;
    let mut members = String::new();
    let mut at = start;
    while at < end {
        let is_range = at + 2 < end && chars[at + 1] == '-';
        let (first, last) = (chars[at], chars[if is_range { at + 2 } else { at }]);
        at += if is_range { 3 } else { 1 };
        if first <= last {
            members.extend([literal(first), "-".to_owned(), literal(last)]);
        }
    }
    let set = match (members.is_empty(), negated) {
        (false, false) => format!("[{members}]"),
        (false, true) => format!("[^{members}]"),
        (true, false) => r"[^\x{0}-\x{10FFFF}]".to_owned(),
        (true, true) => ".".to_owned(),
    };
    Some((set, end + 1))
}

pub fn literal(c: char) -> String {
    format!("\\x{{{:x}}}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wildcards() {
        let check = |pattern: &str, text: &str, matches: bool| {
            let regex = of_user(pattern, wildcard, false).unwrap_or_else(|error| panic!("{pattern} {error}"));
            assert_eq!(regex.is_match(text), matches, "{pattern} {text}");
        };
        check("*", "", true);
        check("*", "a\nb", true);
        check("a*c", "abbc", true);
        check("a*c", "abcd", false);
        check("?", "ä", true);
        check("?", "", false);
        check("?", "ab", false);
        check("[abc]x", "bx", true);
        check("[abc]x", "dx", false);
        check("[a-c]", "b", true);
        check("[a-c]", "-", false);
        check("[!a-c]", "d", true);
        check("[!a-c]", "b", false);
        check("[a-]", "-", true);
        check("[-a]", "-", true);
        check("[]]", "]", true);
        check("[!]]", "a", true);
        check("[!]]", "]", false);
        check("[z-a]", "m", false);
        check("[!z-a]", "m", true);
        check("[a-cx-z]", "y", true);
        check("[^a]", "^", true);
        check("[&&a]", "&", true);
        check("[[]", "[", true);
        check("[\\]", "\\", true);
        check("[abc", "[abc", true);
        check("[", "[", true);
        check("[]", "[]", true);
        check("a.c", "abc", false);
        check("a.c", "a.c", true);
        check("(a|b)+$", "(a|b)+$", true);
        check("release-*", "RELEASE-1", false);
        check("größe?", "größe1", true);
    }

    /// As Python's `fnmatch.translate` reads a set, without its case folding.
    fn oracle(pattern: &[char], text: &[char]) -> bool {
        match pattern.first() {
            None => text.is_empty(),
            Some('*') => (0..=text.len()).any(|skip| oracle(&pattern[1..], &text[skip..])),
            Some('?') => !text.is_empty() && oracle(&pattern[1..], &text[1..]),
            Some('[') => {
                let negated = pattern.get(1) == Some(&'!');
                let start = 1 + usize::from(negated);
                let Some(end) = (start + 1..pattern.len()).find(|&at| pattern[at] == ']') else {
                    return text.first() == Some(&'[') && oracle(&pattern[1..], &text[1..]);
                };
                let Some(&c) = text.first() else { return false };
                let (mut at, mut found) = (start, false);
                while at < end {
                    if at + 2 < end && pattern[at + 1] == '-' {
                        found |= pattern[at] <= c && c <= pattern[at + 2];
                        at += 3;
                    } else {
                        found |= pattern[at] == c;
                        at += 1;
                    }
                }
                found != negated && oracle(&pattern[end + 1..], &text[1..])
            }
            Some(c) => text.first() == Some(c) && oracle(&pattern[1..], &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn wildcards_match_as_an_oracle_does(pattern in r"[ab\[\]!*?\-^\\]{0,8}", text in r"[ab\[\]!\-^\\]{0,5}") {
            let regex = of_user(&pattern, wildcard, false).map_err(TestCaseError::fail)?;
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(regex.is_match(&text), oracle(&chars(&pattern), &chars(&text)), "{} {}", pattern, text);
        }
    }

    #[test]
    fn case_is_folded_simply() {
        let check = |expected: &str, text: &str, matches: bool| {
            let regex = one_of(&[expected], (r"\A", r"\z")).expect(expected);
            assert_eq!(regex.is_match(text), matches, "{expected} {text}");
        };
        check("HELLO", "hello", true);
        check("größe", "GRÖßE", true);
        check("σ", "ς", true);
        check("ß", "SS", false);
        check("a.c", "ABC", false);
    }
}
