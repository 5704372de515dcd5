//! Definitions of tests, made through the API as a person makes them. All are in the pack `test`.

use super::Api;
use serde_json::{Value, json};

pub async fn pack(api: &Api) {
    api.post("/api/v1/packs", json!({"ref": "test", "label": "Test"})).await;
}

/// A timer `test.<name>`.
pub async fn timer(api: &Api, name: &str, config: Value) {
    let body = json!({"ref": format!("test.{name}"), "label": name, "kind": "timer", "config": config});
    api.post("/api/v1/triggers", body).await;
}

/// A rule `test.<name>` from the trigger `test.<name>` to an action.
pub async fn rule(api: &Api, name: &str, action: &str, parameters: Value) {
    let body = json!({
        "ref": format!("test.{name}"), "label": name, "trigger_ref": format!("test.{name}"),
        "action_ref": action, "action_params": parameters,
    });
    api.post("/api/v1/rules", body).await;
}

/// A shell action `test.<name>` with the parameters `file` and `folder`; `more` are further fields.
pub async fn action(api: &Api, name: &str, script: &str, more: Value) {
    let mut body = json!({"ref": format!("test.{name}"), "label": name, "runtime_ref": "core.shell", "entry_point": script,
        "parameters_schema": {"type": "object", "properties": {"file": {}, "folder": {}}}});
    let fields = body.as_object_mut().expect("it is an object");
    fields.extend(more.as_object().cloned().unwrap_or_default());
    api.post("/api/v1/actions", body).await;
}

/// All three forms of timers, each with a rule that prints hello: `test.interval`, `test.cron`, `test.one_shot`.
pub async fn three_forms(api: &Api, fire_at: &str) {
    let forms = [
        ("interval", json!({"type": "interval", "seconds": 1})),
        ("cron", json!({"type": "cron", "expression": "* * * * * *"})),
        ("one_shot", json!({"type": "one_shot", "fire_at": fire_at})),
    ];
    for (name, config) in forms {
        timer(api, name, config).await;
        rule(
            api,
            name,
            "core.echo",
            json!({"message": "Hello World from {{ event.payload.type }}"}),
        )
        .await;
    }
}
