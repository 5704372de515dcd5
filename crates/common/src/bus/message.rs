//! The messages of the bus, and their form outside the process: JSON of at most 4 KiB, `{"v": 1, "kind": …, …}`.
//!
//! Every message is a hint: its receiver reads the database, and a process that misses it finds the same a second later by
//! polling. So a body that cannot be decoded is dropped and counted, and never an error: it may come from a newer release.

use attune_domain::{ActionRef, EnforcementId, EventId, ExecutionId, RuleRef, TriggerRef, execution::ExecutionStatus};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{borrow::Cow, fmt};
use uuid::Uuid;

/// Increased when an old reader would misinterpret a new message. New members alone do not increase it.
const VERSION: u32 = 1;

/// The largest body that is sent or accepted.
pub const BODY_BYTES_MAX: usize = 4096;

/// There is work. Addressed to any one of the services that do this kind of work.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Wake {
    /// Events wait for their decision: one executor should claim.
    Events,
    /// Executions wait in this pool: one of its workers should claim.
    Executions { pool: String },
}

impl Wake {
    pub fn executions(pool: impl Into<String>) -> Self {
        Self::Executions { pool: pool.into() }
    }
}

/// A message for every process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Control {
    /// A cancel of this execution was requested.
    Cancel { execution_id: ExecutionId },
    /// The definitions counter has changed.
    DefinitionsChanged,
}

/// A change of an occurrence, for live streams. It contains only ids and references: subscribers read the rest from the
/// database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    pub kind: FeedKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforcement_id: Option<EnforcementId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_id: Option<ExecutionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger_ref: Option<TriggerRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_ref: Option<RuleRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_ref: Option<ActionRef>,
    /// Known to receivers, which read it from the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<Uuid>,
    /// For `execution.log`: the pieces that were added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogRange>,
}

/// The first and the last of a range of log pieces of an attempt. The text itself is never sent over the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRange {
    pub attempt: i32,
    pub first: i32,
    pub last: i32,
}

impl Feed {
    /// A message without ids. Set them with `..Feed::new(kind)`.
    pub fn new(kind: FeedKind) -> Self {
        Self {
            kind,
            event_id: None,
            enforcement_id: None,
            execution_id: None,
            trigger_ref: None,
            rule_ref: None,
            action_ref: None,
            trace_id: None,
            log: None,
        }
    }
}

/// `event.created`, `enforcement.<status>`, `execution.<status>` or `execution.log`; also the routing key of the public feed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FeedKind(Cow<'static, str>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    Event,
    Enforcement,
    Execution,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "unknown feed kind {0:?}; expected `event.created`, `enforcement.<status>`, `execution.<status>` or `execution.log`"
)]
pub struct InvalidFeedKind(String);

impl FeedKind {
    pub const LOG: &'static str = "execution.log";

    pub fn event_created() -> Self {
        Self(Cow::Borrowed("event.created"))
    }

    /// `status` in the spelling of the database.
    pub fn enforcement(status: &str) -> Self {
        Self(Cow::Owned(format!("enforcement.{status}")))
    }

    pub fn execution(status: ExecutionStatus) -> Self {
        Self(Cow::Owned(format!("execution.{}", status.as_str())))
    }

    /// A running action has written output.
    pub fn execution_log() -> Self {
        Self(Cow::Borrowed(Self::LOG))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn subject(&self) -> Subject {
        match self.0.split_once('.') {
            Some(("enforcement", _)) => Subject::Enforcement,
            Some(("execution", _)) => Subject::Execution,
            _ => Subject::Event,
        }
    }
}

impl fmt::Display for FeedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for FeedKind {
    type Error = InvalidFeedKind;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_valid = match text.split_once('.') {
            Some(("event", change)) => change == "created",
            Some(("enforcement" | "execution", status)) => attune_domain::reference::is_name(status),
            _ => false,
        };
        if is_valid {
            Ok(Self(Cow::Owned(text)))
        } else {
            Err(InvalidFeedKind(text))
        }
    }
}

impl From<FeedKind> for String {
    fn from(kind: FeedKind) -> Self {
        kind.0.into_owned()
    }
}

/// Selects messages of the feed: every member that is set must be equal. The default selects all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedFilter {
    pub subject: Option<Subject>,
    pub event_id: Option<EventId>,
    pub enforcement_id: Option<EnforcementId>,
    pub execution_id: Option<ExecutionId>,
    pub trigger_ref: Option<TriggerRef>,
    pub rule_ref: Option<RuleRef>,
    pub action_ref: Option<ActionRef>,
}

impl FeedFilter {
    pub fn matches(&self, feed: &Feed) -> bool {
        fn fits<T: PartialEq>(filter: Option<&T>, value: Option<&T>) -> bool {
            filter.is_none() || filter == value
        }
        self.subject.is_none_or(|subject| subject == feed.kind.subject())
            && fits(self.event_id.as_ref(), feed.event_id.as_ref())
            && fits(self.enforcement_id.as_ref(), feed.enforcement_id.as_ref())
            && fits(self.execution_id.as_ref(), feed.execution_id.as_ref())
            && fits(self.trigger_ref.as_ref(), feed.trigger_ref.as_ref())
            && fits(self.rule_ref.as_ref(), feed.rule_ref.as_ref())
            && fits(self.action_ref.as_ref(), feed.action_ref.as_ref())
    }
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    v: u32,
    #[serde(flatten)]
    message: T,
}

/// The body of a message, or None if it would be too large.
pub(super) fn encode(message: &impl Serialize) -> Option<Vec<u8>> {
    let body = serde_json::to_vec(&Envelope { v: VERSION, message }).ok()?;
    (body.len() <= BODY_BYTES_MAX).then_some(body)
}

/// The message of a body, or None if it is too large, of another version, or malformed.
pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    if body.len() > BODY_BYTES_MAX {
        return None;
    }
    let envelope: Envelope<T> = serde_json::from_slice(body).ok()?;
    (envelope.v == VERSION).then_some(envelope.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished() -> Feed {
        Feed {
            execution_id: Some(ExecutionId(uuid::Uuid::from_u128(7))),
            action_ref: Some("core.echo".parse().expect("a reference")),
            ..Feed::new(FeedKind::execution(ExecutionStatus::TimedOut))
        }
    }

    /// Other programs read these bodies: a change here requires a new version.
    #[test]
    fn bodies_are_stable() {
        let text = |body: Option<Vec<u8>>| String::from_utf8(body.expect("small")).expect("UTF-8");
        assert_eq!(text(encode(&Wake::Events)), r#"{"v":1,"kind":"events"}"#);
        assert_eq!(
            text(encode(&Wake::executions("gpu"))),
            r#"{"v":1,"kind":"executions","pool":"gpu"}"#
        );
        assert_eq!(
            text(encode(&Control::DefinitionsChanged)),
            r#"{"v":1,"kind":"definitions_changed"}"#
        );
        assert_eq!(
            text(encode(&finished())),
            r#"{"v":1,"kind":"execution.timed_out","execution_id":"00000000-0000-0000-0000-000000000007","action_ref":"core.echo"}"#
        );
    }

    #[test]
    fn decoding_inverts_encoding() {
        for control in [
            Control::DefinitionsChanged,
            Control::Cancel {
                execution_id: ExecutionId(uuid::Uuid::from_u128(9)),
            },
        ] {
            assert_eq!(decode(&encode(&control).expect("small")), Some(control));
        }
        assert_eq!(decode(&encode(&finished()).expect("small")), Some(finished()));
    }

    #[test]
    fn a_malformed_body_is_dropped() {
        let check = |body: &[u8]| assert_eq!(decode::<Feed>(body), None, "{:?}", String::from_utf8_lossy(body));
        check(b"");
        check(b"\xff\xfe");
        check(b"[]");
        check(br#"{"kind":"event.created"}"#);
        check(br#"{"v":2,"kind":"event.created"}"#);
        check(br#"{"v":1,"kind":"event.deleted"}"#);
        check(br#"{"v":1,"kind":"execution.*"}"#);
        check(br#"{"v":1,"kind":"event.created","event_id":"seven"}"#);
        check(
            format!(
                r#"{{"v":1,"kind":"event.created","more":"{}"}}"#,
                "x".repeat(BODY_BYTES_MAX)
            )
            .as_bytes(),
        );
        assert!(decode::<Feed>(br#"{"v":1,"kind":"event.created","more":"is ignored"}"#).is_some());
        assert_eq!(decode::<Wake>(br#"{"v":1,"kind":"executions"}"#), None);
    }

    #[test]
    fn a_filter_compares_only_the_members_that_are_set() {
        let check = |filter: FeedFilter, fits: bool| assert_eq!(filter.matches(&finished()), fits, "{filter:?}");
        check(FeedFilter::default(), true);
        check(
            FeedFilter {
                subject: Some(Subject::Execution),
                ..Default::default()
            },
            true,
        );
        check(
            FeedFilter {
                subject: Some(Subject::Event),
                ..Default::default()
            },
            false,
        );
        check(
            FeedFilter {
                action_ref: "core.echo".parse().ok(),
                ..Default::default()
            },
            true,
        );
        check(
            FeedFilter {
                action_ref: "core.sleep".parse().ok(),
                ..Default::default()
            },
            false,
        );
        check(
            FeedFilter {
                rule_ref: "core.echo".parse().ok(),
                ..Default::default()
            },
            false,
        );
    }
}
