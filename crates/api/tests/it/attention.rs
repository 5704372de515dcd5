//! What needs attention.

use crate::test_api::TestApi;
use serde_json::{Value, json};

async fn items(api: &TestApi) -> Vec<Value> {
    let answer = api.get("/api/v1/attention").await.expect(200);
    answer.body["data"].as_array().expect("a list").clone()
}

fn of_kind<'a>(items: &'a [Value], kind: &str) -> Vec<&'a Value> {
    items.iter().filter(|item| item["kind"] == kind).collect()
}

#[tokio::test]
async fn nothing_needs_attention_while_all_services_report() {
    let api = TestApi::new().await;
    let missing = items(&api).await;
    assert_eq!(missing.len(), 3, "no service has reported: {missing:?}");
    assert_eq!(missing[0]["severity"], "bad");
    api.database
        .execute(
            "insert into service_instance (id, kind, host, pid, version, detail)
             select gen_random_uuid(), kind, 'vm', 1, '0', '{}' from unnest(array['sensor', 'executor', 'worker']) kind",
        )
        .await;
    assert_eq!(items(&api).await, Vec::<Value>::new());
    api.database
        .execute("update service_instance set heartbeat_at = db_now() - interval '30 seconds' where kind = 'sensor'")
        .await;
    let silent = items(&api).await;
    assert_eq!(silent.len(), 2, "{silent:?}");
    assert_eq!(
        of_kind(&silent, "service_missing")[0]["says"],
        "No sensor is running. Start a sensor."
    );
    assert!(of_kind(&silent, "service_silent")[0]["since"].is_string());
    api.close().await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one life of the objects")]
async fn timers_rules_webhooks_events_and_pools() {
    let api = TestApi::new().await;
    for (name, kind, config) in [
        ("core.tick", "timer", json!({"type": "interval", "seconds": 10})),
        ("core.hook", "webhook", json!({"verify": "none"})),
        ("core.bell", "custom", json!({})),
    ] {
        let body = json!({"ref": name, "kind": kind, "config": config});
        api.post("/api/v1/triggers", body).await.expect(201);
    }
    let event = api
        .post("/api/v1/events", json!({"trigger_ref": "core.bell", "payload": {}}))
        .await;
    let event = event.expect(201).body["data"]["id"].as_str().expect("an id").to_owned();
    api.database
        .execute(&format!(
            "insert into timer (trigger_id, config, generation, seen_version, enabled, error_count, last_error)
             select id, config, 1, 1, true, 1, 'the zone does not exist' from trigger where ref = 'core.tick'
             on conflict (trigger_id) do update set error_count = 1, last_error = 'the zone does not exist';
             insert into timer_gap (trigger_id, generation, from_at, to_at, missed, reason)
             select id, 1, db_now(), db_now(), 2, 'latest' from trigger where ref = 'core.tick'
             union all select id, 1, db_now(), db_now(), 9, 'edited' from trigger where ref = 'core.tick';
             update event_queue set quarantined_at = db_now(), tries = 5, last_error = 'template too large' where event_id = '{event}';
             insert into webhook_request (id, trigger_id, trigger_ref, method, verdict, reason, detail)
             select (left('{event}', 24) || lpad(n::text, 12, '0'))::uuid, id, ref, 'POST', 'rejected', 'missing', 'the header x-sig is missing'
             from trigger, generate_series(1, 5) n where ref = 'core.hook';
             insert into execution (id, event_id, rule_ref, action_ref, pool, parameters, status, scheduled_at, started_at, finished_at, trace_id)
             select (left('{event}', 24) || lpad(n::text, 12, '0'))::uuid, '{event}', 'core.fails', 'core.echo', 'default', '{{}}',
                    case when n = 1 then 'succeeded' else 'failed' end, db_now(), db_now(), db_now(), '{event}'
             from generate_series(1, 6) n"
        ))
        .await;
    let run = json!({"action_ref": "core.noop"});
    api.post("/api/v1/executions", run).await.expect(201);
    api.database.move_clock("1 minute").await;
    let items = items(&api).await;
    let texts = |kind: &str| {
        let of_kind = of_kind(&items, kind);
        of_kind
            .iter()
            .map(|item| item["says"].as_str().expect("a sentence").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        texts("timer_error"),
        ["core.tick does not fire: the zone does not exist"]
    );
    assert_eq!(texts("timer_missed"), ["core.tick missed 2 occurrences within a day."]);
    assert_eq!(
        texts("event_quarantined"),
        ["An event of core.bell is quarantined: template too large"]
    );
    assert_eq!(
        texts("rule_failing"),
        ["5 of the last 6 executions of core.fails failed."]
    );
    assert_eq!(
        texts("webhook_rejecting"),
        ["core.hook rejected 5 requests within an hour: the header x-sig is missing"]
    );
    assert_eq!(
        texts("pool_unserved"),
        ["1 execution is waiting: no worker serves the pool default."]
    );
    let fix = &of_kind(&items, "event_quarantined")[0]["fix"];
    let path = fix["path"].as_str().expect("a path");
    api.post(path, json!({})).await.expect(200);
    let severities: Vec<_> = items
        .iter()
        .map(|item| item["severity"].as_str().expect("a word"))
        .collect();
    assert!(severities.is_sorted(), "what is broken comes first: {severities:?}");
    api.close().await;
}
