//! Suggestions for paths that cannot be parsed.

use super::part::{is_negative, is_plain};
use crate::spelled::closest_match;

/// "; write `payload["a b"]`", with a path that parses.
pub fn suggestion(text: &str) -> String {
    let mut parts = loose_parts(text);
    let root = match parts.first().map(|root| root.to_lowercase()) {
        Some(root) if root == "event" => {
            parts.remove(0);
            "event"
        }
        Some(root) if root == "trigger" || closest_match(&root, &["payload"]).is_some() => {
            parts.remove(0);
            if root == "trigger" && parts.first().is_some_and(|part| part == "payload") {
                parts.remove(0);
            }
            "payload"
        }
        Some(root) if ["rule", "parameters", "action", "action_params"].contains(&root.as_str()) => {
            return "; a clause reads the event only".to_owned();
        }
        _ => "payload",
    };
    let full = match root {
        "event" => in_expression("event", &parts),
        _ => in_expression("event.payload", &parts),
    };
    if let Some(star) = parts.iter().position(|part| part == "*") {
        return of_each(root, &parts[..star], &parts[star + 1..]);
    }
    if parts.iter().any(|part| is_negative(part)) {
        return format!("; an expression can count from the end: `{full}`");
    }
    if parts.iter().any(|part| is_slice(part)) {
        return format!("; an expression can take a part: `{full}`");
    }
    format!("; write `{}`", written(root, &parts))
}

/// An expression over all items of a list.
fn of_each(root: &str, list: &[String], rest: &[String]) -> String {
    let root = if root == "event" { "event" } else { "event.payload" };
    let list = in_expression(root, list);
    let is_simple = |part: &String| part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if rest.is_empty() || !rest.iter().all(is_simple) {
        return format!("; an expression can use each of them: `{list}.values()`");
    }
    format!(
        "; an expression can use each of them: `{list} | map(attribute='{}')`",
        rest.join(".")
    )
}

/// The path with these parts.
pub fn written(root: &str, parts: &[String]) -> String {
    joined(root, parts, |part| part.chars().all(is_plain))
}

/// The same in an expression, where fewer names need no quotes.
fn in_expression(root: &str, parts: &[String]) -> String {
    joined(root, parts, |part| {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        part.chars().all(is_name) && !part.starts_with(|c: char| c.is_ascii_digit())
    })
}

fn joined(root: &str, parts: &[String], is_plain: impl Fn(&str) -> bool) -> String {
    let mut path = root.to_owned();
    for part in parts {
        let is_index = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if is_index || is_negative(part) {
            let digits = part.trim_start_matches('0');
            let digits = if digits.is_empty() { "0" } else { digits };
            path.extend(["[", digits, "]"]);
        } else if is_slice(part) {
            path.extend(["[", part, "]"]);
        } else if !part.is_empty() && is_plain(part) {
            path.push('.');
            path.push_str(part);
        } else {
            // Quoted as in JSON, which the parser accepts.
            path.extend(["[", &serde_json::Value::from(part.as_str()).to_string(), "]"]);
        }
    }
    path
}

/// `0:5` or `-3:`
fn is_slice(part: &str) -> bool {
    let is_bound = |bound: &str| {
        bound
            .strip_prefix('-')
            .unwrap_or(bound)
            .bytes()
            .all(|b| b.is_ascii_digit())
    };
    part.len() > 1 && part.contains(':') && part.split(':').count() <= 3 && part.split(':').all(is_bound)
}

/// The names in a text that only resembles a path: blanks around them and empty ones are left out.
fn loose_parts(text: &str) -> Vec<String> {
    let text = text.trim();
    let text = text.strip_prefix("{{").map_or(text, |text| text.trim_end_matches('}'));
    let text = text.trim().trim_start_matches(['$', '.', '?']);
    if let Some(pointer) = text.strip_prefix('/') {
        return pointer
            .split('/')
            .map(str::to_owned)
            .filter(|part| !part.is_empty())
            .collect();
    }
    let text = text
        .replace("->", ".")
        .replace(['“', '”', '„'], "\"")
        .replace(['‘', '’'], "'");
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut quote = None;
    let mut brackets = 0_usize;
    for c in text.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            ('[', None) => {
                brackets += 1;
                parts.push(std::mem::take(&mut part));
            }
            (']', None) if brackets > 0 => {
                brackets -= 1;
                let inside = std::mem::take(&mut part);
                // `[1.0]` is an index that a program wrote as a decimal number.
                parts.push(inside.strip_suffix(".0").map_or(inside.clone(), str::to_owned));
            }
            ('.', None) if brackets == 0 => parts.push(std::mem::take(&mut part)),
            (c, _) => part.push(c),
        }
    }
    parts.push(part);
    let cleaned = parts
        .iter()
        .map(|part| part.trim().trim_matches(['"', '\'', ']']).trim().to_owned());
    cleaned.filter(|part| !part.is_empty()).collect()
}
