//! Errors with advice: each row makes a mistake, finds the advice in the error, follows it, and succeeds.

use crate::test_api::{Call, TestApi};
use serde_json::{Value, json};

struct Row {
    mistake: Call,
    /// Part of the problem's detail or of a field's message.
    advice: &'static str,
    /// Requests that follow the advice; each succeeds.
    followed: Vec<Call>,
}

fn row(mistake: Call, advice: &'static str, followed: impl IntoIterator<Item = Call>) -> Row {
    Row {
        mistake,
        advice,
        followed: followed.into_iter().collect(),
    }
}

fn get(path: &str) -> Call {
    Call::new("GET", &format!("/api/v1/{path}"))
}

fn post(path: &str, body: Value) -> Call {
    Call::new("POST", &format!("/api/v1/{path}")).json(body)
}

fn patch(path: &str, body: Value) -> Call {
    Call::new("PATCH", &format!("/api/v1/{path}")).json(body)
}

fn delete(path: &str) -> Call {
    Call::new("DELETE", &format!("/api/v1/{path}"))
}

fn rule(name: &str, change: Value) -> Value {
    let mut body = json!({"ref": name, "trigger_ref": "core.timer_10s", "action_ref": "core.echo"});
    for (name, value) in change.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

async fn follow(rows: Vec<Row>, api: &TestApi) {
    for row in rows {
        let mistake = format!("{:?}", row.mistake);
        let refused = api.send(row.mistake).await;
        assert!(
            refused.status.is_client_error(),
            "{mistake}: {} {}",
            refused.status,
            refused.body
        );
        let errors = refused.body["errors"].as_array().expect("a list");
        let messages = errors.iter().map(|error| &error["message"]);
        let received: Vec<_> = messages
            .chain([&refused.body["detail"]])
            .filter_map(Value::as_str)
            .collect();
        assert!(
            received.iter().any(|text| text.contains(row.advice)),
            "{mistake}: {received:?} lacks {:?}",
            row.advice
        );
        assert!(!row.followed.is_empty());
        for call in row.followed {
            let next = format!("{call:?}");
            let answer = api.send(call).await;
            assert!(
                answer.status.is_success(),
                "{mistake}: {received:?}: {next}: {}",
                answer.body
            );
        }
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn advice_for_wrong_references() {
    let api = TestApi::new().await;
    let action = |change: Value| {
        let mut body = json!({"ref": "core.a", "runtime_ref": "core.shell", "entry_point": "true"});
        for (name, value) in change.as_object().expect("an object") {
            body[name] = value.clone();
        }
        body
    };
    follow(
        vec![
            row(
                post(
                    "rules",
                    rule("core.r1", json!({"action_ref": null, "action": "core.echo"})),
                ),
                "to use a ref, set action_ref instead",
                [post("rules", rule("core.r1", json!({})))],
            ),
            row(
                post(
                    "rules",
                    rule("core.r2", json!({"trigger_ref": null, "trigger": "core.timer_10s"})),
                ),
                "the reference of a trigger is written as trigger_ref",
                [post("rules", rule("core.r2", json!({})))],
            ),
            row(
                post("rules", rule("core.r3", json!({"pack": "core"}))),
                "to use a ref, set pack_ref instead",
                [post("rules", rule("core.r3", json!({"pack_ref": "core"})))],
            ),
            row(
                post("rules", rule("core.r4", json!({"action_ref": null}))),
                "is missing: write the reference of the action",
                [post("rules", rule("core.r4", json!({"action_ref": "core.echo"})))],
            ),
            row(
                post("actions", action(json!({"runtime_ref": null, "runtime": "core.shell"}))),
                "to use a ref, set runtime_ref instead",
                [post("actions", action(json!({})))],
            ),
            row(
                post("executions", json!({"action": "core.echo"})),
                "to use a ref, set action_ref instead",
                [post("executions", json!({"action_ref": "core.echo"}))],
            ),
            row(
                post("events", json!({"trigger": "core.timer_1m"})),
                "to use a ref, set trigger_ref instead",
                [post("events", json!({"trigger_ref": "core.timer_1m"}))],
            ),
            row(
                post("rules", rule("mine.r", json!({}))),
                "there is no pack mine; create it with POST /api/v1/packs",
                [
                    post("packs", json!({"ref": "mine"})),
                    post("rules", rule("mine.r", json!({}))),
                ],
            ),
            row(
                post("rules", rule("core.r5", json!({"condition": "event.paylod.n == 1"}))),
                "did you mean event.payload?",
                [post(
                    "rules",
                    rule("core.r5", json!({"condition": "event.payload.n == 1"})),
                )],
            ),
            row(
                patch("rules/core.r1", json!({"ref": "core.other"})),
                "is immutable; create a new",
                [post("rules", rule("core.other", json!({})))],
            ),
            row(
                patch("rules/core.r1", json!({"label": null})),
                "omit it to keep the current value",
                [patch("rules/core.r1", json!({}))],
            ),
            row(
                patch("rules/core.r1", json!({"lable": "x"})),
                "unknown field; expected one of: ref, pack_ref, pack, label,",
                [patch("rules/core.r1", json!({"label": "x"}))],
            ),
        ],
        &api,
    )
    .await;
    api.close().await;
}

#[tokio::test]
async fn advice_for_definitions_in_use() {
    let api = TestApi::new().await;
    for pack in ["one", "two", "three"] {
        api.post("/api/v1/packs", json!({"ref": pack})).await.expect(201);
    }
    let action = json!({"ref": "one.job", "runtime_ref": "core.shell", "entry_point": "true"});
    api.post("/api/v1/actions", action).await.expect(201);
    api.post("/api/v1/triggers", json!({"ref": "one.bell", "kind": "custom"}))
        .await
        .expect(201);
    for name in ["one.job", "two.r"] {
        let body = rule(name, json!({"action_ref": "one.job", "trigger_ref": "one.bell"}));
        api.post("/api/v1/rules", body).await.expect(201);
    }
    // The kind is named, because a rule and an action may share a ref. Each object is listed once.
    let refused = api.delete("/api/v1/actions/one.job").await.expect(409);
    assert_eq!(refused.body["conflicts"], json!(["rule one.job", "rule two.r"]));
    follow(
        vec![
            row(
                delete("packs/one?cascade=true"),
                "is used by rule two.r; delete or change these first",
                [delete("rules/two.r")],
            ),
            row(
                delete("triggers/one.bell"),
                "is used by rule one.job; delete the rules that use it, or change their trigger",
                [get("rules/one.job")],
            ),
            row(
                delete("packs/one"),
                "holds action one.job, rule one.job, trigger one.bell; delete the pack with ?cascade=true",
                [delete("packs/one?cascade=true")],
            ),
        ],
        &api,
    )
    .await;
    let again = rule("two.r", json!({}));
    api.post("/api/v1/rules", again).await.expect(201);
    api.post(
        "/api/v1/actions",
        json!({"ref": "two.job", "runtime_ref": "core.shell", "entry_point": "true"}),
    )
    .await
    .expect(201);
    api.patch("/api/v1/rules/two.r", json!({"action_ref": "two.job"}))
        .await
        .expect(200);
    follow(
        vec![row(
            delete("actions/two.job"),
            "delete the rules that use it, or change their action",
            [
                patch("rules/two.r", json!({"action_ref": "core.echo"})),
                delete("actions/two.job"),
            ],
        )],
        &api,
    )
    .await;
    api.close().await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn advice_for_query_parameters() {
    let api = TestApi::new().await;
    let made = api
        .post("/api/v1/executions", json!({"action_ref": "core.echo"}))
        .await
        .expect(201);
    let logs = format!("executions/{}/logs", made.body["data"]["id"].as_str().expect("an id"));
    let next = api.get(&format!("/api/v1/{logs}")).await.expect(200).body["data"]["next"]
        .as_str()
        .expect("a place")
        .to_owned();
    let mut rows = Vec::new();
    for list in ["events", "executions", "enforcements", "webhook-requests", "audit"] {
        rows.extend([
            row(
                get(&format!("{list}?since=2026-11-30T10:00:00")),
                "has no time zone: add Z for UTC, as in 2026-11-30T10:00:00Z",
                [get(&format!("{list}?since=2026-11-30T10:00:00Z"))],
            ),
            row(
                get(&format!("{list}?until=yesterday")),
                "a time such as 2027-01-20T15:00:00Z, a date such as 2027-01-20 (its midnight in UTC), or an offset from now such as 1h, -24h or 7d",
                ["2027-01-20T15:00:00Z", "2027-01-20", "1h", "-24h", "7d"].map(|until| get(&format!("{list}?until={until}"))),
            ),
            row(get(&format!("{list}?limit=0")), "must be a whole number from 1 to 200", ["1", "200"].map(|limit| get(&format!("{list}?limit={limit}")))),
        ]);
    }
    rows.extend([
        row(
            get("executions?action_ref=core.ehco"),
            "did you mean core.echo?",
            [get("executions?action_ref=core.echo")],
        ),
        row(
            get("executions?rule_ref=x.y"),
            "GET /api/v1/rules lists them",
            [get("rules")],
        ),
        row(
            get("actions?pack_ref=x"),
            "GET /api/v1/packs lists them",
            [get("packs")],
        ),
        row(
            get("events?trigger_ref=x"),
            "GET /api/v1/triggers lists them",
            [get("triggers")],
        ),
        row(
            get("executions?action_ref=x"),
            "GET /api/v1/actions lists them",
            [get("actions")],
        ),
        row(
            get("executions?status=failed,,lost"),
            "write one value, or several separated by commas",
            [get("executions?status=failed,lost")],
        ),
        row(
            get("executions?status=broken"),
            "must be one of waiting, scheduled,",
            [get("executions?status=waiting,scheduled")],
        ),
        row(
            get("executions?view=all"),
            "must be summary or full",
            [get("executions?view=summary"), get("executions?view=full")],
        ),
        row(
            get("executions?statuses=lost"),
            "unknown field; expected one of: rule_ref, action_ref, event_id, status,",
            [get("executions?status=lost")],
        ),
        row(
            get("executions?status=lost&status=failed"),
            "must be given once; separate several values with commas",
            [get("executions?status=lost,failed")],
        ),
        row(
            get("triggers/core.timer_1m/occurrences?from=now&after=now"),
            "cannot be combined with from",
            [get("triggers/core.timer_1m/occurrences?after=now")],
        ),
        row(
            get(&format!("{logs}?after=there")),
            "must be the `next` of a previous response",
            [get(&format!("{logs}?after={next}"))],
        ),
        row(
            get("audit?verb=login"),
            "must be one of sign_in, ",
            [get("audit?verb=sign_in")],
        ),
        row(
            get("audit?object=rule"),
            "a kind and a name as in `rule core.hello`",
            [get("audit?object=rule%20core.hello")],
        ),
        row(
            post("executions?wait=31", json!({"action_ref": "core.echo"})),
            "must be a whole number from 0 to 30",
            [post("executions?wait=0", json!({"action_ref": "core.echo"}))],
        ),
        row(
            Call::new("PUT", "/api/v1/executions"),
            "expected one of: GET, POST",
            [
                get("executions"),
                post("executions", json!({"action_ref": "core.echo"})),
            ],
        ),
    ]);
    follow(rows, &api).await;
    api.close().await;
}

#[tokio::test]
async fn advice_for_wrong_states() {
    let api = TestApi::new().await;
    api.post(
        "/api/v1/triggers",
        json!({"ref": "core.bell", "kind": "custom", "enabled": false}),
    )
    .await
    .expect(201);
    let keyed = |n: u8, key: &str| {
        post(
            "executions",
            json!({"action_ref": "core.echo", "parameters": {"message": n.to_string()}}),
        )
        .header("idempotency-key", key)
    };
    api.send(keyed(1, "first")).await.expect(201);
    let me = api.identities[&attune_domain::identity::Role::Admin];
    let password = "correct horse battery staple";
    follow(
        vec![
            row(
                post("events", json!({"trigger_ref": "core.bell"})),
                "enable it, or fire core.bell manually",
                [
                    post("triggers/core.bell/fire", json!({})),
                    post("triggers/core.bell/enable", json!({})),
                    post("events", json!({"trigger_ref": "core.bell"})),
                ],
            ),
            row(keyed(2, "first"), "use a new key", [keyed(2, "second")]),
            row(
                patch(&format!("identities/{me}"), json!({"role": "viewer"})),
                "another admin can",
                [post(
                    "identities",
                    json!({"login": "other", "display_name": "Other", "password": password, "role": "admin"}),
                )],
            ),
        ],
        &api,
    )
    .await;
    api.close().await;
}
