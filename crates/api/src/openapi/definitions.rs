//! The parts of definitions that are JSON columns: timers, webhooks, conditions and policies.
//!
//! `attune_domain` parses them by hand, to name every bad field at once, so their schemas are written by hand as well.
//! A test compares both on good and bad examples.

use super::refine;
use crate::schema::Schema;
use attune_domain::{
    condition::{OPERATORS, Quantifier},
    dedup,
    file_watch::{ChangeKind, RESCAN_SECONDS_MAX, STABLE_FOR_SECONDS_MAX},
    timer::TimerConfig,
    webhook::{BODY_BYTES_MAX, METHODS, WAIT_SECONDS_MAX},
};
use serde_json::{Map, Value, json};

pub fn schemas() -> Map<String, Value> {
    let mut all = Map::new();
    let timer = Schema::of::<TimerConfig>();
    all.extend(timer.others.iter().cloned());
    all.insert("TimerConfig".to_owned(), timer.value);
    refine::flatten(&mut all);
    if let Some(timer) = all.get_mut("TimerConfig") {
        refine::each_object(timer, &mut |variant| variant["additionalProperties"] = json!(false));
    }
    let written = [
        ("WebhookConfig", webhook()),
        ("FileWatchConfig", file_watch()),
        ("OpenConfig", open()),
        ("Health", health()),
        ("RetryPolicy", retry()),
        ("Concurrency", concurrency()),
        ("RateLimit", rate_limit()),
        ("Resources", resources()),
        ("ServiceDetail", service_detail()),
    ];
    all.extend(written.map(|(name, schema)| (name.to_owned(), schema)));
    all.extend(condition());
    all
}

fn object(description: &str, required: &[&str], properties: &Value) -> Value {
    json!({
        "type": "object",
        "description": description,
        "required": required,
        "properties": properties,
        "additionalProperties": false,
    })
}

fn retry() -> Value {
    let seconds = |description: &str, default: f64| json!({"type": "number", "minimum": 0, "maximum": 86_400, "default": default, "description": description});
    let properties = json!({
        "max_attempts": {"type": "integer", "minimum": 1, "maximum": 100, "description": "How many attempts there are at most, including the first."},
        "backoff_seconds": seconds("The delay before the second attempt.", 2.0),
        "factor": {"type": "number", "minimum": 1, "maximum": 10, "default": 2.0, "description": "Multiplies the delay after each attempt."},
        "max_seconds": seconds("The longest delay.", 600.0),
        "on": {"type": "array", "items": {"type": "string", "enum": ["failed", "timed_out"]}, "default": ["failed"], "description": "The outcomes that are retried."},
    });
    object(
        "How an action is retried: the delay is `backoff_seconds · factor^(n−1)`, at most `max_seconds`, ± 25 %.",
        &["max_attempts"],
        &properties,
    )
}

fn concurrency() -> Value {
    let properties = json!({
        "limit": {"type": "integer", "minimum": 1, "maximum": 10_000, "description": "How many executions run at once."},
        "key": {"type": ["string", "null"], "minLength": 1, "pattern": "\\S", "description": "A template; the limit applies to each value separately.", "examples": ["{{ parameters.host }}"]},
        "overflow": {"type": ["string", "null"], "enum": ["queue", "skip", "cancel_previous", null], "description": "What happens beyond the limit: wait (the default), skip, or cancel the running execution."},
    });
    object("How many executions run at the same time.", &["limit"], &properties)
}

fn rate_limit() -> Value {
    let properties = json!({
        "limit": {"type": "integer", "minimum": 1, "maximum": 10_000, "description": "How many executions are created per window."},
        "window_seconds": {"type": "integer", "minimum": 1, "maximum": 86_400, "description": "The length of the window."},
    });
    object(
        "How many executions a rule creates per window; events beyond the limit are throttled.",
        &["limit", "window_seconds"],
        &properties,
    )
}

fn resources() -> Value {
    let properties = json!({
        "memory_mb": {"type": ["integer", "null"], "minimum": 16, "maximum": 1_048_576, "description": "MiB of memory for each process."},
        "cpu": {"type": ["number", "null"], "minimum": 0.01, "maximum": 1_024, "description": "Processors: each process may use this many times `timeout_seconds` of CPU time."},
        "processes": {"type": ["integer", "null"], "minimum": 1, "maximum": 32_768, "description": "Processes and threads at once."},
        "files": {"type": ["integer", "null"], "minimum": 16, "maximum": 1_048_576, "description": "Open files of each process."},
    });
    object(
        "Limits of one execution. The settings of the worker have the defaults.",
        &[],
        &properties,
    )
}

fn open() -> Value {
    json!({
        "type": "object",
        "description": "The configuration of a trigger that Attune does not observe itself.",
        "properties": {"dedup_window_seconds": dedup_window()},
    })
}

fn file_watch() -> Value {
    let flag = |description: &str| json!({"type": ["boolean", "null"], "description": description});
    let patterns = |description: &str, least: u32| {
        let item = json!({"type": "string", "minLength": 1, "maxLength": 256});
        json!({"type": ["array", "null"], "minItems": least, "maxItems": 50, "items": item, "description": description})
    };
    let kinds: Vec<&str> = ChangeKind::ALL.iter().map(|kind| kind.as_str()).collect();
    let properties = json!({
        "path": {"type": "string", "pattern": "^/", "maxLength": 1024, "description": "The directory, as an absolute path below one of the sensor's `file_roots`."},
        "patterns": patterns("Names that are watched, such as `*.csv`, or paths such as `2026/**/*.csv`; all by default.", 1),
        "exclude": patterns("Names or paths that are not watched; hidden files, `*.part` and `*.tmp` by default.", 0),
        "recursive": flag("Whether folders below are watched; false by default."),
        "on": {"type": ["array", "null"], "minItems": 1, "items": {"type": "string", "enum": kinds}, "description": "What becomes an event; `created`, `modified` and `deleted` by default. Without `moved`, a rename is a deletion and a creation."},
        "stable_for_seconds": {"type": ["number", "null"], "minimum": 0, "maximum": STABLE_FOR_SECONDS_MAX, "description": "A change is reported when the file has not changed for this time; 2 by default."},
        "existing": {"type": ["string", "null"], "enum": ["ignore", "report", null], "description": "What happens to files that exist at the first scan; `ignore` by default."},
        "batch": flag("One event for all files that are reported at the same time; false by default."),
        "rescan_seconds": {"type": ["integer", "null"], "minimum": 1, "maximum": RESCAN_SECONDS_MAX, "description": "The period of complete scans; 60 by default."},
        "host": {"description": "The hosts whose sensors watch: any one that has the path (null), every host (`all`), or those with these names.", "oneOf": [
            {"type": "null"}, {"type": "string", "minLength": 1}, {"type": "array", "minItems": 1, "maxItems": 50, "items": {"type": "string", "minLength": 1}},
        ]},
        "notify": flag("Whether the kernel's notifications are used; true by default. Set false for network file systems."),
        "follow_symlinks": flag("Whether symbolic links are followed, inside `file_roots`; false by default."),
        "dedup_window_seconds": dedup_window(),
    });
    object(
        "Which files are watched, and what is reported of them.",
        &["path"],
        &properties,
    )
}

fn dedup_window() -> Value {
    json!({
        "type": ["integer", "null"],
        "minimum": dedup::WINDOW_SECONDS_MIN,
        "maximum": dedup::WINDOW_SECONDS_MAX,
        "description": "How long a dedup key is remembered; seven days by default.",
    })
}

fn webhook() -> Value {
    let text = |description: &str| json!({"type": ["string", "null"], "description": description});
    let name = "^[A-Za-z0-9_-]{1,64}$";
    let common = json!({
        "dedup": {"description": "Where duplicates are recognized by; by default, what the profile sends.", "oneOf": [
            {"type": "object", "required": ["header"], "properties": {"header": {"type": "string", "pattern": name}}, "additionalProperties": false},
            {"type": "object", "required": ["pointer"], "properties": {"pointer": {"type": "string", "pattern": "^/", "maxLength": 256}}, "additionalProperties": false},
            {"const": "none"},
            {"type": "null"},
        ]},
        "dedup_window_seconds": dedup_window(),
        "methods": {"type": ["array", "null"], "minItems": 1, "items": {"type": "string", "enum": METHODS}, "description": "The methods that are allowed; POST by default."},
        "headers": {"type": ["array", "null"], "maxItems": 32, "items": {"type": "string", "pattern": name}, "description": "Headers that the payload contains in addition to the usual ones."},
        "body_bytes_max": {"type": ["integer", "null"], "minimum": 1, "maximum": BODY_BYTES_MAX, "description": "The largest body that is accepted."},
        "requests_per_second": {"type": ["integer", "null"], "minimum": 0, "maximum": 100_000, "description": "The rate limit of verified requests; 500 by default, 0 for none."},
        "wait_seconds": {"type": ["integer", "null"], "minimum": 0, "maximum": WAIT_SECONDS_MAX, "description": "How long the response waits for the executions of the event."},
        "challenge": {"description": "A handshake: a query parameter that is sent back.", "oneOf": [
            {"type": "object", "required": ["query"], "properties": {
                "query": {"type": "string", "minLength": 1},
                "when": {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
            }, "additionalProperties": false},
            {"type": "null"},
        ]},
        "files": {"type": ["string", "null"], "enum": ["refuse", "ignore", null], "description": "What happens to files in multipart/form-data; `refuse` by default."},
    });
    let secret = json!({
        "secret": {"type": "string", "minLength": 1, "maxLength": 1024, "description": "The key that is shared with the sender. Responses contain a mask; sending the mask keeps the stored key."},
        "secret_previous": text("The previous key, which remains valid during a rotation."),
        "secret_previous_expires_at": {"type": ["string", "null"], "format": "date-time", "description": "When the previous key expires."},
    });
    let generic = json!({
        "header": {"type": "string", "pattern": name, "description": "The header that contains the signature."},
        "algorithm": {"type": ["string", "null"], "enum": ["sha256", "sha512", "sha1", null]},
        "encoding": {"type": ["string", "null"], "enum": ["hex", "base64", null]},
        "prefix": text("What precedes the signature in the header, such as `sha256=`."),
    });
    let variant = |title: &str, description: &str, verify: &[&str], required: &[&str], parts: &[&Value]| {
        let mut properties = Map::from_iter([("verify".to_owned(), json!({"type": "string", "enum": verify}))]);
        for part in parts {
            properties.extend(part.as_object().cloned().unwrap_or_default());
        }
        let mut variant = object(description, required, &Value::Object(properties));
        variant["title"] = json!(title);
        variant
    };
    let signed = ["github", "gitlab", "slack", "standard-webhooks", "stripe"];
    json!({
        "description": "How a webhook verifies its sender, and what it accepts.",
        "oneOf": [
            variant("UnsignedWebhookConfig", "Requests are not verified.", &["none"], &["verify"], &[&common]),
            variant("SignedWebhookConfig", "The sender signs as its service does.", &signed, &["verify", "secret"], &[&secret, &common]),
            variant("GenericWebhookConfig", "The sender signs the body with an HMAC in a header.", &["generic"], &["verify", "secret", "header"], &[&secret, &generic, &common]),
        ],
    })
}

fn condition() -> Map<String, Value> {
    let node = json!({"$ref": "#/components/schemas/ConditionNode"});
    let list = |description: &str| json!({"type": "array", "minItems": 1, "items": node, "description": description});
    let path = json!({"type": "string", "minLength": 1, "description": "A path in the event, or inside `any_item` and `every_item` in the `item`.", "examples": ["event.payload.temperature", "item.status"]});
    let missing = json!({"description": "The result if the event has nothing at the path: false, true, or `fail` for a failed enforcement.", "oneOf": [{"type": "boolean"}, {"const": "fail"}]});
    let clause = json!({
        "path": path,
        "operator": {"type": "string", "enum": OPERATORS},
        "value": {"description": "What the operator compares with. `exists` takes true (the default) or false; `younger_than` and `older_than` take seconds or text such as `1h30m`."},
        "missing": missing,
        "ignore_case": {"type": "boolean", "default": false, "description": "Compare strings without regard to case."},
    });
    let items = json!({
        "path": path,
        "operator": {"type": "string", "enum": Quantifier::NAMES},
        "value": node,
        "missing": missing,
    });
    let variants = [
        (
            "ConditionAll",
            object("Every node holds.", &["all"], &json!({"all": list("The nodes.")})),
        ),
        (
            "ConditionAny",
            object(
                "At least one node holds.",
                &["any"],
                &json!({"any": list("The nodes.")}),
            ),
        ),
        (
            "ConditionNot",
            object("The node does not hold.", &["not"], &json!({"not": node})),
        ),
        (
            "ConditionClause",
            object("Compares a value of the event.", &["path", "operator"], &clause),
        ),
        (
            "ConditionItems",
            object(
                "At least one item of a list, or every item, satisfies a condition.",
                &["path", "operator", "value"],
                &items,
            ),
        ),
    ];
    let references = variants
        .each_ref()
        .map(|(name, _)| json!({"$ref": format!("#/components/schemas/{name}")}));
    let mut all = Map::from_iter(variants.map(|(name, schema)| (name.to_owned(), schema)));
    all.insert(
        "ConditionNode".to_owned(),
        json!({"description": "A node of a condition.", "oneOf": references}),
    );
    let condition = json!({
        "description": "When a rule applies: always (null), if an expression is true, or if a list of operators holds.",
        "oneOf": [{"type": "null"}, {"type": "string", "examples": ["event.payload.n > 3"]}, node],
    });
    all.insert("Condition".to_owned(), condition);
    all
}

fn health() -> Value {
    json!({
        "type": "object",
        "description": "The health of an instance. /health adds an object for each part, with its `status`.",
        "required": ["status"],
        "properties": {
            "status": {"type": "string", "enum": ["ok", "degraded", "failing"]},
            "reason": {"type": "string", "description": "Why it is not `ok`."},
            "version": {"type": "string"},
            "instance": {"type": "string", "format": "uuid"},
            "uptime_seconds": {"type": "integer", "minimum": 0},
            "timezone_data": {"type": "string", "description": "The version of the time zone database."},
        },
    })
}

fn service_detail() -> Value {
    let count = || json!({"type": "integer", "minimum": 0});
    json!({
        "type": "object",
        "description": "What a service reported with its heartbeat. Each service adds its loops and counters.",
        "properties": {
            "status": {"type": "string", "enum": ["ok", "degraded", "failing"]},
            "reason": {"type": "string", "description": "Why it is not `ok`."},
            "pool": {"type": "string", "description": "The pool of a worker."},
            "slots": count(),
            "running": count(),
            "spool": count(),
        },
    })
}

/// The configuration of a trigger depends on its kind: one object per kind, with `kind` as the tag.
pub fn split_triggers_by_kind(all: &mut Map<String, Value>) {
    const KINDS: [(&str, &str); 5] = [
        ("timer", "TimerConfig"),
        ("webhook", "WebhookConfig"),
        ("file_watch", "FileWatchConfig"),
        ("custom", "OpenConfig"),
        ("system", "OpenConfig"),
    ];
    let has = |schema: &Value, field: &str| schema["properties"].get(field).is_some();
    for schema in all
        .values_mut()
        .filter(|schema| has(schema, "kind") && has(schema, "config"))
    {
        let requires_kind = schema["required"]
            .as_array()
            .is_some_and(|names| names.contains(&json!("kind")));
        if !requires_kind {
            // PATCH: the kind is the one that the trigger has.
            let configs = ["TimerConfig", "WebhookConfig", "FileWatchConfig", "OpenConfig"];
            let configs = configs.map(|name| json!({"$ref": format!("#/components/schemas/{name}")}));
            schema["properties"]["config"]["anyOf"] = json!(configs);
            continue;
        }
        let variants = KINDS.map(|(kind, config)| {
            let mut variant = schema.clone();
            variant["properties"]["kind"] = json!({"type": "string", "const": kind});
            variant["properties"]["config"] = json!({"$ref": format!("#/components/schemas/{config}")});
            if let Value::Object(keywords) = &mut variant {
                keywords.remove("description");
            }
            if let Some(Value::Array(names)) = variant.get_mut("required")
                && config != "OpenConfig"
                && !names.contains(&json!("config"))
            {
                names.push(json!("config"));
            }
            variant
        });
        let description = schema["description"].take();
        *schema = json!({"oneOf": variants});
        if !description.is_null() {
            schema["description"] = description;
        }
    }
}
