//! The payload and the identity of an event about files.

use super::{Change, FileWatchConfig};
use crate::TriggerId;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

/// What an event contains about one file: never its content.
pub fn payload(config: &FileWatchConfig, host: &str, change: &Change, first_seen_at: DateTime<Utc>) -> Value {
    let absolute = |path: &str| format!("{}/{path}", config.path.trim_end_matches('/'));
    let path = absolute(&change.path);
    let (dir, name) = path.rsplit_once('/').unwrap_or_default();
    let mut payload = json!({
        "kind": change.kind,
        "path": path,
        "name": name,
        "dir": if dir.is_empty() { "/" } else { dir },
        "size": change.version.size,
        "mtime": text(DateTime::from_timestamp_nanos(change.version.mtime_ns)),
        "host": host,
        "first_seen_at": text(first_seen_at),
    });
    if let Some(from) = &change.from {
        payload["from"] = absolute(from).into();
    }
    payload
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// What an event about these changes is caused by. `host` is empty if all hosts share a position.
pub fn cause(trigger: TriggerId, host: &str, changes: &[Change]) -> Vec<u8> {
    let mut cause = trigger.0.to_be_bytes().to_vec();
    let mut text = |text: &str| {
        cause.extend_from_slice(text.as_bytes());
        cause.push(0);
    };
    text(host);
    for change in changes {
        let version = &change.version;
        text(&change.path);
        text(change.kind.as_str());
        text(&format!(
            "{} {} {} {}",
            version.device, version.inode, version.size, version.mtime_ns
        ));
    }
    cause
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_watch::{ChangeKind, Version};
    use std::time::Duration;

    #[test]
    fn the_payload_of_a_moved_file() {
        let config = FileWatchConfig::parse(&json!({"path": "/srv/inbox/", "recursive": true})).expect("valid");
        let change = Change {
            kind: ChangeKind::Moved,
            path: "2026/b.csv".to_owned(),
            version: Version {
                device: 1,
                inode: 2,
                size: 3,
                mtime_ns: 1_800_000_000_000_000_000,
            },
            from: Some("a.csv".to_owned()),
            first_seen: Duration::ZERO,
            is_reported: true,
        };
        let at = DateTime::from_timestamp(1_800_000_001, 500_000_000).expect("an instant");
        let expected = json!({
            "kind": "moved", "path": "/srv/inbox/2026/b.csv", "name": "b.csv", "dir": "/srv/inbox/2026", "size": 3,
            "mtime": "2027-01-15T08:00:00Z", "host": "alpha", "first_seen_at": "2027-01-15T08:00:01.500Z",
            "from": "/srv/inbox/a.csv",
        });
        assert_eq!(payload(&config, "alpha", &change, at), expected);
        let other = Change {
            kind: ChangeKind::Created,
            ..change.clone()
        };
        assert_ne!(
            cause(TriggerId(1), "", std::slice::from_ref(&change)),
            cause(TriggerId(1), "", &[other])
        );
        assert_ne!(
            cause(TriggerId(1), "", std::slice::from_ref(&change)),
            cause(TriggerId(1), "a", &[change])
        );
    }
}
