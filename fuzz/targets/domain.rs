//! Fuzz targets for untrusted input: text from webhook senders, clients and authors of definitions. Each function accepts any
//! bytes and asserts what holds for every input.
//!
//! The fuzzer calls them, and the tests with the corpus.

use attune_domain::{
    EventId, TriggerId,
    condition::Condition,
    event::EventFacts,
    template::{RESULT_BYTES_MAX, Template},
    text::{self, Charset},
    timer::{self, Change, GapReason, Limits, Origin, Timer, TimerConfig},
    webhook::{BodyForm, Headers, MASK, WebhookConfig, dedup_key, masked, payload, query, shown_headers, verify},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

/// A day in 2026, between two clock changes.
fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000, 0).expect("a time")
}

/// The parts of an input, separated by lines `---`.
fn parts(text: &str) -> (&str, &str) {
    text.split_once("\n---\n").unwrap_or((text, ""))
}

/// A cron expression, and a time zone on the second line.
pub fn cron(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (expression, timezone) = text.split_once('\n').unwrap_or((&text, "UTC"));
    schedule(&json!({"type": "cron", "expression": expression, "timezone": timezone}));
}

/// The configuration of a timer as JSON.
pub fn timer(data: &[u8]) {
    if let Ok(config) = serde_json::from_slice(data) {
        schedule(&config);
    }
}

fn schedule(config: &Value) {
    let Ok(config) = TimerConfig::parse(config) else {
        return;
    };
    let kept = serde_json::to_value(&config).expect("a configuration can be kept");
    assert_eq!(TimerConfig::parse(&kept).as_ref(), Ok(&config), "{kept}");
    let _ = config.validate(now(), Limits::default());
    let _ = config.validate_edit(&config, true, now(), Limits::default());
    let Ok(timer) = Timer::compile(&config, TriggerId(7)) else {
        return;
    };
    let ahead: Vec<_> = timer::occurrences(&timer, now(), None).take(20).collect();
    assert!(
        ahead.is_sorted_by(|a, b| a.scheduled_at < b.scheduled_at),
        "{kept}: {ahead:?}"
    );
    if let Some(next) = timer::plan(&timer, now(), Origin::Created, None).next {
        // An outage of a month.
        let late = next + TimeDelta::days(31);
        let due = timer::due(&timer, next, late, None, 100);
        assert!(due.events().count() <= 100, "{kept}");
        let change = Change {
            at: late,
            reason: GapReason::Edited,
        };
        let _ = timer::due_before_change(&timer, next, change, late, None, 100);
    }
}

/// A trigger's configuration as JSON, one header per line, `---`, the body.
pub fn webhook(data: &[u8]) {
    let place = data.windows(5).position(|window| window == b"\n---\n");
    let (head, body) = place.map_or((data, &[][..]), |at| (&data[..at], &data[at + 5..]));
    let head = String::from_utf8_lossy(head);
    let (config, lines) = head.split_once('\n').unwrap_or((&head, ""));
    let Ok(config) = serde_json::from_str::<Value>(config) else {
        return;
    };
    let secret = config["secret"].as_str().unwrap_or_default().to_owned();
    // Longer than the mask itself.
    if secret.len() > MASK.len() {
        assert!(!masked(&config)["secret"].to_string().contains(&secret), "{config}");
    }
    let Ok(config) = WebhookConfig::parse(&config) else {
        return;
    };
    let pairs: Vec<(String, &str)> = lines
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value))
        .collect();
    let headers = Headers::new(pairs.iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
    let _ = shown_headers(&headers);
    let said = match BodyForm::of(headers.first("content-type")) {
        BodyForm::Form => text::pairs(body, Charset::Utf8).map(text::fields).unwrap_or_default(),
        _ => serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into()),
    };
    if let Ok(verified) = verify(&config, &headers, body, now()) {
        let _ = dedup_key(&config, &headers, &said, &verified);
        let _ = payload(&config, "POST", &headers, query(lines).unwrap_or_default(), said);
    }
}

/// A condition as JSON, `---`, the payload of an event as JSON.
pub fn condition(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (condition, payload) = parts(&text);
    // Text that is not JSON is an expression.
    let condition = serde_json::from_str(condition).unwrap_or_else(|_| condition.into());
    if let Ok(condition) = Condition::compile(&condition) {
        let _ = condition.evaluate(&event(payload).for_rule("fuzz.rule"));
    }
}

/// The text of a template, or a whole one as JSON; `---`, the payload of an event as JSON.
pub fn template(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (template, payload) = parts(&text);
    let template = serde_json::from_str::<Value>(template).ok().filter(Value::is_object);
    let template = template.unwrap_or_else(|| json!({"text": parts(&text).0}));
    let Ok(template) = Template::compile(&template) else {
        return;
    };
    if let Ok(value) = template.render(&event(payload).for_rule("fuzz.rule")) {
        // JSON escapes a control character as six characters.
        assert!(value.to_string().len() <= 7 * RESULT_BYTES_MAX + data.len());
    }
}

fn event(payload: &str) -> EventFacts {
    let payload = serde_json::from_str(payload).unwrap_or(Value::Null);
    EventFacts::new(
        EventId::random(now(), [7; 10]),
        TriggerId(7),
        "fuzz.trigger",
        payload,
        now(),
        None,
    )
}
