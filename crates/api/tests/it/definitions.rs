//! Packs, triggers, actions and rules: created, changed, enabled, disabled, deleted.

use crate::test_api::{Answer, Call, TestApi};
use attune_common::bus::Control;
use attune_domain::identity::Role;
use serde_json::{Value, json};
use std::time::Duration;

fn hello() -> Value {
    json!({
        "ref": "core.timer_echo_10s", "pack_ref": "core", "label": "Hello", "trigger_ref": "core.timer_10s", "action_ref": "core.echo",
        "action_params": {"message": "Hello at {{ event.payload.fired_at }}"}, "condition": null, "enabled": true
    })
}

#[tokio::test]
async fn the_life_of_a_rule() {
    let api = TestApi::new().await;
    let mut controls = api.bus.controls();
    let made = api.post("/api/v1/rules", hello()).await.expect(201);
    assert_eq!(made.header("location"), "/api/v1/rules/core.timer_echo_10s");
    let rule = &made.body["data"];
    for (name, value) in hello().as_object().expect("an object") {
        assert_eq!(&rule[name], value, "{name}");
    }
    let heard = tokio::time::timeout(Duration::from_secs(5), controls.recv())
        .await
        .expect("announced immediately");
    assert_eq!(heard, Control::DefinitionsChanged);

    let id = &rule["id"];
    let found = api.get(&format!("/api/v1/rules/{id}")).await.expect(200);
    assert_eq!(found.body["data"], *rule);
    assert_eq!(found.header("etag"), "\"1\"");

    let again = api.post("/api/v1/rules", hello()).await.expect(409);
    assert_eq!(
        (again.kind(), &again.body["conflicts"]),
        ("exists", &json!(["core.timer_echo_10s"]))
    );

    let path = "/api/v1/rules/core.timer_echo_10s";
    let off = api.post(&format!("{path}/disable"), json!({})).await.expect(200);
    assert_eq!(
        (&off.body["data"]["enabled"], off.header("etag")),
        (&json!(false), "\"2\"")
    );
    api.post(&format!("{path}/enable"), json!({})).await.expect(200);

    // What was read can be sent back.
    let mut whole = rule.clone();
    whole["label"] = json!("Hello again");
    let put = api.send(Call::new("PUT", path).json(whole)).await.expect(200);
    assert_eq!(put.body["data"]["label"], "Hello again");
    api.delete(path).await.expect(204);
    api.get(path).await.expect(404);
    api.close().await;
}

#[tokio::test]
async fn put_replaces_and_patch_changes() {
    let api = TestApi::new().await;
    let action = json!({"ref": "core.greet", "runtime_ref": "core.shell", "entry_point": "echo hi", "label": "Greet", "description": "Prints hi",
                        "timeout_seconds": 5, "retry": {"max_attempts": 3}, "enabled": false});
    api.post("/api/v1/actions", action).await.expect(201);
    let mut rule = hello();
    rule["condition"] = json!("event.payload.n > 1");
    rule["rate_limit"] = json!({"limit": 1, "window_seconds": 60});
    api.post("/api/v1/rules", rule).await.expect(201);
    let trigger = json!({"ref": "core.tick", "kind": "timer", "label": "Tick", "enabled": false, "config": {"type": "interval", "seconds": 7}});
    api.post("/api/v1/triggers", trigger).await.expect(201);
    api.post(
        "/api/v1/packs",
        json!({"ref": "shop", "label": "Shop", "version": "2.0.0", "description": "Sells"}),
    )
    .await
    .expect(201);

    let patched = api
        .patch("/api/v1/actions/core.greet", json!({"label": "Hello"}))
        .await
        .expect(200);
    let kept = &patched.body["data"];
    assert_eq!(
        (&kept["label"], &kept["timeout_seconds"], &kept["enabled"]),
        (&json!("Hello"), &json!(5), &json!(false))
    );

    let put = async |path: &str, body: Value, expected: &[(&str, Value)]| {
        let data = api.send(Call::new("PUT", path).json(body)).await.expect(200).body["data"].clone();
        for (field, value) in expected {
            assert_eq!(&data[field], value, "{path}: {field} of {data}");
        }
    };
    let body = json!({"runtime_ref": "core.shell", "entry_point": "echo hello"});
    let defaults = [
        ("timeout_seconds", json!(3600)),
        ("label", json!("core.greet")),
        ("description", Value::Null),
        ("retry", Value::Null),
        ("enabled", json!(true)),
        ("entry_point", json!("echo hello")),
    ];
    put("/api/v1/actions/core.greet", body, &defaults).await;
    let body = json!({"trigger_ref": "core.timer_1m", "action_ref": "core.noop"});
    let defaults = [
        ("condition", Value::Null),
        ("rate_limit", Value::Null),
        ("action_params", json!({})),
        ("trigger_ref", json!("core.timer_1m")),
    ];
    put("/api/v1/rules/core.timer_echo_10s", body, &defaults).await;
    let body = json!({"ref": "core.tick", "kind": "timer", "config": {"type": "interval", "seconds": 8}});
    put(
        "/api/v1/triggers/core.tick",
        body,
        &[("label", json!("core.tick")), ("enabled", json!(true))],
    )
    .await;
    put(
        "/api/v1/packs/shop",
        json!({}),
        &[("version", json!("0.1.0")), ("description", Value::Null)],
    )
    .await;

    // Fields without a default are required, and the ref is immutable.
    let bad = Call::new("PUT", "/api/v1/rules/core.timer_echo_10s").json(json!({"label": "Only this"}));
    assert_eq!(api.send(bad).await.expect(422).fields(), ["trigger_ref", "action_ref"]);
    let other = Call::new("PUT", "/api/v1/packs/shop").json(json!({"ref": "store"}));
    assert_eq!(api.send(other).await.expect(422).fields(), ["ref"]);
    api.close().await;
}

#[tokio::test]
async fn put_and_patch_honor_if_match() {
    let api = TestApi::new().await;
    let pack = json!({"ref": "shop", "label": "Shop", "version": "2.0.0"});
    api.post("/api/v1/packs", pack).await.expect(201);
    for method in ["PUT", "PATCH"] {
        let stale = Call::new(method, "/api/v1/packs/shop")
            .json(json!({"label": "Late"}))
            .header("if-match", "\"0\"");
        assert_eq!(api.send(stale).await.expect(412).kind(), "changed");
        let seen = api.get("/api/v1/packs/shop").await.expect(200);
        let fresh = Call::new(method, "/api/v1/packs/shop")
            .json(json!({"label": method}))
            .header("if-match", seen.header("etag"));
        assert_ne!(api.send(fresh).await.expect(200).header("etag"), seen.header("etag"));
    }
    api.close().await;
}

#[tokio::test]
async fn ids_with_or_instead_of_references() {
    let api = TestApi::new().await;
    let id = async |path: &str| api.get(path).await.expect(200).body["data"]["id"].clone();
    let (pack, trigger, action) = (
        id("/api/v1/packs/core").await,
        id("/api/v1/triggers/core.timer_1m").await,
        id("/api/v1/actions/core.noop").await,
    );
    let body = json!({"ref": "core.by_number", "pack": pack, "trigger": trigger, "action": action});
    let made = api.post("/api/v1/rules", body).await.expect(201);
    let data = &made.body["data"];
    assert_eq!(
        (&data["trigger_ref"], &data["action_ref"]),
        (&json!("core.timer_1m"), &json!("core.noop"))
    );

    let both = json!({"ref": "core.by_both", "trigger": trigger, "trigger_ref": "core.timer_1m", "action": action, "action_ref": "core.noop"});
    api.post("/api/v1/rules", both).await.expect(201);
    let differ = json!({"ref": "core.differ", "trigger": trigger, "trigger_ref": "core.timer_10s", "action": 999_999, "pack": 999_999});
    assert_eq!(
        api.post("/api/v1/rules", differ).await.expect(422).fields(),
        ["pack", "trigger", "action"]
    );

    let path = "/api/v1/rules/core.by_number";
    let other = id("/api/v1/triggers/core.timer_10s").await;
    let moved = api.patch(path, json!({"trigger": other})).await.expect(200);
    assert_eq!(moved.body["data"]["trigger_ref"], "core.timer_10s");
    api.close().await;
}

#[tokio::test]
async fn a_rule_with_a_timer_of_its_own() {
    let api = TestApi::new().await;
    let body = json!({"ref": "core.inline", "action_ref": "core.echo", "trigger": {"type": "cron", "expression": "0 * * * *"}});
    let made = api.post("/api/v1/rules", body).await.expect(201);
    assert_eq!(made.body["data"]["trigger_ref"], "core.inline.timer");
    let trigger = api.get("/api/v1/triggers/core.inline.timer").await.expect(200);
    assert_eq!(trigger.body["data"]["owner_rule_ref"], "core.inline");
    assert_eq!(trigger.body["data"]["config"]["expression"], "0 * * * *");

    // Other rules cannot use it, and it cannot be deleted separately.
    let other = json!({"ref": "core.other", "action_ref": "core.echo", "trigger_ref": "core.inline.timer"});
    assert_eq!(
        api.post("/api/v1/rules", other).await.expect(422).fields(),
        ["trigger_ref"]
    );
    api.delete("/api/v1/triggers/core.inline.timer").await.expect(409);

    let path = "/api/v1/rules/core.inline";
    api.patch(path, json!({"trigger": {"type": "interval", "seconds": 5}}))
        .await
        .expect(200);
    let trigger = api.get("/api/v1/triggers/core.inline.timer").await.expect(200);
    assert_eq!(
        trigger.body["data"]["config"],
        json!({"type": "interval", "seconds": 5})
    );
    api.post(&format!("{path}/disable"), json!({})).await.expect(200);
    let trigger = api.get("/api/v1/triggers/core.inline.timer").await.expect(200);
    assert_eq!(trigger.body["data"]["enabled"], false);

    // The effect of enabling it again can be queried.
    let occurrences = "/api/v1/triggers/core.inline.timer/occurrences?limit=1";
    let never_ran = api.get(occurrences).await.expect(200);
    assert!(never_ran.body["data"].get("paused").is_none());
    api.database
        .execute(
            "insert into timer_span (trigger_id, generation, config, from_at, to_at)
             select id, 1, config, db_now() - interval '1 hour', db_now() - interval '52 seconds' from trigger where ref = 'core.inline.timer'",
        )
        .await;
    let paused = api.get(occurrences).await.expect(200).body["data"]["paused"]["passed"].as_u64();
    assert!(matches!(paused, Some(10 | 11)), "{paused:?}");

    // The inline timer is deleted when the rule gets another trigger, and with the rule.
    api.patch(path, json!({"trigger_ref": "core.timer_1m"}))
        .await
        .expect(200);
    api.get("/api/v1/triggers/core.inline.timer").await.expect(404);
    api.patch(path, json!({"trigger": {"type": "interval", "seconds": 5}}))
        .await
        .expect(200);
    api.delete(path).await.expect(204);
    api.get("/api/v1/triggers/core.inline.timer").await.expect(404);
    api.close().await;
}

#[tokio::test]
async fn a_definition_in_use_is_not_deleted() {
    let api = TestApi::new().await;
    api.post("/api/v1/rules", hello()).await.expect(201);
    for path in ["/api/v1/triggers/core.timer_10s", "/api/v1/actions/core.echo"] {
        let refused = api.delete(path).await.expect(409);
        assert_eq!(
            (refused.kind(), &refused.body["conflicts"]),
            ("in_use", &json!(["rule core.timer_echo_10s"]))
        );
    }
    let pack = api.delete("/api/v1/packs/core").await.expect(409);
    assert!(
        pack.body["conflicts"]
            .as_array()
            .expect("a list")
            .contains(&json!("rule core.timer_echo_10s"))
    );

    api.post("/api/v1/packs", json!({"ref": "mine"})).await.expect(201);
    let rule = json!({"ref": "mine.rule", "trigger_ref": "core.timer_1m", "action_ref": "core.noop"});
    api.post("/api/v1/rules", rule).await.expect(201);
    let core = api.delete("/api/v1/packs/core?cascade=true").await.expect(409);
    assert_eq!(core.body["conflicts"], json!(["rule mine.rule"]));
    api.delete("/api/v1/packs/mine?cascade=true").await.expect(204);
    api.get("/api/v1/rules/mine.rule").await.expect(404);
    api.close().await;
}

#[tokio::test]
async fn every_change_honors_if_match() {
    let api = TestApi::new().await;
    let path = "/api/v1/actions/core.echo";
    let tag = api.get(path).await.expect(200).header("etag").to_owned();
    let change = |tag: &str, label: &str| {
        Call::new("PATCH", path)
            .header("if-match", tag)
            .json(json!({"label": label}))
    };
    let changed = api.send(change(&tag, "One")).await.expect(200);
    assert_ne!(changed.header("etag"), tag);
    api.send(change(&tag, "Two")).await.expect(412);
    api.send(Call::new("DELETE", path).header("if-match", &tag))
        .await
        .expect(412);
    assert_eq!(api.get(path).await.expect(200).body["data"]["label"], "One");
    api.send(change("*", "Three")).await.expect(200);
    // It was edited, so loading the pack no longer changes it.
    assert_eq!(api.get(path).await.expect(200).body["data"]["managed"], false);
    api.close().await;
}

#[tokio::test]
async fn triggers_of_every_kind() {
    let api = TestApi::new().await;
    let hook = json!({"ref": "core.hook", "kind": "webhook", "label": "Hook", "config": {"verify": "none"}});
    let made = api.post("/api/v1/triggers", hook).await.expect(201);
    let url = made.body["data"]["webhook_url"]
        .as_str()
        .expect("an address")
        .to_owned();
    assert!(url.starts_with("https://attune.example.org/api/v1/webhooks/"), "{url}");
    assert_eq!(url.rsplit('/').next().expect("a key").len(), 64);
    let viewed = Call::new("GET", "/api/v1/triggers/core.hook").token(Some(api.token(Role::Viewer)));
    assert_eq!(
        api.send(viewed).await.expect(200).body["data"]["webhook_url"],
        Value::Null
    );
    // A new label keeps the address.
    let changed = api
        .patch("/api/v1/triggers/core.hook", json!({"label": "New"}))
        .await
        .expect(200);
    assert_eq!(changed.body["data"]["webhook_url"], url);

    api.post("/api/v1/triggers", json!({"ref": "core.doorbell", "kind": "custom"}))
        .await
        .expect(201);
    let cron = json!({"ref": "core.nightly", "kind": "timer", "config": {"type": "cron", "expression": "30 2 * * *", "timezone": "Europe/Berlin"}});
    api.post("/api/v1/triggers", cron).await.expect(201);
    let customs = api.get("/api/v1/triggers?kind=custom").await.expect(200);
    assert_eq!(customs.body["data"][0]["ref"], "core.doorbell");
    assert_eq!(customs.body["data"].as_array().expect("a list").len(), 1);
    api.delete("/api/v1/triggers/core.doorbell").await.expect(204);
    api.close().await;
}

#[tokio::test]
async fn the_configuration_of_a_timer_is_checked_when_it_changes() {
    let api = TestApi::new().await;
    let past = json!({"type": "one_shot", "fire_at": "2020-01-01T00:00:00Z"});
    let body = json!({"ref": "core.once", "kind": "timer", "config": past});
    assert_eq!(
        api.post("/api/v1/triggers", body).await.expect(422).fields(),
        ["config.fire_at"]
    );
    let mut worse = past.clone();
    worse["grace_seconds"] = json!(3601);
    let body = json!({"ref": "core.once", "kind": "timer", "config": worse});
    assert_eq!(
        api.post("/api/v1/triggers", body).await.expect(422).fields(),
        ["config.grace_seconds", "config.fire_at"],
        "all errors at once"
    );
    api.database
        .execute("insert into trigger (ref, pack_id, label, kind, config) select 'core.once', id, 'Once', 'timer', '{\"type\": \"one_shot\", \"fire_at\": \"2020-01-01T00:00:00Z\"}' from pack")
        .await;
    // The same again changes nothing, so it is not refused.
    api.patch(
        "/api/v1/triggers/core.once",
        json!({"label": "Renamed", "config": past}),
    )
    .await
    .expect(200);
    let moved = json!({"config": {"type": "one_shot", "fire_at": "2021-01-01T00:00:00Z"}});
    assert_eq!(
        api.patch("/api/v1/triggers/core.once", moved)
            .await
            .expect(422)
            .fields(),
        ["config.fire_at"]
    );
    api.close().await;
}

/// No sensor runs here: the answer predicts what one will plan.
#[tokio::test]
async fn the_answer_to_a_change_contains_the_next_fire() {
    let api = TestApi::new().await;
    let next = |answer: &Answer| answer.body["data"]["next_fire_at"].clone();
    let once = |at: &str| json!({"type": "one_shot", "fire_at": at});
    let (first, second) = ("2100-01-01T00:00:00Z", "2100-02-01T00:00:00Z");
    let body = json!({"ref": "core.once", "kind": "timer", "config": once(first)});
    let made = api.post("/api/v1/triggers", body).await.expect(201);
    assert_eq!(next(&made), first);
    let moved = api.patch("/api/v1/triggers/core.once", json!({"config": once(second)}));
    assert_eq!(next(&moved.await.expect(200)), second);
    let off = api.post("/api/v1/triggers/core.once/disable", json!({})).await;
    assert_eq!(next(&off.expect(200)), Value::Null);
    let on = api.post("/api/v1/triggers/core.once/enable", json!({})).await;
    assert_eq!(next(&on.expect(200)), second);

    let yearly = json!({"type": "cron", "expression": "@yearly"});
    let body = json!({"ref": "core.yearly", "kind": "timer", "config": yearly, "enabled": false});
    let made = api.post("/api/v1/triggers", body).await.expect(201);
    assert_eq!(next(&made), Value::Null, "it is disabled");
    let on = api.post("/api/v1/triggers/core.yearly/enable", json!({})).await;
    let next_at = next(&on.expect(200));
    assert!(
        next_at.as_str().is_some_and(|at| at.ends_with("-01-01T00:00:00Z")),
        "{next_at}"
    );
    api.close().await;
}

#[tokio::test]
async fn lists_come_in_pages() {
    let api = TestApi::new().await;
    let mut seen = Vec::new();
    let mut path = "/api/v1/triggers?kind=timer&limit=2".to_owned();
    loop {
        let page = api.get(&path).await.expect(200).body;
        assert_eq!(page["pagination"]["limit"], 2);
        seen.extend(
            page["data"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|item| item["ref"].clone()),
        );
        let Some(next) = page["pagination"]["next"].as_str() else {
            break;
        };
        path = format!("/api/v1/triggers?kind=timer&limit=2&cursor={next}");
    }
    assert_eq!(
        seen,
        [
            json!("core.timer_10s"),
            json!("core.timer_1m"),
            json!("core.timer_hourly")
        ]
    );
    let none = api.get("/api/v1/rules?trigger_ref=core.timer_10s").await.expect(200);
    assert_eq!(
        none.body,
        json!({"data": [], "pagination": {"next": null, "limit": 50}})
    );
    let runtimes = api.get("/api/v1/runtimes").await.expect(200);
    assert_eq!(runtimes.body["data"][3]["ref"], "core.shell");
    api.close().await;
}

#[tokio::test]
async fn a_preview_contains_local_times() {
    let api = TestApi::new().await;
    let config = json!({"type": "cron", "expression": "30 2 * * *", "timezone": "America/New_York"});
    let body = json!({"config": config, "after": "2026-03-07T04:00:00Z", "limit": 2});
    let answer = api.post("/api/v1/timers/preview", body).await.expect(200);
    let occurrences = &answer.body["data"]["occurrences"];
    assert_eq!(
        occurrences[0],
        json!({"scheduled_at": "2026-03-07T07:30:00Z", "local_time": "2026-03-07T02:30:00-05:00", "note": null})
    );
    assert_eq!(occurrences[1]["note"], "dst_gap");
    let of_trigger = api
        .get("/api/v1/triggers/core.timer_10s/occurrences?from=2026-03-07T04:00:01Z&limit=1")
        .await
        .expect(200);
    assert_eq!(
        of_trigger.body["data"]["occurrences"][0]["scheduled_at"],
        "2026-03-07T04:00:10Z"
    );
    let timers = api.get("/api/v1/timers").await.expect(200);
    assert_eq!(
        (&timers.body["data"][0]["trigger_ref"], &timers.body["data"][0]["gaps"]),
        (&json!("core.timer_10s"), &json!([]))
    );
    api.close().await;
}

#[tokio::test]
async fn changes_are_audited() {
    let api = TestApi::new().await;
    api.post("/api/v1/rules", hello()).await.expect(201);
    api.patch("/api/v1/rules/core.timer_echo_10s", json!({"label": "x"}))
        .await
        .expect(200);
    let rows = "select count(*) from audit where actor = 'admin' and object = 'rule core.timer_echo_10s' and request_id is not null
                and (verb, before_hash is null, after_hash is null) in (('create', true, false), ('update', false, false))";
    assert_eq!(api.database.count(rows).await, 2);
    api.close().await;
}

/// Disabling a pack affects its rules; a concurrent change of one of them waits, and neither fails.
#[tokio::test]
async fn concurrent_changes_are_serialized() {
    let api = TestApi::new().await;
    api.post("/api/v1/rules", hello()).await.expect(201);
    let calls = (0..40).map(|n| match n % 4 {
        0 => Call::new("POST", "/api/v1/packs/core/disable"),
        1 => Call::new("POST", "/api/v1/packs/core/enable"),
        2 => Call::new("PATCH", "/api/v1/rules/core.timer_echo_10s")
            .json(json!({"trigger": {"type": "interval", "seconds": 10 + n}})),
        _ => Call::new("PATCH", "/api/v1/rules/core.timer_echo_10s").json(json!({"trigger_ref": "core.timer_1m"})),
    });
    for answer in futures_util::future::join_all(calls.map(|call| api.send(call))).await {
        answer.expect(200);
    }
    api.close().await;
}
