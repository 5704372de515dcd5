//! The address of a value in an event: `event.payload.items[0].name`.
//!
//! Parts are separated by dots; a number addresses an item of a list, `items.0` or `items[0]`. A name with other characters
//! is written in brackets and quotes: `payload["a.b"]`. `payload.x` is short for `event.payload.x`. Anything else would
//! never match, so it is rejected with a suggestion.

use super::{
    part::{is_negative, is_plain},
    suggestion::suggestion,
};
use crate::{event::FIELDS, expression::text_literal, json::lookup, spelled::closest_match};
use serde_json::Value;

const LENGTH_MAX: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// As it is reported, from `event` or `item`.
    pub text: String,
    /// Whether it starts at the item of a list.
    pub in_item: bool,
    keys: Vec<String>,
}

/// Why a text is not a path, and where.
struct Wrong {
    at: usize,
    what: String,
}

impl Path {
    /// `item` addresses the item inside `any_item` and `every_item`.
    pub fn parse(text: &str, inside_items: bool) -> Result<Self, String> {
        if text.len() > LENGTH_MAX {
            return Err(format!("is longer than {LENGTH_MAX} bytes"));
        }
        let mut keys = keys(text).map_err(|wrong| {
            let at = text[..wrong.at].chars().count() + 1;
            format!("is not a path: {} at character {at}{}", wrong.what, suggestion(text))
        })?;
        let full = match keys.first().map(String::as_str) {
            Some("item") if inside_items => {
                keys.remove(0);
                return Ok(Self {
                    text: text.to_owned(),
                    in_item: true,
                    keys,
                });
            }
            Some("item") => {
                return Err(
                    "is not the address of a value: `item` exists only inside `any_item` and `every_item`".to_owned(),
                );
            }
            Some("payload") => format!("event.{text}"),
            Some("event") => {
                keys.remove(0);
                text.to_owned()
            }
            _ => {
                let roots = if inside_items { "`item`, `event`" } else { "`event`" };
                return Err(format!(
                    "is not the address of a value: it starts with {roots} or `payload`{}",
                    suggestion(text)
                ));
            }
        };
        if let Some(field) = keys.first().filter(|field| !FIELDS.contains(&field.as_str())) {
            return Err(unknown_field(field, &keys[1..]));
        }
        if keys.len() > 1 && keys[0] != "payload" {
            return Err(format!("never exists: event.{} is a string and has no parts", keys[0]));
        }
        Ok(Self {
            text: full,
            in_item: false,
            keys,
        })
    }

    /// The value in the event, or in the item. Null is a value.
    pub fn find<'v>(&self, root: &'v Value) -> Option<&'v Value> {
        lookup(root, &self.keys)
    }
}

fn unknown_field(field: &str, rest: &[String]) -> String {
    let under = closest_match(field, &FIELDS).map_or_else(
        || vec!["payload".to_owned(), field.to_owned()],
        |field| vec![field.to_owned()],
    );
    let parts = under.into_iter().chain(rest.iter().cloned()).collect::<Vec<_>>();
    format!(
        "names event.{field}, which no event has: there is event.{}; write `{}`",
        FIELDS.join(", event."),
        super::suggestion::written("event", &parts)
    )
}

/// The parts of a path, with the root.
fn keys(text: &str) -> Result<Vec<String>, Wrong> {
    let mut keys = Vec::new();
    let mut at = 0;
    loop {
        let len = text[at..].find(|c| !is_plain(c)).unwrap_or(text.len() - at);
        let name = &text[at..at + len];
        if name.is_empty() {
            return Err(unexpected(text, at, "a name is missing"));
        }
        if is_negative(name) {
            return Err(Wrong {
                at,
                what: "an index counts from 0, so there is no such item".to_owned(),
            });
        }
        keys.push(name.to_owned());
        at += len;
        while text[at..].starts_with('[') {
            let (key, end) = bracket(text, at)?;
            keys.push(key);
            at = end;
        }
        match text[at..].chars().next() {
            None => return Ok(keys),
            Some('.') => at += 1,
            Some(_) => return Err(unexpected(text, at, "a dot or a bracket is missing")),
        }
    }
}

fn unexpected(text: &str, at: usize, missing: &str) -> Wrong {
    let what = match text[at..].chars().next() {
        Some(c) if c.is_whitespace() => "there is a blank".to_owned(),
        Some('*') => "there is `*`, but a path addresses one value".to_owned(),
        Some('.') | None => missing.to_owned(),
        Some(c) => format!("contains {c:?}, which must be written in brackets and quotes"),
    };
    Wrong { at, what }
}

/// `[0]`, `["a.b"]` or `['a.b']` at `at`: the key, and where the bracket ends.
fn bracket(text: &str, at: usize) -> Result<(String, usize), Wrong> {
    let inner = at + 1;
    let wrong = |what: &str| Wrong {
        at: inner,
        what: what.to_owned(),
    };
    let rest = &text[inner..];
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (key, end) = match rest.chars().next() {
        Some('"' | '\'') => {
            let (key, len) = text_literal(rest).map_err(|_| wrong("a quote is missing"))?;
            (key, inner + len)
        }
        Some('0'..='9') if digits > 1 && rest.starts_with('0') => {
            return Err(wrong("an index has no zeros in front"));
        }
        Some('0'..='9') => (rest[..digits].to_owned(), inner + digits),
        Some('-') => return Err(wrong("an index counts from 0, so there is no such item")),
        Some(c) if c.is_whitespace() => return Err(wrong("there is a blank")),
        Some('*') => return Err(wrong("there is `*`, but a path addresses one value")),
        Some(']') | None => return Err(wrong("the brackets are empty")),
        Some(_) => return Err(wrong("a name in brackets needs quotes")),
    };
    if !text[end..].starts_with(']') {
        return Err(Wrong {
            at: end,
            what: "a closing bracket is missing".to_owned(),
        });
    }
    Ok((key, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::{Expression, Scope};
    use serde_json::json;

    #[test]
    fn addresses() {
        let event = json!({"id": "e", "payload": {"a": [{"b": 7}], "x-y": null, "1": "one", "a.b": 2, "it's": 3, "x y": [4],
            "größe": 5, "": 6, "@type": {"a\"b": 8}}});
        let check = |path: &str, expected: Option<Value>| {
            let found = Path::parse(path, false).expect(path).find(&event).cloned();
            assert_eq!(found, expected, "{path}");
        };
        check("event.id", Some(json!("e")));
        check("event.payload.a.0.b", Some(json!(7)));
        check("payload.a.0.b", Some(json!(7)));
        check("payload.a[0].b", Some(json!(7)));
        check("payload.a[0][\"b\"]", Some(json!(7)));
        check("payload['a'][0]['b']", Some(json!(7)));
        check("event['payload'][\"a\"][0].b", Some(json!(7)));
        check("payload[\"a.b\"]", Some(json!(2)));
        check("payload['a.b']", Some(json!(2)));
        check("payload[\"it's\"]", Some(json!(3)));
        check("payload['it\\'s']", Some(json!(3)));
        check("payload['x y'][0]", Some(json!(4)));
        check("payload.größe", Some(json!(5)));
        check("payload['']", Some(json!(6)));
        check("payload.@type['a\"b']", Some(json!(8)));
        check("payload.a.1", None);
        check("payload.a[1]", None);
        check("payload.a.b", None);
        check("payload.x-y", Some(Value::Null));
        check("payload.1", Some(json!("one")));
        check("payload.a.0.b.c", None);
        check("payload['a'].0.b", Some(json!(7)));
        let reported = |path: &str| Path::parse(path, false).expect(path).text;
        assert_eq!(reported("payload[\"a.b\"].c"), "event.payload[\"a.b\"].c");
        assert_eq!(reported("event.payload.c"), "event.payload.c");
    }

    /// A path that would never match, why it is refused, and the suggestion.
    const REFUSED: &[(&str, &str, &str)] = &[
        ("", "a name is missing at character 1", "payload"),
        ("event.", "a name is missing at character 7", "event"),
        (".payload.x", "a name is missing at character 1", "payload.x"),
        ("payload..x", "a name is missing at character 9", "payload.x"),
        ("payload.x.", "a name is missing", "payload.x"),
        (" payload.x", "a blank at character 1", "payload.x"),
        ("payload.x ", "a blank at character 10", "payload.x"),
        ("payload. x", "a blank at character 9", "payload.x"),
        ("payload .x", "a blank at character 8", "payload.x"),
        (
            "payload.first name",
            "a blank at character 14",
            "payload[\"first name\"]",
        ),
        ("payload.a\tb", "a blank", "payload[\"a\\tb\"]"),
        ("payload[ 0 ]", "a blank at character 9", "payload[0]"),
        ("payload[\"a\" ]", "a closing bracket is missing", "payload.a"),
        ("payload[ 'a.b' ]", "a blank", "payload[\"a.b\"]"),
        ("payload[a]", "needs quotes at character 9", "payload.a"),
        ("payload[a.b]", "needs quotes", "payload[\"a.b\"]"),
        ("payload[]", "the brackets are empty", "payload"),
        ("payload[", "the brackets are empty", "payload"),
        ("payload[0", "a closing bracket is missing", "payload[0]"),
        ("payload['a", "a quote is missing", "payload.a"),
        ("payload['a\"]", "a quote is missing", "payload.a"),
        ("payload.a]", "contains ']'", "payload.a"),
        ("payload.items[007]", "no zeros in front", "payload.items[7]"),
        ("payload.[0]", "contains '['", "payload[0]"),
        ("payload.['a']", "contains '['", "payload.a"),
        ("payload[0]x", "contains 'x'", "payload[0].x"),
        ("payload.\"a.b\"", "contains '\"'", "payload[\"a.b\"]"),
        ("'payload'.x", "contains '\\''", "payload.x"),
        (
            "payload.items[-1].x",
            "an index counts from 0",
            "event.payload.items[-1].x",
        ),
        (
            "payload.items.-1.x",
            "an index counts from 0",
            "event.payload.items[-1].x",
        ),
        (
            "payload.items[*].x",
            "there is `*`",
            "event.payload.items | map(attribute='x')",
        ),
        (
            "payload.items.*.x",
            "there is `*`",
            "event.payload.items | map(attribute='x')",
        ),
        ("payload.*", "there is `*`", "event.payload.values()"),
        ("$.payload.x", "starts with `event` or `payload`", "payload.x"),
        ("/payload/x", "starts with `event` or `payload`", "payload.x"),
        ("{{ event.payload.x }}", "contains '{'", "event.payload.x"),
        ("payload.x | upper", "there is a blank", "payload[\"x | upper\"]"),
        ("temperature", "starts with `event` or `payload`", "payload.temperature"),
        ("body.total", "starts with `event` or `payload`", "payload.body.total"),
        (
            "trigger.body.total",
            "starts with `event` or `payload`",
            "payload.body.total",
        ),
        (
            "trigger.headers['X-Y']",
            "starts with `event` or `payload`",
            "payload.headers.X-Y",
        ),
        ("trigger.payload.a", "starts with `event` or `payload`", "payload.a"),
        ("payload->a->b", "contains '>'", "payload.a.b"),
        ("payload[“a.b”]", "needs quotes", "payload[\"a.b\"]"),
        (
            "payload.items[1.0].x",
            "a closing bracket is missing",
            "payload.items[1].x",
        ),
        (
            "payload.items[0:2]",
            "a closing bracket is missing",
            "event.payload.items[0:2]",
        ),
        (
            "payload.items[-3:]",
            "an index counts from 0",
            "event.payload.items[-3:]",
        ),
        (
            "payload.body[\"line-items\"][-1]",
            "an index counts from 0",
            "event.payload.body[\"line-items\"][-1]",
        ),
        (
            "payload.größe[-1]",
            "an index counts from 0",
            "event.payload[\"größe\"][-1]",
        ),
        (
            "payload.line-items[*].sku",
            "there is `*`",
            "event.payload[\"line-items\"] | map(attribute='sku')",
        ),
        ("payloads.x", "starts with `event` or `payload`", "payload.x"),
        ("Payload.x", "starts with `event` or `payload`", "payload.x"),
        ("event.paylod.x", "no event has", "event.payload.x"),
        ("event.body.x", "no event has", "event.payload.body.x"),
    ];

    /// Paths that would never match are refused, with the position and a suggestion that works.
    #[test]
    fn everything_else_is_rejected_with_a_suggestion() {
        let mut wrong = Vec::new();
        for (path, reason, works) in REFUSED {
            let error = Path::parse(path, false).expect_err(path);
            let suggested = error.rsplit('`').nth(1).unwrap_or_default();
            if !error.contains(reason) || suggested != *works {
                wrong.push(format!("{path}: expected {reason:?} and `{works}`: {error}"));
            }
            let reads = Path::parse(works, false).is_ok() || Expression::compile(works, Scope::Rule).is_ok();
            assert!(reads, "{path}: the suggestion {works} is not valid");
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        for path in ["rule.ref", "parameters.x", "action.ref"] {
            assert!(Path::parse(path, false).is_err_and(|e| e.ends_with("a clause reads the event only")));
        }
        assert!(Path::parse("event.id.x", false).is_err_and(|e| e.contains("has no parts")));
        assert!(Path::parse("event.received_at[0]", false).is_err_and(|e| e.contains("has no parts")));
        assert!(Path::parse(&format!("payload.{}", "x".repeat(600)), false).is_err());
    }
}
