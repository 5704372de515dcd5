//! What an expression may contain, decided from its tokens before the engine compiles it.
//!
//! The engine's step limit counts the bytes that an operation makes, but not of a repeated list (it is lazy), which then
//! explodes when it is compared or turned to text. So **repetition does not exist here**: both sides of every `*` are
//! passed through the filter [`NUMBER`], which refuses anything but numbers. A filter binds tighter than `*`, so appending
//! it to the last token of the left side and to the end of the right side's chain is enough; splats, calls and names
//! other than the known ones are refused, so nothing else can make a value larger than its parts.

use super::{
    filter,
    token::{self, Kind, Token},
};

/// The filter that guards `*`.
pub const NUMBER: &str = "__number";
pub const SOURCE_MAX: usize = 2048;
const TOKENS_MAX: usize = 256;
const KEYWORDS: [&str; 13] = [
    "and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None",
];

/// The names that an expression may start from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// `event` and `rule`: conditions and parameters of rules.
    #[default]
    Rule,
    /// `parameters`, `event` and `rule`: what a rule limits.
    RuleKey,
    /// `parameters`: what an action limits, whoever starts it.
    ActionKey,
}

impl Scope {
    fn has(self, name: &str) -> bool {
        match name {
            "event" | "rule" => self != Self::ActionKey,
            "parameters" => self != Self::Rule,
            _ => false,
        }
    }

    /// What would be right.
    fn names(self) -> &'static str {
        match self {
            Self::Rule => {
                "`event.payload…`, `event.id`, `event.trigger`, `event.received_at`, `event.scheduled_at` or `rule.ref`"
            }
            Self::RuleKey => "`parameters…`, `event.payload…`, `event.trigger` or `rule.ref`",
            Self::ActionKey => "`parameters…`",
        }
    }
}

/// An expression that may be compiled.
#[derive(Debug, PartialEq, Eq)]
pub struct Checked {
    /// The text for the engine.
    pub source: String,
    /// Every `event.…` or `parameters.…` path that it starts from, to name the missing one later.
    pub paths: Vec<Vec<String>>,
}

/// Checks the text of an expression; the error says what is wrong and what would be right.
pub fn check(source: &str, scope: Scope) -> Result<Checked, String> {
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
    let mut paths = Vec::new();
    let mut guards = Vec::new();
    for at in 0..tokens.len() {
        match tokens[at].kind {
            Kind::Name => check_name(&tokens, at, scope, &mut paths)?,
            Kind::Symbol => check_symbol(&tokens, at, &mut guards)?,
            Kind::Number | Kind::Text => {}
        }
    }
    Ok(Checked {
        source: insert_guards(source, guards),
        paths,
    })
}

fn check_name(tokens: &[Token<'_>], at: usize, scope: Scope, paths: &mut Vec<Vec<String>>) -> Result<(), String> {
    let name = tokens[at].text;
    let before = at.checked_sub(1).map_or("", |i| tokens[i].text);
    let after = tokens.get(at + 1).map_or("", |t| t.text);
    if before == "|" {
        return known(name, after, "filter", &filter::NAMES);
    }
    if is_test(tokens, at) {
        return known(name, after, "test", &filter::TESTS);
    }
    if after == "(" && !KEYWORDS.contains(&name) {
        return Err(format!(
            "calls {name:?}: there are no functions and methods; filters are written `value | {name}`"
        ));
    }
    if before == "." || after == "=" || KEYWORDS.contains(&name) {
        return Ok(());
    }
    if !scope.has(name) {
        return Err(format!("uses the unknown name {name:?}: write {}", scope.names()));
    }
    paths.push(path_from(tokens, at));
    Ok(())
}

/// Does `is` (or `is not`) stand before this name?
fn is_test(tokens: &[Token<'_>], at: usize) -> bool {
    let text = |back: usize| at.checked_sub(back).map_or("", |i| tokens[i].text);
    let is_keyword = |back: usize| text(back) == "is" && text(back + 1) != ".";
    tokens[at].text != "not" && (is_keyword(1) || text(1) == "not" && is_keyword(2))
}

fn known(name: &str, after: &str, what: &str, names: &[&str]) -> Result<(), String> {
    if after == "." {
        return Err(format!(
            "has a dot after the {what} {name:?}: put what is before the dot in parentheses"
        ));
    }
    if names.contains(&name) {
        return Ok(());
    }
    Err(format!(
        "uses the unknown {what} {name:?}: there are {}",
        names.join(", ")
    ))
}

/// The path that starts at a name: `event.payload.a`, `event['payload']['a']`.
fn path_from(tokens: &[Token<'_>], at: usize) -> Vec<String> {
    let mut path = vec![tokens[at].text.to_owned()];
    let mut rest = &tokens[at + 1..];
    loop {
        rest = match rest {
            [dot, key, rest @ ..] if dot.is(".") => {
                path.extend(key.text.split('.').map(str::to_owned));
                rest
            }
            [open, key, close, rest @ ..] if open.is("[") && close.is("]") && is_plain(key) => {
                let quotes = usize::from(key.kind == Kind::Text);
                path.push(key.text[quotes..key.text.len() - quotes].to_owned());
                rest
            }
            _ => return path,
        };
    }
}

/// A text that says what it means, or a number.
fn is_plain(key: &Token<'_>) -> bool {
    match key.kind {
        Kind::Text => !key.text.contains('\\'),
        Kind::Number => true,
        Kind::Name | Kind::Symbol => false,
    }
}

fn check_symbol(tokens: &[Token<'_>], at: usize, guards: &mut Vec<usize>) -> Result<(), String> {
    let operand_before = at.checked_sub(1).filter(|i| ends_operand(&tokens[*i]));
    match (tokens[at].text, operand_before) {
        ("*" | "**", None) => Err("spreads a value with `*`, which is not available".to_owned()),
        ("*", Some(left)) => {
            guards.push(tokens[left].range.end);
            guards.push(tokens[end_of_chain(tokens, at + 1)?].range.end);
            Ok(())
        }
        ("(", Some(left)) if tokens[left].kind != Kind::Name => {
            Err("calls a value: there are no functions and methods".to_owned())
        }
        _ => Ok(()),
    }
}

fn ends_operand(token: &Token<'_>) -> bool {
    match token.kind {
        Kind::Name => !["and", "or", "not", "in", "is", "if", "else"].contains(&token.text),
        Kind::Number | Kind::Text => true,
        Kind::Symbol => [")", "]", "}"].contains(&token.text),
    }
}

/// The last token of the operand that starts at `at`: signs, a primary, then `.name`, `[…]`, `(…)` and `| filter(…)`.
fn end_of_chain(tokens: &[Token<'_>], mut at: usize) -> Result<usize, String> {
    while tokens.get(at).is_some_and(|t| t.is("-") || t.is("+")) {
        at += 1;
    }
    let mut last = end_of_group(tokens, at)?;
    while let Some(token) = tokens.get(last + 1).filter(|t| t.kind == Kind::Symbol) {
        last = match token.text {
            "." | "|" => last + 2,
            "(" | "[" => end_of_group(tokens, last + 1)?,
            _ => break,
        };
    }
    if last < tokens.len() {
        Ok(last)
    } else {
        Err(incomplete())
    }
}

/// The token that closes the bracket at `at`, or `at` itself.
fn end_of_group(tokens: &[Token<'_>], at: usize) -> Result<usize, String> {
    let mut depth = 0_usize;
    for (i, token) in tokens.iter().enumerate().skip(at) {
        if token.kind == Kind::Symbol {
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.checked_sub(1).ok_or_else(incomplete)?,
                _ => {}
            }
        }
        if depth == 0 {
            return Ok(i);
        }
    }
    Err(incomplete())
}

fn incomplete() -> String {
    "is not complete: a value or a closing bracket is missing".to_owned()
}

fn insert_guards(source: &str, mut places: Vec<usize>) -> String {
    places.sort_unstable();
    places.dedup();
    let mut guarded = source.to_owned();
    for place in places.into_iter().rev() {
        guarded.insert_str(place, &format!("|{NUMBER}"));
    }
    guarded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_a_product_are_guarded() {
        let check = |source: &str, expected: &str| {
            assert_eq!(
                check(source, Scope::Rule)
                    .expect(source)
                    .source
                    .replace("|__number", "#"),
                expected
            );
        };
        check("2 * 3", "2# * 3#");
        check("1 * 2 * 3", "1# * 2# * 3#");
        check(
            "event.payload.a * -event.payload.b[0]|abs + 1",
            "event.payload.a# * -event.payload.b[0]|abs# + 1",
        );
        check("(1 + 2) * (3 - [4][0])", "(1 + 2)# * (3 - [4][0])#");
        check("2 ** 3 * 4 ** 5", "2 ** 3# * 4# ** 5");
        check("'*' ~ event.id", "'*' ~ event.id");
        check(
            "event.payload.a * event.payload.b|round(2 * 1)",
            "event.payload.a# * event.payload.b|round(2# * 1#)#",
        );
    }

    #[test]
    fn only_known_names() {
        let check = |source: &str, wrong: &str| {
            let error = check(source, Scope::Rule).expect_err(source);
            assert!(error.contains(wrong), "{source}: {error}");
        };
        check("range(10)", "no functions");
        check("event.payload.items()", "no functions");
        check("event.payload['x']()", "no functions");
        check("(event.payload.x)()", "no functions");
        check("payload.x", "unknown name \"payload\"");
        check("event.payload.x | format(1)", "unknown filter \"format\"");
        check("event.payload.x is sameas 1", "unknown test \"sameas\"");
        check("event.payload.x | first.name", "a dot after the filter");
        check("event.payload.x | default(*event.payload.y)", "spreads");
        check("[*event.payload.y]", "spreads");
        check("event.payload.x | default(**event.payload.y)", "spreads");
        check("2 *", "not complete");
        check("2 * (3", "not complete");
        check("", "is empty");
        check(&"1+".repeat(300), "more than");
        check(&"1".repeat(3000), "longer than");
    }

    #[test]
    fn each_place_has_its_names() {
        let check = |source: &str, expected: [bool; 3]| {
            let found = [Scope::Rule, Scope::RuleKey, Scope::ActionKey].map(|scope| check(source, scope).is_ok());
            assert_eq!(found, expected, "{source}");
        };
        check("event.payload.host", [true, true, false]);
        check("rule.ref", [true, true, false]);
        check("parameters.host", [false, true, true]);
        check("payload.host", [false, false, false]);
        let error = super::check("event.id", Scope::ActionKey).expect_err("an action does not know events");
        assert!(error.contains("write `parameters…`"), "{error}");
    }

    #[test]
    fn paths_are_known() {
        let checked =
            check("event.payload.a.0.b > 1 and rule.ref == event.trigger", Scope::Rule).expect("an expression");
        assert_eq!(checked.paths[0], ["event", "payload", "a", "0", "b"]);
        assert_eq!(checked.paths.len(), 3);
        let bracketed = check("event['payload'][\"a b\"][0].c[event.id]", Scope::Rule).expect("an expression");
        assert_eq!(bracketed.paths[0], ["event", "payload", "a b", "0", "c"]);
        let quoted = check("event['\"id\"']", Scope::Rule).expect("an expression");
        assert_eq!(quoted.paths[0], ["event", "\"id\""]);
        assert_eq!(bracketed.paths[1], ["event", "id"]);
    }
}
