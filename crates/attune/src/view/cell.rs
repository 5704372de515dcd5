//! One value of a table.

use super::{moment, term::View};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// How a value is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// An instant: relative on a terminal, unless a zone is given.
    Time,
    /// A word with a color.
    Status,
    /// Milliseconds.
    Millis,
    /// `enabled` or `disabled`.
    Enabled,
}

#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub title: &'static str,
    /// Names separated by dots.
    pub path: &'static str,
    pub kind: Kind,
}

pub const fn text(title: &'static str, path: &'static str) -> Column {
    let kind = Kind::Text;
    Column { title, path, kind }
}

pub const fn time(title: &'static str, path: &'static str) -> Column {
    let kind = Kind::Time;
    Column { title, path, kind }
}

pub const fn status(title: &'static str, path: &'static str) -> Column {
    let kind = Kind::Status;
    Column { title, path, kind }
}

pub const fn millis(title: &'static str, path: &'static str) -> Column {
    let kind = Kind::Millis;
    Column { title, path, kind }
}

pub const fn enabled() -> Column {
    Column {
        title: "STATE",
        path: "enabled",
        kind: Kind::Enabled,
    }
}

/// The value at a path of names separated by dots.
pub fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    path.split('.').fold(value, |value, name| match name.parse::<usize>() {
        Ok(index) if value.is_array() => &value[index],
        _ => &value[name],
    })
}

/// A value as text that fits into one line.
pub fn shown(value: &Value, kind: Kind, view: &View) -> String {
    let plain = plain(value);
    match kind {
        Kind::Time => match (plain.parse::<DateTime<Utc>>(), view.zone) {
            (Ok(at), Some(zone)) => zone.show(at),
            (Ok(at), None) if view.tty => moment::relative(at, view.now),
            _ => one_line(&plain),
        },
        Kind::Millis => match value.as_i64() {
            Some(millis) if view.tty => format!("{}.{:03} s", millis / 1_000, millis.rem_euclid(1_000)),
            _ => plain,
        },
        Kind::Enabled => match value.as_bool() {
            Some(true) => "enabled".to_owned(),
            Some(false) => "disabled".to_owned(),
            None => one_line(&plain),
        },
        Kind::Text | Kind::Status => one_line(&plain),
    }
}

/// Null is a dash, a string is itself, everything else is JSON.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub fn color(text: &str) -> &'static str {
    match text {
        "succeeded" | "enabled" | "decided" | "created" | "accepted" | "ok" | "true" | "live" => "32",
        "failed" | "lost" | "timed_out" | "rejected" | "quarantined" | "failing" | "false" => "31",
        "canceled" | "canceling" | "skipped" | "throttled" | "disabled" | "degraded" | "revoked" | "expired" => "33",
        "running" | "scheduled" | "waiting" | "pending" => "36",
        _ => "",
    }
}

/// A text without control characters: they are shown as in Rust, so that neither columns nor the terminal break.
pub fn one_line(text: &str) -> String {
    escaped(text, is_control)
}

/// Text of several lines for a terminal, such as a log: line breaks and tabs stay.
pub fn for_terminal(text: &str) -> String {
    escaped(text, |c| is_control(c) && c != '\n' && c != '\t')
}

fn escaped(text: &str, hide: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if hide(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Also what changes the direction of text, which can hide its order.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hostile_text_does_not_reach_the_terminal() {
        assert_eq!(
            one_line("a\u{1b}[2Jb\tc\nd\u{9b}1m\u{202e}x"),
            "a\\u{1b}[2Jb\\tc\\nd\\u{9b}1m\\u{202e}x"
        );
        assert_eq!(for_terminal("a\u{1b}[2J\r\n\tb"), "a\\u{1b}[2J\\r\n\tb");
        assert_eq!(one_line("Grüße 🦀 こんにちは"), "Grüße 🦀 こんにちは");
    }

    #[test]
    fn paths_lead_into_objects_and_lists() {
        let value = json!({"a": {"b": [1, {"c": "x"}]}});
        assert_eq!(plain(at(&value, "a.b.1.c")), "x");
        assert_eq!(plain(at(&value, "a.b")), "[1,{\"c\":\"x\"}]");
        assert_eq!(plain(at(&value, "a.none.c")), "-");
    }
}
