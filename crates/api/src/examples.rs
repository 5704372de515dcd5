//! Examples of bodies for the `OpenAPI` document. A test sends those of [`all`] to a new instance in their order.

use serde_json::{Value, json};

#[derive(Debug)]
pub struct Example {
    pub method: &'static str,
    /// As in the table of routes.
    pub route: &'static str,
    /// The value of the path parameter.
    pub name: &'static str,
    pub body: Value,
}

pub fn of(method: &str, route: &str) -> Option<Value> {
    let mut examples = all().into_iter().chain(with_secrets());
    let found = examples.find(|one| one.method == method && one.route == route);
    found.map(|one| one.body)
}

/// A path with an example for its parameter.
pub fn place(route: &str) -> String {
    let Some((before, rest)) = route.split_once('{') else {
        return route.to_owned();
    };
    let (parameter, after) = rest.split_once('}').unwrap_or_default();
    let noun = before.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let value = match (parameter, noun) {
        ("key", _) => "$KEY",
        ("ref", "packs") => "core",
        ("ref", "runtimes") => "core.shell",
        ("ref", "triggers") => "core.timer_10s",
        ("ref", "actions") => "core.echo",
        ("ref", "secrets") => "core.token",
        ("ref", "values") => "core.counter",
        ("ref", _) => "core.hello",
        (_, "identities" | "tokens") => "1",
        _ => "0190a5e4-7c2b-7000-8000-000000000000",
    };
    format!("{before}{value}{after}")
}

fn example(method: &'static str, route: &'static str, name: &'static str, body: Value) -> Example {
    Example {
        method,
        route,
        name,
        body,
    }
}

/// Examples that work only with a secret of the caller or the key of a webhook.
fn with_secrets() -> [Example; 5] {
    let refresh = json!({"refresh_token": "atr_…"});
    let password = json!({"current_password": "correct horse battery", "new_password": "another correct horse"});
    let login = json!({"login": "ada", "password": "correct horse battery"});
    let link = json!({"k": "0123456789abcdef0123456789abcdef"});
    [
        example("POST", "/auth/web/login", "", login),
        example("POST", "/auth/web/link", "", link),
        example("POST", "/auth/refresh", "", refresh),
        example("PUT", "/auth/password", "", password),
        example(
            "POST",
            "/api/v1/webhooks/{key}",
            "",
            json!({"customer": "Ada", "total": 120}),
        ),
    ]
}

#[rustfmt::skip]
pub fn all() -> Vec<Example> {
    vec![
        example("POST", "/api/v1/packs", "", json!({"ref": "shop", "label": "The shop", "description": "What the shop does by itself"})),
        example("PUT", "/api/v1/packs/{ref}", "shop", json!({"label": "The shop", "version": "1.1.0"})),
        example("PATCH", "/api/v1/packs/{ref}", "shop", json!({"description": "Orders and what follows from them"})),
        example("POST", "/api/v1/actions", "", json!({
            "ref": "shop.greet", "runtime_ref": "core.shell", "entry_point": "echo \"Hello ${name}\"",
            "parameters_schema": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}, "additionalProperties": false},
            "timeout_seconds": 30, "retry": {"max_attempts": 3, "backoff_seconds": 2},
        })),
        example("PATCH", "/api/v1/actions/{ref}", "shop.greet", json!({"timeout_seconds": 60})),
        example("POST", "/api/v1/triggers", "", json!({"ref": "shop.order", "kind": "webhook", "config": {"verify": "github", "secret": "It's a Secret to Everybody"}})),
        example("PUT", "/api/v1/secrets/{ref}", "shop.token", json!({"value": "correct horse battery staple", "description": "Of the payment service"})),
        example("PUT", "/api/v1/secrets/{ref}/grants", "shop.token", json!({"pools": ["default"], "packs": ["shop", "core.http"]})),
        example("PUT", "/api/v1/values/{ref}", "shop.orders", json!({"value": 41, "version": 0, "ttl_seconds": 86400})),
        example("POST", "/api/v1/values/{ref}/increment", "shop.orders", json!({"by": 1})),
        example("PATCH", "/api/v1/triggers/{ref}", "shop.order", json!({"label": "An order came in"})),
        example("POST", "/api/v1/triggers/{ref}/rotate-secret", "shop.order", json!({"overlap_seconds": 3600})),
        example("POST", "/api/v1/triggers/{ref}/rotate-key", "shop.order", json!({"overlap_seconds": 3600})),
        example("POST", "/api/v1/timers/preview", "", json!({"config": {"type": "cron", "expression": "30 2 * * *", "timezone": "Europe/Berlin"}, "after": "2027-03-27T00:00:00Z", "limit": 3})),
        example("POST", "/api/v1/rules", "", json!({
            "ref": "shop.thank", "trigger_ref": "shop.order", "action_ref": "shop.greet",
            "condition": {"all": [{"path": "event.payload.body.total", "operator": "greater_than", "value": 100}]},
            "action_params": {"name": "{{ event.payload.body.customer }}"}, "rate_limit": {"limit": 10, "window_seconds": 60},
        })),
        example("PATCH", "/api/v1/rules/{ref}", "shop.thank", json!({"concurrency": {"limit": 1, "key": "{{ event.payload.body.customer }}"}})),
        example("PUT", "/api/v1/rules/{ref}", "shop.thank", json!({"trigger": {"type": "interval", "seconds": 3600}, "action_ref": "shop.greet", "action_params": {"name": "everybody"}})),
        example("POST", "/api/v1/rules/test", "", json!({"rule_ref": "shop.thank", "payload": {"body": {"customer": "Ada", "total": 120}}})),
        example("POST", "/api/v1/triggers/{ref}/fire", "shop.order", json!({"payload": {"body": {"customer": "Ada", "total": 120}}})),
        example("PUT", "/api/v1/triggers/{ref}", "shop.order", json!({"kind": "custom", "label": "An order"})),
        example("POST", "/api/v1/events", "", json!({"trigger_ref": "shop.order", "payload": {"customer": "Ada", "total": 120}, "dedup_key": "order-4711"})),
        example("POST", "/api/v1/events/batch", "", json!([
            {"trigger_ref": "shop.order", "payload": {"customer": "Ada", "total": 120}, "dedup_key": "order-4712"},
            {"trigger_ref": "shop.order", "payload": {"customer": "Bob", "total": 80}, "dedup_key": "order-4713"},
        ])),
        example("PUT", "/api/v1/actions/{ref}", "shop.greet", json!({"runtime_ref": "core.shell", "entry_point": "echo \"Good day ${name}\""})),
        example("POST", "/api/v1/executions", "", json!({"action_ref": "shop.greet", "parameters": {"name": "Ada"}})),
        example("POST", "/api/v1/identities", "", json!({"login": "ada", "password": "correct horse battery", "role": "operator"})),
        example("PATCH", "/api/v1/identities/{id}", "1", json!({"display_name": "Ada Lovelace"})),
        example("POST", "/auth/login", "", json!({"login": "ada", "password": "correct horse battery"})),
        example("POST", "/api/v1/tokens", "", json!({"label": "the build server", "role": "operator"})),
    ]
}
