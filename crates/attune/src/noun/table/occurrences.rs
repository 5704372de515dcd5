//! Occurrences: what happened.

use super::{Does, GET, LIST, Noun, Own, SINCE, UNTIL, Verb, filter};
use crate::view::{
    cell::{millis, status, text, time},
    list::Shape,
};

const EXAMPLE_ID: &str = "019ab3f4-5c21-7e0f-9d1c-2f3a4b5c6d7e";

pub const EVENT: Noun = Noun {
    name: "event",
    aliases: &[],
    about: "Occurrences of triggers",
    list: "/api/v1/events",
    path: "/api/v1/events",
    key: "id",
    columns: &[
        text("ID", "id"),
        time("RECEIVED", "received_at"),
        text("TRIGGER", "trigger_ref"),
        text("SOURCE", "source"),
        status("STATUS", "status"),
    ],
    wide: &[time("SCHEDULED", "scheduled_at"), text("PAYLOAD", "payload")],
    filters: &[
        filter("trigger", "trigger_ref", "Only those of this trigger"),
        filter("source", "source", "Only timer, webhook, file_watch, api or manual"),
        filter("status", "status", "Only pending, decided or quarantined"),
        SINCE,
        UNTIL,
    ],
    computed: &[],
    feed: "event",
    verbs: &[
        LIST,
        GET,
        Verb::new("send", "Create an event of a custom trigger", Does::Own(Own::EventSend)),
        Verb::new(
            "explain",
            "Show how each rule evaluated",
            Does::Rows {
                suffix: "explain",
                shape: Shape {
                    key: "rule_ref",
                    columns: &[
                        text("RULE", "rule_ref"),
                        status("DECISION", "decision"),
                        text("WHY", "why.why"),
                        text("CLAUSE", "why.clause.path"),
                        text("ACTUAL", "why.clause.actual"),
                        text("EXPECTED", "why.clause.expected"),
                        text("REASON", "reason"),
                    ],
                    wide: &[text("EXECUTION", "execution_id")],
                },
            },
        ),
    ],
    example: EXAMPLE_ID,
};

pub const ENFORCEMENT: Noun = Noun {
    name: "enforcement",
    aliases: &["enforcements"],
    about: "Decisions of rules to act on events",
    list: "/api/v1/enforcements",
    path: "/api/v1/enforcements",
    key: "id",
    columns: &[
        text("ID", "id"),
        time("CREATED", "created_at"),
        text("RULE", "rule_ref"),
        status("STATUS", "status"),
        text("REASON", "reason"),
    ],
    wide: &[text("EVENT", "event_id"), text("PARAMETERS", "parameters")],
    filters: &[
        filter("rule", "rule_ref", "Only those of this rule"),
        filter("event", "event_id", "Only those of this event"),
        filter("status", "status", "Only created, failed, skipped or throttled"),
        SINCE,
        UNTIL,
    ],
    computed: &[],
    feed: "enforcement",
    verbs: &[LIST, GET],
    example: EXAMPLE_ID,
};

pub const EXECUTION: Noun = Noun {
    name: "execution",
    aliases: &["exec", "x", "executions"],
    about: "Runs of actions",
    list: "/api/v1/executions",
    path: "/api/v1/executions",
    key: "id",
    columns: &[
        text("ID", "id"),
        time("CREATED", "created_at"),
        text("ACTION", "action_ref"),
        text("RULE", "rule_ref"),
        status("STATUS", "status"),
        millis("TOOK", "duration_ms"),
        text("OUTPUT", "output_tail"),
    ],
    wide: &[
        text("ATTEMPT", "attempt"),
        text("EXIT", "exit_code"),
        text("ERROR", "error"),
        text("EVENT", "event_id"),
    ],
    filters: &[
        filter("action", "action_ref", "Only those of this action"),
        filter("rule", "rule_ref", "Only those of this rule"),
        filter("event", "event_id", "Only those of this event"),
        filter("status", "status", "Only these states, such as failed,lost"),
        SINCE,
        UNTIL,
    ],
    computed: &[],
    feed: "execution",
    verbs: &[
        LIST,
        GET,
        Verb::new(
            "cancel",
            "Cancel",
            Does::Post {
                suffix: "cancel",
                done: "canceled",
            },
        ),
        Verb::new("rerun", "Run again:", Does::Own(Own::ExecutionRerun)),
        Verb::new(
            "attempts",
            "List the attempts of",
            Does::Rows {
                suffix: "attempts",
                shape: Shape {
                    key: "attempt",
                    columns: &[
                        text("ATTEMPT", "attempt"),
                        status("OUTCOME", "outcome"),
                        time("STARTED", "started_at"),
                        time("ENDED", "ended_at"),
                        text("REASON", "reason"),
                    ],
                    wide: &[text("WORKER", "worker"), text("LATE", "late_outcome")],
                },
            },
        ),
        Verb::new("wait", "Wait for the end of", Does::Own(Own::ExecutionWait)),
    ],
    example: EXAMPLE_ID,
};

pub const REQUEST: Noun = Noun {
    name: "webhook request",
    aliases: &[],
    about: "Requests that webhooks have received",
    list: "/api/v1/webhook-requests",
    path: "/api/v1/webhook-requests",
    key: "id",
    columns: &[
        text("ID", "id"),
        time("RECEIVED", "received_at"),
        text("TRIGGER", "trigger_ref"),
        status("VERDICT", "verdict"),
        text("METHOD", "method"),
        text("REASON", "reason"),
    ],
    wide: &[
        text("ADDRESS", "address"),
        text("BYTES", "body_bytes"),
        text("DETAIL", "detail"),
        text("EVENT", "event_id"),
    ],
    filters: &[
        filter("trigger", "trigger_ref", "Only those to this webhook"),
        filter(
            "verdict",
            "verdict",
            "Only accepted, duplicate, rejected or redelivered",
        ),
        SINCE,
        UNTIL,
    ],
    computed: &[],
    feed: "",
    verbs: &[],
    example: EXAMPLE_ID,
};
