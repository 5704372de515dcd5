//! Health and metrics, which every service has.

use serde_json::{Map, Value, json};

pub fn paths() -> Map<String, Value> {
    let health = json!({"application/json": {"schema": {"$ref": "#/components/schemas/Health"}}});
    let text = json!({"text/plain": {"schema": {"type": "string"}}});
    let all = [
        (
            "/health",
            "Get the health of the service",
            "Returns the status of every part of this instance. 503 if one of them is failing.",
            &health,
            true,
        ),
        (
            "/health/live",
            "Check whether the process is alive",
            "Returns 200 as long as the process responds, regardless of the database. For liveness probes.",
            &health,
            false,
        ),
        (
            "/health/ready",
            "Check whether the service is ready",
            "Returns 200 if the database is reachable and its schema is accepted, and 503 while starting or shutting \
             down. For readiness probes.",
            &health,
            true,
        ),
        (
            "/metrics",
            "Get metrics in the Prometheus text format",
            "Returns counters, gauges and histograms of this instance.",
            &text,
            false,
        ),
    ];
    let path = |(path, summary, description, content, fails): (&str, &str, &str, &Value, bool)| {
        let mut responses = json!({"200": {"description": "OK", "content": content}});
        if fails {
            responses["503"] = json!({"description": "Failing or shutting down", "content": content});
        }
        let operation = json!({
            "summary": summary,
            "description": description,
            "operationId": format!("get{}", path.replace('/', "_")),
            "tags": ["health"],
            "x-right": "public",
            "responses": responses,
            "security": [],
            "x-codeSamples": [{"lang": "Shell", "label": "curl", "source": format!("curl \"$ATTUNE{path}\"")}],
        });
        (path.to_owned(), json!({"get": operation}))
    };
    all.into_iter().map(path).collect()
}
