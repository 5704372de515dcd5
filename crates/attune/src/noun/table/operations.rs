//! What runs, and who may use it.

use super::{Does, LIST, Noun, Own, SINCE, UNTIL, Verb, filter};
use crate::view::cell::{Column, enabled, status, text, time};

const INSTANCE: &[Column] = &[
    text("ID", "id"),
    text("KIND", "kind"),
    status("ALIVE", "alive"),
    text("HOST", "host"),
    text("PID", "pid"),
    text("VERSION", "version"),
    time("HEARTBEAT", "heartbeat_at"),
];

pub const SERVICE: Noun = Noun {
    name: "service",
    aliases: &["services"],
    about: "Running services",
    list: "/api/v1/services",
    path: "/api/v1/services",
    key: "id",
    columns: INSTANCE,
    wide: &[time("STARTED", "started_at"), text("DETAIL", "detail")],
    filters: &[],
    computed: &[],
    feed: "",
    verbs: &[LIST],
    example: "",
};

pub const WORKER: Noun = Noun {
    name: "worker",
    aliases: &["workers"],
    about: "Running workers",
    list: "/api/v1/workers",
    ..SERVICE
};

pub const POOL: Noun = Noun {
    name: "pool",
    aliases: &["pools"],
    about: "Groups of workers that run the same actions",
    list: "/api/v1/workers",
    key: "pool",
    columns: &[
        text("POOL", "pool"),
        text("WORKERS", "workers"),
        text("ACTIONS", "actions"),
    ],
    wide: &[],
    verbs: &[Verb::new("list", "List", Does::Own(Own::PoolList))],
    ..SERVICE
};

pub const QUEUE: Noun = Noun {
    name: "queue",
    aliases: &[],
    about: "Quarantined events, which wait for an operator",
    list: "/api/v1/queue",
    path: "/api/v1/queue",
    key: "event_id",
    columns: &[
        text("EVENT", "event_id"),
        text("TRIGGER", "trigger_ref"),
        time("QUARANTINED", "quarantined_at"),
        text("TRIES", "tries"),
        text("ERROR", "last_error"),
    ],
    wide: &[],
    filters: &[],
    computed: &[],
    feed: "",
    verbs: &[
        LIST,
        Verb::new(
            "replay",
            "Decide again:",
            Does::Post {
                suffix: "replay",
                done: "replayed",
            },
        ),
        Verb::new("discard", "Discard", Does::Own(Own::QueueDiscard)),
    ],
    example: "019ab3f4-5c21-7e0f-9d1c-2f3a4b5c6d7e",
};

pub const RETENTION: Noun = Noun {
    name: "retention",
    aliases: &[],
    about: "How long history is retained",
    list: "/api/v1/retention",
    path: "/api/v1/retention",
    key: "table",
    columns: &[
        text("TABLE", "table"),
        text("DAYS", "keep_days"),
        text("OLDEST DAY", "oldest_day"),
        text("PARTITIONS", "partitions"),
        text("REMOVED ROWS", "removed_rows"),
    ],
    wide: &[
        text("EXPIRED", "expired_at"),
        text("REMOVED PARTITIONS", "removed_partitions"),
    ],
    filters: &[],
    computed: &[],
    feed: "",
    verbs: &[LIST, Verb::new("show", "List", Does::List)],
    example: "",
};

pub const AUDIT: Noun = Noun {
    name: "audit",
    aliases: &[],
    about: "Who changed what",
    list: "/api/v1/audit",
    path: "/api/v1/audit",
    key: "id",
    columns: &[
        time("AT", "at"),
        text("ACTOR", "actor"),
        text("VERB", "verb"),
        text("OBJECT", "object"),
        text("ADDRESS", "address"),
    ],
    wide: &[
        text("REQUEST", "request_id"),
        text("BEFORE", "before_hash"),
        text("AFTER", "after_hash"),
    ],
    filters: &[
        filter("actor", "actor", "Only those of this user"),
        filter("verb", "verb", "Only this verb, such as create"),
        filter(
            "object",
            "object",
            "Only those on this object, such as 'rule core.hello'",
        ),
        SINCE,
        UNTIL,
    ],
    computed: &[],
    feed: "",
    verbs: &[LIST],
    example: "",
};

pub const USER: Noun = Noun {
    name: "user",
    aliases: &[],
    about: "People and programs that sign in",
    list: "/api/v1/identities",
    path: "/api/v1/identities",
    key: "login",
    columns: &[
        text("ID", "id"),
        text("LOGIN", "login"),
        text("ROLE", "role"),
        enabled(),
        text("NAME", "display_name"),
    ],
    wide: &[time("CREATED", "created_at")],
    filters: &[],
    computed: &[],
    feed: "",
    verbs: &[
        LIST,
        Verb::new("add", "Create", Does::Own(Own::UserAdd)),
        Verb::new("enable", "Allow to sign in:", Does::Own(Own::UserChange("enable"))),
        Verb::new("disable", "End all sign-ins of", Does::Own(Own::UserChange("disable"))),
        Verb::new("role", "Change the role of", Does::Own(Own::UserChange("role"))),
        Verb::new("passwd", "Change your own password", Does::Own(Own::UserPasswd)),
    ],
    example: "ann",
};

pub const TOKEN: Noun = Noun {
    name: "token",
    aliases: &[],
    about: "API tokens",
    list: "/api/v1/tokens",
    path: "/api/v1/tokens",
    key: "id",
    columns: &[
        text("ID", "id"),
        text("LOGIN", "login"),
        text("ROLE", "role"),
        time("EXPIRES", "expires_at"),
        time("LAST USED", "last_used_at"),
        text("PREFIX", "prefix"),
        text("LABEL", "label"),
    ],
    wide: &[time("REVOKED", "revoked_at"), text("PARENT", "parent_id")],
    filters: &[],
    computed: &[],
    feed: "",
    verbs: &[
        LIST,
        Verb::new("create", "Create", Does::Own(Own::TokenCreate)),
        Verb::new("revoke", "Revoke", Does::Own(Own::TokenRevoke)),
    ],
    example: "7",
};
