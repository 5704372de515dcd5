//! Correlation: an event, its action and the log share a trace id, and a request id is in the answer and in the log. The
//! spans sent to a collector are linked in the same way.

use super::support::{Api, definitions, services::Services};
use attune_common::testing::eventually;
use serde_json::{Value, json};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// Submits an event for an action that prints its trace. Returns the event and its execution.
async fn run_one(api: &Api) -> (Value, Value) {
    definitions::pack(api).await;
    definitions::action(api, "print_trace", r#"printf %s "$ATTUNE_TRACE_ID""#, json!({})).await;
    let trigger = json!({"ref": "test.traced", "label": "traced", "kind": "custom"});
    api.post("/api/v1/triggers", trigger).await;
    definitions::rule(api, "traced", "test.print_trace", json!({})).await;
    let submitted = json!({"trigger_ref": "test.traced", "payload": {}});
    let event = api.post("/api/v1/events", submitted).await;
    let id = event["id"]
        .as_str()
        .or(event["event_id"].as_str())
        .expect("an event has an id");
    let event = api.get(&format!("/api/v1/events/{id}")).await;
    let poll = async || {
        let chain = api.get(&format!("/api/v1/traces/{id}")).await;
        let execution = chain["executions"][0].clone();
        (execution["status"] == "succeeded").then_some((chain, execution))
    };
    let (chain, execution) = eventually("the execution has succeeded", SOON, poll).await;
    assert_eq!(chain["trace_id"], event["trace_id"], "the API's trace");
    assert_eq!(execution["trace_id"], event["trace_id"], "the execution");
    (event, execution)
}

async fn has_logged(services: &Services, name: &str, parts: &[&str]) {
    let what = format!("{name} has logged one line with {parts:?}");
    let poll = async || {
        let printed = services.process(name).printed();
        let found = printed.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        found.then_some(())
    };
    eventually(&what, SOON, poll).await;
}

#[tokio::test]
async fn one_trace_id_reaches_the_action_and_the_log() {
    let level = ("ATTUNE__LOG__LEVEL", "attune_api=debug,attune_worker=debug,info");
    let services = Services::with(&[level]).await;
    let (event, execution) = run_one(&services.api).await;
    let trace_id = event["trace_id"].as_str().expect("a trace id").replace('-', "");
    assert_eq!(execution["output_tail"], trace_id, "the action's environment");
    let trace_id = format!("trace_id={trace_id}");
    has_logged(&services, "worker-1", &[&trace_id, "an action ended"]).await;

    let taken = json!({"ref": "test.traced", "label": "traced", "kind": "custom"});
    let request = services.api.request(reqwest::Method::POST, "/api/v1/triggers");
    let request = request.header("x-request-id", "request-1").json(&taken);
    let (status, problem) = Api::send(request).await.expect("an answer");
    assert_eq!(
        (status.as_u16(), &problem["instance"]),
        (409, &json!("request-1")),
        "{problem}"
    );
    has_logged(
        &services,
        "api-1",
        &["id=\"request-1\"", "a request was answered", "status=409"],
    )
    .await;
    services.stop().await;
}

#[cfg(feature = "otlp")]
mod collector {
    use super::*;
    use axum::{Router, body::Bytes, extract::State, routing::post};
    use std::{
        collections::BTreeMap,
        sync::{Arc, Mutex, PoisonError},
    };
    use tokio_util::task::AbortOnDropHandle;

    type Bodies = Arc<Mutex<Vec<Bytes>>>;

    #[derive(Debug, Clone, PartialEq)]
    struct Span {
        trace_id: Vec<u8>,
        id: Vec<u8>,
        parent: Vec<u8>,
        name: String,
    }

    /// The spans received so far.
    fn spans(bodies: &Bodies) -> Vec<Span> {
        let bodies = bodies.lock().unwrap_or_else(PoisonError::into_inner);
        // A request holds resources (1), they hold scopes (2), they hold spans (2).
        let resources = bodies
            .iter()
            .flat_map(|body| fields(body))
            .filter(|(field, _)| *field == 1);
        let scopes = resources
            .flat_map(|(_, resource)| fields(resource))
            .filter(|(field, _)| *field == 2);
        let spans = scopes
            .flat_map(|(_, scope)| fields(scope))
            .filter(|(field, _)| *field == 2);
        let span = |(_, span)| {
            let of: BTreeMap<u64, &[u8]> = fields(span).into_iter().collect();
            let bytes = |field| of.get(&field).map_or_else(Vec::new, |bytes| bytes.to_vec());
            Span {
                trace_id: bytes(1),
                id: bytes(2),
                parent: bytes(4),
                name: String::from_utf8_lossy(&bytes(5)).into_owned(),
            }
        };
        spans.map(span).collect()
    }

    /// The fields of a protobuf message that have a length.
    fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
        let mut fields = Vec::new();
        while !message.is_empty() {
            let tag = number(&mut message);
            let length = match tag & 7 {
                0 => {
                    number(&mut message);
                    continue;
                }
                1 => 8,
                2 => usize::try_from(number(&mut message)).expect("a length"),
                5 => 4,
                kind => panic!("unknown wire type {kind}"),
            };
            let (field, rest) = message.split_at(length);
            message = rest;
            if tag & 7 == 2 {
                fields.push((tag >> 3, field));
            }
        }
        fields
    }

    fn number(message: &mut &[u8]) -> u64 {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = message.split_first().expect("the message is complete");
            *message = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        number
    }

    async fn collect() -> (String, Bodies, AbortOnDropHandle<()>) {
        let bodies = Bodies::default();
        let take = async |State(bodies): State<Bodies>, body: Bytes| {
            bodies.lock().unwrap_or_else(PoisonError::into_inner).push(body);
        };
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state(Arc::clone(&bodies));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let serving = tokio_util::task::TaskTracker::new().spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        (format!("http://{address}"), bodies, AbortOnDropHandle::new(serving))
    }

    // The collector runs in this process, and must answer while the test waits for a program: spans are sent only once.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_collector_receives_all_spans_of_an_event_in_one_trace() {
        let (endpoint, bodies, _serving) = collect().await;
        let services = Services::with(&[("ATTUNE__TELEMETRY__OTLP_ENDPOINT", &endpoint)]).await;
        definitions_of_a_timer(&services.api).await;
        let (event, _) = run_one(&services.api).await;
        spans_are_linked(&bodies, &event, "ingest").await;

        let fired = async || {
            let events = services.api.request(
                reqwest::Method::GET,
                "/api/v1/events?trigger_ref=core.timer_10s&limit=1",
            );
            let (_, events) = Api::send(events).await.ok()?;
            events["data"].get(0).cloned()
        };
        let event = eventually("the timer has fired", SOON, fired).await;
        spans_are_linked(&bodies, &event, "tick").await;

        // A stopping service exports its pending spans.
        services.stop().await;
        assert!(
            spans(&bodies)
                .iter()
                .any(|span| span.name == "request" && span.parent.is_empty())
        );
    }

    async fn definitions_of_a_timer(api: &Api) {
        let rule = json!({"ref": "core.traced", "label": "traced", "trigger_ref": "core.timer_10s", "action_ref": "core.echo",
                          "action_params": {"message": "hello"}});
        api.post("/api/v1/rules", rule).await;
    }

    async fn spans_are_linked(bodies: &Bodies, event: &Value, began: &str) {
        let trace_id = event["trace_id"].as_str().expect("a trace id").replace('-', "");
        let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        let poll = async || {
            let mut spans = spans(bodies);
            spans.retain(|span| hex(&span.trace_id) == trace_id);
            (spans.len() >= 4).then_some(spans)
        };
        let mut spans = eventually("the collector has four spans of the event", SOON, poll).await;
        spans.sort_by(|a, b| a.name.cmp(&b.name));
        let (roots, steps): (Vec<_>, Vec<_>) = spans.into_iter().partition(|span| span.parent.is_empty());
        assert_eq!(
            (roots.len(), roots[0].name.as_str()),
            (1, began),
            "the root of {steps:?}"
        );
        let names: Vec<_> = steps.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["decide", "execution", "finish"]);
        assert!(
            steps.iter().all(|span| span.parent == roots[0].id),
            "{roots:?}: {steps:?}"
        );
    }
}
