//! Definitions: what people write.

use super::{
    CREATE, DELETE, DISABLE, Does, EDIT, ENABLE, ENABLED, GET, LIST, Noun, Own, PACK as OF_PACK, Verb, filter,
    occurrences,
};
use crate::view::cell::{enabled, text, time};

/// Of every definition.
const COMPUTED: &[&str] = &["id", "managed", "created_at", "updated_at"];

pub const RULE: Noun = Noun {
    name: "rule",
    aliases: &["rules"],
    about: "Connect triggers to actions",
    list: "/api/v1/rules",
    path: "/api/v1/rules",
    key: "ref",
    columns: &[
        text("REF", "ref"),
        enabled(),
        text("TRIGGER", "trigger_ref"),
        text("ACTION", "action_ref"),
        text("LABEL", "label"),
    ],
    wide: &[
        text("PACK", "pack_ref"),
        text("CONDITION", "condition"),
        time("UPDATED", "updated_at"),
    ],
    filters: &[
        OF_PACK,
        ENABLED,
        filter("trigger", "trigger_ref", "Only those of this trigger"),
        filter("action", "action_ref", "Only those of this action"),
    ],
    computed: COMPUTED,
    feed: "",
    verbs: &[
        LIST,
        GET,
        CREATE,
        EDIT,
        DELETE,
        ENABLE,
        DISABLE,
        Verb::new(
            "test",
            "Evaluate a rule without running anything:",
            Does::Own(Own::RuleTest),
        ),
    ],
    example: "core.hello",
};

/// What a trigger computes, in addition.
const OF_TRIGGER: &[&str] = &[
    "id",
    "managed",
    "created_at",
    "updated_at",
    "last_error",
    "last_fired_at",
    "next_fire_at",
    "owner_rule_ref",
    "webhook_url",
];

const FIRE: Verb = Verb::new("fire", "Fire manually:", Does::Own(Own::Fire));

pub const TRIGGER: Noun = Noun {
    name: "trigger",
    aliases: &["triggers"],
    about: "Sources of events: timers, webhooks, files and custom ones",
    list: "/api/v1/triggers",
    path: "/api/v1/triggers",
    key: "ref",
    columns: &[
        text("REF", "ref"),
        text("KIND", "kind"),
        enabled(),
        time("LAST FIRED", "last_fired_at"),
        text("LABEL", "label"),
    ],
    wide: &[
        time("NEXT", "next_fire_at"),
        text("ERROR", "last_error"),
        text("CONFIG", "config"),
    ],
    filters: &[
        OF_PACK,
        ENABLED,
        filter("kind", "kind", "Only timer, webhook, file_watch or custom"),
    ],
    computed: OF_TRIGGER,
    feed: "",
    verbs: &[LIST, GET, CREATE, EDIT, DELETE, ENABLE, DISABLE, FIRE],
    example: "core.timer_10s",
};

pub const TIMER: Noun = Noun {
    name: "timer",
    aliases: &["timers"],
    about: "Schedules",
    list: "/api/v1/timers",
    path: "/api/v1/triggers",
    key: "trigger_ref",
    columns: &[
        text("REF", "trigger_ref"),
        enabled(),
        time("NEXT", "next_fire_at"),
        time("LAST", "last_fired_at"),
        text("FIRED", "fired"),
        text("MISSED", "missed"),
        text("ERROR", "last_error"),
    ],
    wide: &[
        text("LATE", "late"),
        text("LAST LATE MS", "last_late_ms"),
        text("CONFIG", "config"),
    ],
    filters: &[],
    computed: OF_TRIGGER,
    feed: "",
    verbs: &[
        LIST,
        GET.on(&TRIGGER),
        Verb::new("create", "Create", Does::Own(Own::TimerCreate)).on(&TRIGGER),
        EDIT.on(&TRIGGER),
        DELETE.on(&TRIGGER),
        ENABLE.on(&TRIGGER),
        DISABLE.on(&TRIGGER),
        Verb::new("next", "Show the next occurrences of", Does::Own(Own::TimerNext)),
        FIRE.on(&TRIGGER),
    ],
    example: "core.timer_10s",
};

pub const WEBHOOK: Noun = Noun {
    name: "webhook",
    aliases: &["webhooks"],
    about: "Addresses that turn requests into events",
    list: "/api/v1/triggers?kind=webhook",
    path: "/api/v1/triggers",
    key: "ref",
    columns: &[
        text("REF", "ref"),
        enabled(),
        text("VERIFY", "config.verify"),
        time("LAST", "last_fired_at"),
        text("URL", "webhook_url"),
    ],
    wide: &[text("CONFIG", "config"), text("ERROR", "last_error")],
    filters: &[OF_PACK, ENABLED],
    computed: OF_TRIGGER,
    feed: "",
    verbs: &[
        LIST,
        GET,
        CREATE,
        EDIT,
        DELETE,
        ENABLE,
        DISABLE,
        Verb::new("send", "Send a request to", Does::Own(Own::WebhookSend)),
        Verb::new(
            "rotate-secret",
            "Replace the secret of",
            Does::Own(Own::WebhookRotateSecret),
        ),
        Verb::new(
            "rotate-key",
            "Replace the address of",
            Does::Post {
                suffix: "rotate-key",
                done: "gave a new address to",
            },
        ),
        Verb::new("inbox", "List requests to webhooks", Does::List).on(&occurrences::REQUEST),
        Verb::new("show", "Show a request to a webhook", Does::Get).on(&occurrences::REQUEST),
        Verb::new(
            "redeliver",
            "Create an event from a stored request",
            Does::Post {
                suffix: "redeliver",
                done: "redelivered",
            },
        )
        .on(&occurrences::REQUEST),
    ],
    example: "acme.deploy",
};

pub const ACTION: Noun = Noun {
    name: "action",
    aliases: &["actions"],
    about: "What rules and people run",
    list: "/api/v1/actions",
    path: "/api/v1/actions",
    key: "ref",
    columns: &[
        text("REF", "ref"),
        enabled(),
        text("RUNTIME", "runtime_ref"),
        text("POOL", "pool"),
        text("LABEL", "label"),
    ],
    wide: &[
        text("TIMEOUT", "timeout_seconds"),
        text("RETRY", "retry"),
        time("UPDATED", "updated_at"),
    ],
    filters: &[OF_PACK, ENABLED],
    computed: COMPUTED,
    feed: "",
    verbs: &[
        LIST,
        GET,
        CREATE,
        EDIT,
        DELETE,
        Verb::new("schema", "Show the parameters of", Does::Own(Own::ActionSchema)),
    ],
    example: "core.echo",
};

pub const RUNTIME: Noun = Noun {
    name: "runtime",
    aliases: &["runtimes"],
    about: "How actions are run",
    list: "/api/v1/runtimes",
    path: "/api/v1/runtimes",
    key: "ref",
    columns: &[
        text("REF", "ref"),
        enabled(),
        text("KIND", "kind"),
        text("COMMAND", "command"),
        text("LABEL", "label"),
    ],
    wide: &[text("FILE COMMAND", "file_command")],
    filters: &[],
    computed: COMPUTED,
    feed: "",
    verbs: &[LIST, GET],
    example: "core.shell",
};

pub const PACK: Noun = Noun {
    name: "pack",
    aliases: &[],
    about: "Packs",
    list: "/api/v1/packs",
    path: "/api/v1/packs",
    key: "ref",
    columns: &[
        text("REF", "ref"),
        text("VERSION", "version"),
        enabled(),
        text("LABEL", "label"),
    ],
    wide: &[text("HASH", "hash"), text("SOURCE", "source")],
    filters: &[ENABLED],
    computed: &[
        "id",
        "managed",
        "created_at",
        "updated_at",
        "has_code",
        "hash",
        "source",
    ],
    feed: "",
    verbs: &[GET, CREATE, EDIT, ENABLE, DISABLE],
    example: "core",
};
