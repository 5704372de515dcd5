//! The filter of a stream.

use attune_common::bus::{Feed, FeedKind};
use attune_domain::{
    ActionRef, EventId, ExecutionId, RuleRef, TriggerRef, execution::ExecutionStatus, occurrence::EnforcementStatus,
};
use uuid::Uuid;

/// Every given part must match.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub kinds: Kinds,
    pub event_id: Option<EventId>,
    pub execution_id: Option<ExecutionId>,
    pub trigger_ref: Option<TriggerRef>,
    pub rule_ref: Option<RuleRef>,
    pub action_ref: Option<ActionRef>,
    pub trace_id: Option<Uuid>,
}

/// `event`, `enforcement`, `execution`, or one with a status: `execution.failed`; all of them if empty. The output of
/// actions (`execution.log`) is large, so it is only included if it is named, or if an execution is selected.
#[derive(Debug, Clone, Default)]
pub struct Kinds(Vec<String>);

impl Kinds {
    /// Parses names separated by commas.
    pub fn parse(text: &str) -> Result<Self, String> {
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        match names.iter().find(|name| !exists(name)) {
            None if names.len() <= 32 => Ok(Self(names)),
            None => Err("must have at most 32 kinds".to_owned()),
            Some(name) => Err(format!(
                "{:?} is not a kind; expected event, enforcement, execution, or one with a status such as execution.failed",
                name.chars().take(64).collect::<String>()
            )),
        }
    }

    fn includes(&self, kind: &str) -> bool {
        let subject = kind.split('.').next().unwrap_or_default();
        if kind == FeedKind::LOG {
            return self.0.iter().any(|name| name == kind);
        }
        self.0.is_empty() || self.0.iter().any(|name| name == kind || name == subject)
    }
}

/// Whether such messages are ever sent.
fn exists(kind: &str) -> bool {
    match kind.split_once('.') {
        None => ["event", "enforcement", "execution"].contains(&kind),
        Some(("execution", status)) => kind == FeedKind::LOG || status.parse::<ExecutionStatus>().is_ok(),
        Some(("enforcement", status)) => status.parse::<EnforcementStatus>().is_ok(),
        Some(_) => kind == FeedKind::event_created().as_str(),
    }
}

impl Filter {
    /// Whether the filter needs to know what a message belongs to.
    pub fn needs_context(&self) -> bool {
        self.event_id.is_some()
            || self.trace_id.is_some()
            || self.trigger_ref.is_some()
            || self.rule_ref.is_some()
            || self.action_ref.is_some()
    }

    pub fn passes(&self, feed: &Feed) -> bool {
        fn matches<T: PartialEq>(expected: Option<&T>, given: Option<&T>) -> bool {
            expected.is_none() || expected == given
        }
        self.may_pass(feed)
            && matches(self.event_id.as_ref(), feed.event_id.as_ref())
            && matches(self.execution_id.as_ref(), feed.execution_id.as_ref())
            && matches(self.trigger_ref.as_ref(), feed.trigger_ref.as_ref())
            && matches(self.rule_ref.as_ref(), feed.rule_ref.as_ref())
            && matches(self.action_ref.as_ref(), feed.action_ref.as_ref())
            && matches(self.trace_id.as_ref(), feed.trace_id.as_ref())
    }

    /// Whether the message may pass, before it is known what it belongs to.
    pub fn may_pass(&self, feed: &Feed) -> bool {
        self.kinds.includes(feed.kind.as_str()) || (feed.log.is_some() && self.logs_of().is_some())
    }

    /// The execution whose log the stream includes by default.
    pub fn logs_of(&self) -> Option<ExecutionId> {
        self.execution_id
            .filter(|_| self.kinds.0.is_empty() || self.kinds.includes(FeedKind::LOG))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let check = |text: &str, kind: &str, taken: bool| {
            assert_eq!(Kinds::parse(text).expect(text).includes(kind), taken, "{text} {kind}");
        };
        check("event", "event.created", true);
        check("event, execution.failed", "execution.failed", true);
        check("event,execution.failed", "execution.running", false);
        check("execution", "execution.running", true);
        check("execution", "execution.log", false);
        check("execution.log", "execution.log", true);
        check("execution.log", "execution.running", false);
        assert!(Kinds::default().includes("execution.running") && !Kinds::default().includes("execution.log"));
        for bad in [
            "",
            "events",
            "execution.",
            "execution.*",
            "event,",
            "execution.nope",
            "execution.created",
            "enforcement.running",
            "event.deleted",
            &"event,".repeat(40),
        ] {
            assert!(Kinds::parse(bad).is_err(), "{bad}");
        }
    }
}
