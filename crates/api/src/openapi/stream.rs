//! The frames of the stream, as clients parse them: the name of the event, and the JSON of its data.

use attune_common::bus::FeedKind;
use attune_domain::{execution::ExecutionStatus, occurrence::EnforcementStatus};
use serde_json::{Map, Value, json};

/// The component. Each variant becomes one of its own.
pub fn frame() -> Value {
    let time = || json!({"type": "string", "format": "date-time"});
    let id = || json!({"type": "string", "format": "uuid"});
    let reference = || json!({"type": "string"});
    let replayed =
        json!({"type": "boolean", "const": true, "description": "It was sent again because of `Last-Event-ID`."});
    let change = json!({
        "kind": {"type": "string", "enum": changes()}, "at": time(),
        "event_id": id(), "enforcement_id": id(), "execution_id": id(),
        "trigger_ref": reference(), "rule_ref": reference(), "action_ref": reference(), "trace_id": id(), "replayed": replayed,
    });
    let log = json!({
        "kind": {"type": "string", "const": FeedKind::LOG}, "at": time(), "execution_id": id(),
        "attempt": {"type": "integer", "minimum": 1}, "seq": {"type": "integer", "minimum": 0},
        "stream": {"type": "string", "enum": ["stdout", "stderr"]}, "text": {"type": "string"}, "replayed": replayed,
    });
    let reasons = ["too_slow", "unavailable", "unknown_id", "too_long_ago", "too_much"];
    let missed = json!({
        "reason": {"type": "string", "enum": reasons},
        "count": {"type": "integer", "minimum": 1, "description": "How many changes were lost, if that is known."},
    });
    let resumed = json!({"since": time(), "replayed": {"type": "integer", "minimum": 0}, "note": {"type": "string"}});
    let end = json!({"reason": {"type": "string", "enum": ["unauthorized", "unavailable", "stopping"]}});
    let log_fields = ["kind", "at", "execution_id", "attempt", "seq", "stream", "text"];
    json!({
        "description": "A frame of GET /api/v1/stream: `event`, and the JSON in `data`. Comments are sent in between.",
        "oneOf": [
            variant("StreamChange", "Something has changed.", &changes(), &["kind", "at"], &change),
            variant("StreamLog", "A running action has written output.", &[FeedKind::LOG.to_owned()], &log_fields, &log),
            variant("StreamHeartbeat", "Nothing has changed for a while.", &["heartbeat".to_owned()], &["at"], &json!({"at": time()})),
            variant("StreamMissed", "Changes were lost: read what is shown again.", &["missed".to_owned()], &["reason"], &missed),
            variant("StreamResumed", "Everything since `Last-Event-ID` has been sent.", &["resumed".to_owned()], &["since", "replayed", "note"], &resumed),
            variant("StreamEnd", "The stream ends.", &["end".to_owned()], &["reason"], &end),
        ],
    })
}

fn changes() -> Vec<String> {
    let enforcements = EnforcementStatus::ALL
        .iter()
        .map(|status| FeedKind::enforcement(status.as_str()));
    let executions = ExecutionStatus::ALL.iter().map(|status| FeedKind::execution(*status));
    let kinds = std::iter::once(FeedKind::event_created())
        .chain(enforcements)
        .chain(executions);
    kinds.map(|kind| kind.as_str().to_owned()).collect()
}

fn variant(title: &str, description: &str, events: &[String], required: &[&str], fields: &Value) -> Value {
    let data = json!({"type": "object", "required": required, "properties": fields});
    let properties = Map::from_iter([
        ("event".to_owned(), json!({"type": "string", "enum": events})),
        (
            "id".to_owned(),
            json!({"type": "string", "description": "For `Last-Event-ID`. Some frames have none."}),
        ),
        ("data".to_owned(), data),
    ]);
    json!({"title": title, "type": "object", "description": description, "required": ["event", "data"], "properties": properties})
}
