//! All timers in one list, and a pretended outage.

use crate::test_api::TestApi;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

async fn timer(api: &TestApi, name: &str, config: Value) {
    let body = json!({"ref": name, "kind": "timer", "config": config});
    api.post("/api/v1/triggers", body).await.expect(201);
}

/// An API with one pack of timers.
async fn with_timers() -> TestApi {
    let api = TestApi::new().await;
    api.post("/api/v1/packs", json!({"ref": "acme"})).await.expect(201);
    let berlin = json!({"type": "cron", "expression": "30 2 * * *", "timezone": "Europe/Berlin"});
    timer(&api, "acme.nightly", berlin).await;
    timer(&api, "acme.often", json!({"type": "interval", "seconds": 10})).await;
    api
}

async fn calendar(api: &TestApi, query: &str) -> Value {
    let path = format!("/api/v1/timers/occurrences?pack_ref=acme&{query}");
    api.get(&path).await.expect(200).body["data"].clone()
}

fn refs(occurrences: &Value) -> Vec<&str> {
    let all = occurrences.as_array().expect("a list").iter();
    all.map(|one| one["trigger_ref"].as_str().expect("a ref")).collect()
}

#[tokio::test]
async fn days_are_half_open_and_dense_timers_are_counted() {
    let api = with_timers().await;
    timer(
        &api,
        "acme.daily",
        json!({"type": "cron", "expression": "@daily", "timezone": "Europe/Berlin"}),
    )
    .await;
    // Midnight in Berlin, on the day on which the clocks go forward.
    let day = calendar(&api, "from=2027-03-27T23:00:00Z&to=2027-03-28T22:00:00Z").await;
    let shown = &day["occurrences"];
    assert_eq!(refs(shown), ["acme.daily", "acme.nightly"], "{day}");
    assert_eq!(
        (&shown[0]["scheduled_at"], &shown[0]["status"], &shown[0]["count"]),
        (&json!("2027-03-27T23:00:00Z"), &json!("due"), &json!(1))
    );
    assert_eq!(
        (&shown[1]["local_time"], &shown[1]["note"]),
        (&json!("2027-03-28T03:00:00+02:00"), &json!("dst_gap"))
    );
    assert_eq!(day["outage"], Value::Null);
    let dense = &day["dense"][0];
    assert_eq!(
        (&dense["trigger_ref"], &dense["count"]),
        (&json!("acme.often"), &json!(23 * 360))
    );
    let time = |name: &str| {
        dense[name]
            .as_str()
            .expect("a time")
            .parse::<DateTime<Utc>>()
            .expect("a time")
    };
    assert_eq!(time("second") - time("first"), TimeDelta::seconds(10));
    let all = calendar(&api, "from=2027-03-27T23:00:00Z&to=2027-03-27T23:01:00Z&max_each=500").await;
    assert_eq!(all["occurrences"].as_array().map(Vec::len), Some(7), "{all}");

    api.post("/api/v1/triggers/acme.often/disable", json!({}))
        .await
        .expect(200);
    let quiet = calendar(&api, "from=2027-03-27T23:00:00Z&to=2027-03-27T23:01:00Z&max_each=500").await;
    assert_eq!(
        refs(&quiet["occurrences"]),
        ["acme.daily"],
        "a disabled timer is not due"
    );
    api.close().await;
}

#[tokio::test]
async fn an_outage_is_judged_by_the_policy_of_each_timer() {
    let api = with_timers().await;
    let hourly = |misfire: &str| json!({"type": "cron", "expression": "0 * * * *", "misfire": misfire, "catchup_window_seconds": 86_400});
    timer(&api, "acme.latest", hourly("latest")).await;
    timer(&api, "acme.all", hourly("catch_up")).await;
    timer(&api, "acme.none", hourly("skip")).await;
    let query = "from=2027-01-10T00:00:00Z&to=2027-01-10T06:00:00Z&down=2027-01-10T00:30:00Z..2027-01-10T04:30:00Z";
    let shown = calendar(&api, query).await;
    let fates = |name: &str| {
        let all = shown["occurrences"].as_array().expect("a list").iter();
        let own = all.filter(|one| one["trigger_ref"] == name);
        own.map(|one| match one["fate"]["what"].as_str() {
            Some(what) => format!("{what} {}", one["fate"]["reason"].as_str().unwrap_or("-")),
            None => "as planned".to_owned(),
        })
        .collect::<Vec<_>>()
    };
    let (late, planned) = ("fires_late -", "as planned");
    assert_eq!(fates("acme.all"), [planned, late, late, late, late, planned]);
    let replaced = "missed latest";
    assert_eq!(
        fates("acme.latest"),
        [planned, replaced, replaced, replaced, late, planned]
    );
    assert_eq!(fates("acme.none")[1..5], ["missed skip"; 4]);
    // 02:30 in Berlin is 01:30 UTC.
    assert_eq!(fates("acme.nightly"), [late]);
    let often = &shown["dense"][0]["outage"];
    assert_eq!(
        shown["outage"]["late"].as_u64(),
        often["late"].as_u64().map(|own| own + 4 + 1 + 1),
        "{shown}"
    );
    let missed = often["missed"].as_u64().map(|own| own + 3 + 4);
    assert_eq!(shown["outage"]["missed"].as_u64(), missed, "{shown}");
    api.close().await;
}

#[tokio::test]
async fn the_past_is_what_happened() {
    let api = with_timers().await;
    let fired = |late: i64| {
        format!(
            "insert into event (id, trigger_id, trigger_ref, source, payload, scheduled_at, received_at, trace_id)
             select id, t, 'acme.nightly', 'timer', '{{}}', at, at + interval '{late} seconds', id from (
                 select (select t.id from trigger t where ref = 'acme.nightly') as t, at,
                        (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '70008000000000000{late:03}')::uuid as id
                 from (select date_trunc('hour', db_now()) - interval '1 hour' - interval '{late} minutes' as at) a) b"
        )
    };
    for late in [0, 40] {
        api.database.execute(&fired(late)).await;
    }
    api.database
        .execute(
            "insert into timer_gap (trigger_id, generation, from_at, to_at, missed, reason)
             select id, 1, db_now() - interval '50 minutes', db_now() - interval '40 minutes', 3, 'latest' from trigger where ref = 'acme.nightly'",
        )
        .await;
    let shown = calendar(&api, "from=-4h&to=now&trigger_ref=acme.nightly").await;
    let shown = shown["occurrences"].as_array().expect("a list");
    let statuses: Vec<_> = shown
        .iter()
        .map(|one| one["status"].as_str().expect("a status"))
        .collect();
    assert_eq!(statuses, ["late", "fired", "missed"], "{shown:?}");
    assert_eq!(shown[0]["late_ms"], 40_000);
    assert!(shown[1]["event_id"].is_string());
    assert_eq!((&shown[2]["count"], &shown[2]["reason"]), (&json!(3), &json!("latest")));
    assert!(shown[2]["until"].is_string());
    api.close().await;
}

#[tokio::test]
async fn wrong_spans_are_refused() {
    let api = TestApi::new().await;
    let refused = async |query: &str, field: &str| {
        let answer = api
            .get(&format!("/api/v1/timers/occurrences?{query}"))
            .await
            .expect(422);
        assert_eq!(answer.fields(), [field], "{query}");
    };
    refused("from=2027-01-02&to=2027-01-01", "to").await;
    refused("from=2027-01-01&to=2027-06-01", "to").await;
    refused("down=2027-01-01", "down").await;
    refused("down=2027-01-02..2027-01-01", "down").await;
    refused("down=soon..later", "down").await;
    refused("max_each=0", "max_each").await;
    refused("trigger_ref=core.no_such_timer", "trigger_ref").await;
    api.get("/api/v1/timers/occurrences").await.expect(200);
    api.close().await;
}
