//! The wire format: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.
//!
//! An id is the Unix time in milliseconds at which the API sent the change.

use attune_common::{
    bus::{Feed, FeedKind},
    store::execution_log::Chunk,
};
use attune_domain::ExecutionId;
use axum::body::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

/// Clients reconnect two seconds after a lost connection.
pub fn opening() -> Bytes {
    Bytes::from_static(b"retry: 2000\n: attune\n\n")
}

pub fn comment() -> Bytes {
    Bytes::from_static(b": keep-alive\n\n")
}

pub fn change(feed: &Feed, at: DateTime<Utc>, replayed: bool) -> Bytes {
    let mut data = json!(feed);
    data["at"] = json!(at.to_rfc3339_opts(SecondsFormat::Millis, true));
    if replayed {
        data["replayed"] = json!(true);
    }
    frame(Some(at), feed.kind.as_str(), &data)
}

/// A chunk of the output of an action.
pub fn log(execution: ExecutionId, chunk: &Chunk, now: DateTime<Utc>, replayed: bool) -> Bytes {
    let mut data = json!({
        "kind": FeedKind::LOG,
        "execution_id": execution,
        "attempt": chunk.attempt,
        "seq": chunk.seq,
        "stream": chunk.stream,
        "text": chunk.chunk,
        "at": chunk.at.to_rfc3339_opts(SecondsFormat::Millis, true),
    });
    if replayed {
        data["replayed"] = json!(true);
    }
    frame(Some(now), FeedKind::LOG, &data)
}

pub fn heartbeat(at: DateTime<Utc>) -> Bytes {
    let data = json!({"at": at.to_rfc3339_opts(SecondsFormat::Millis, true)});
    frame(Some(at), "heartbeat", &data)
}

/// Changes were lost: the client has to read the lists.
pub fn missed(data: &Value) -> Bytes {
    frame(None, "missed", data)
}

pub fn resumed(data: &Value) -> Bytes {
    frame(None, "resumed", data)
}

pub fn end(reason: &str) -> Bytes {
    frame(None, "end", &json!({"reason": reason}))
}

/// JSON on one line contains no line break, which would end a field.
fn frame(id: Option<DateTime<Utc>>, event: &str, data: &Value) -> Bytes {
    let id = id
        .map(|at| format!("id: {}\n", at.timestamp_millis()))
        .unwrap_or_default();
    format!("{id}event: {event}\ndata: {data}\n\n").into()
}
