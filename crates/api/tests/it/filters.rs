//! Filters: several values, times and offsets. A typo is refused instead of returning an empty list.

use crate::{lists::ended, test_api::TestApi};
use attune_common::clock;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

async fn data(api: &TestApi, path: &str) -> Vec<Value> {
    let answer = api.get(path).await.expect(200);
    answer.body["data"].as_array().expect("a list").clone()
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn a_filter_takes_several_values() {
    let api = TestApi::new().await;
    for (n, status) in ["failed", "lost", "succeeded", "timed_out"].into_iter().enumerate() {
        ended(&api, u8::try_from(n).expect("few"), status, 1).await;
    }
    let statuses = async |query: &str| {
        let rows = data(&api, &format!("/api/v1/executions?{query}")).await;
        let mut found: Vec<_> = rows
            .iter()
            .map(|row| row["status"].as_str().expect("a status").to_owned())
            .collect();
        found.sort_unstable();
        found.join(" ")
    };
    assert_eq!(statuses("status=failed").await, "failed");
    assert_eq!(statuses("status=failed,lost").await, "failed lost");
    assert_eq!(
        statuses("status=failed,lost,timed_out&action_ref=core.sleep,core.echo").await,
        "failed lost timed_out"
    );
    assert_eq!(statuses("status=failed%2Clost").await, "failed lost");
    assert_eq!(statuses("action_ref=core.sleep,core.noop").await, "");
    let refused = api.get("/api/v1/executions?status=failed,broken").await.expect(422);
    assert_eq!(refused.fields(), ["status"]);

    api.post("/api/v1/triggers", json!({"ref": "core.doorbell", "kind": "custom"}))
        .await
        .expect(201);
    for trigger in ["doorbell", "timer_1m", "timer_10s"] {
        api.post(&format!("/api/v1/triggers/core.{trigger}/fire"), json!({}))
            .await
            .expect(201);
    }
    api.post("/api/v1/events", json!({"trigger_ref": "core.doorbell"}))
        .await
        .expect(201);
    let count = async |path: &str| data(&api, path).await.len();
    assert_eq!(count("/api/v1/events?trigger_ref=core.doorbell,core.timer_1m").await, 3);
    assert_eq!(count("/api/v1/events?source=api,webhook").await, 1);
    assert_eq!(
        count("/api/v1/events?source=api,manual&status=pending,quarantined").await,
        4
    );
    assert_eq!(count("/api/v1/events?status=decided,quarantined").await, 0);
    api.database
        .execute("delete from event_queue where event_id = (select id from event where source = 'api'); \
                  update event_queue set quarantined_at = db_now() where event_id = (select id from event where trigger_ref = 'core.timer_1m')")
        .await;
    for (status, expected) in [
        ("pending", 2),
        ("decided", 1),
        ("quarantined", 1),
        ("pending,decided", 3),
        ("pending,quarantined", 3),
        ("decided,quarantined", 2),
        ("decided,pending,quarantined", 4),
    ] {
        assert_eq!(
            count(&format!("/api/v1/events?status={status}")).await,
            expected,
            "{status}"
        );
    }
    for (rule, action) in [
        ("core.a", "core.echo"),
        ("core.b", "core.noop"),
        ("core.c", "core.sleep"),
    ] {
        let body = json!({"ref": rule, "trigger_ref": "core.timer_10s", "action_ref": action});
        api.post("/api/v1/rules", body).await.expect(201);
    }
    assert_eq!(count("/api/v1/rules?action_ref=core.echo,core.noop").await, 2);
    assert_eq!(
        count("/api/v1/rules?trigger_ref=core.timer_10s,core.timer_1m&pack_ref=core").await,
        3
    );
    assert_eq!(count("/api/v1/triggers?kind=custom,webhook").await, 1);
    assert_eq!(count("/api/v1/audit?verb=create,fire&limit=200").await, 7);
    assert_eq!(
        count("/api/v1/enforcements?rule_ref=core.a,core.b&status=created,failed").await,
        0
    );
    assert_eq!(
        count("/api/v1/webhook-requests?trigger_ref=core.doorbell&verdict=accepted,duplicate").await,
        0
    );
    api.close().await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn an_unknown_reference_in_a_filter_is_refused() {
    let api = TestApi::new().await;
    let rule = json!({"ref": "core.hello", "trigger_ref": "core.timer_10s", "action_ref": "core.echo"});
    api.post("/api/v1/rules", rule).await.expect(201);
    for (path, field, meant) in [
        (
            "executions?action_ref=core.ehco",
            "action_ref",
            "did you mean core.echo?",
        ),
        (
            "executions?action_ref=core.echo,core.ehco",
            "action_ref",
            "did you mean core.echo?",
        ),
        ("executions?action_ref=echo", "action_ref", "did you mean core.echo?"),
        (
            "executions?action_ref=Core.Echo",
            "action_ref",
            "did you mean core.echo?",
        ),
        ("executions?rule_ref=core.helo", "rule_ref", "did you mean core.hello?"),
        (
            "executions?rule_ref=core.nothing_like_it",
            "rule_ref",
            "GET /api/v1/rules lists them",
        ),
        (
            "enforcements?rule_ref=core.helo",
            "rule_ref",
            "did you mean core.hello?",
        ),
        (
            "events?trigger_ref=core.timer10s",
            "trigger_ref",
            "did you mean core.timer_10s?",
        ),
        (
            "events?trigger_ref=core",
            "trigger_ref",
            "GET /api/v1/triggers lists them",
        ),
        (
            "webhook-requests?trigger_ref=core.timer10s",
            "trigger_ref",
            "did you mean core.timer_10s?",
        ),
        (
            "rules?trigger_ref=core.timer10s",
            "trigger_ref",
            "did you mean core.timer_10s?",
        ),
        ("rules?action_ref=core.ehco", "action_ref", "did you mean core.echo?"),
        ("rules?pack_ref=cor", "pack_ref", "did you mean core?"),
        ("actions?pack_ref=cor", "pack_ref", "did you mean core?"),
        ("triggers?pack_ref=core,cor", "pack_ref", "did you mean core?"),
        ("stream?rule_ref=core.helo", "rule_ref", "did you mean core.hello?"),
    ] {
        let refused = api.get(&format!("/api/v1/{path}")).await.expect(422);
        assert_eq!(refused.fields(), [field], "{path}");
        let message = refused.body["errors"][0]["message"].as_str().unwrap_or_default();
        assert!(message.contains(meant), "{path}: {message}");
    }
    // A definition without history yields an empty list; a deleted one can still be used as a filter.
    assert!(data(&api, "/api/v1/executions?rule_ref=core.hello").await.is_empty());
    api.delete("/api/v1/rules/core.hello").await.expect(204);
    assert!(data(&api, "/api/v1/executions?rule_ref=core.hello").await.is_empty());
    ended(&api, 1, "succeeded", 1).await;
    api.database
        .execute("update execution set action_ref = 'gone.action', rule_ref = 'gone.rule'")
        .await;
    assert_eq!(
        data(&api, "/api/v1/executions?action_ref=gone.action&rule_ref=gone.rule")
            .await
            .len(),
        1
    );
    assert!(
        data(&api, "/api/v1/executions?action_ref=gone.action&status=failed")
            .await
            .is_empty()
    );
    api.post("/api/v1/packs", json!({"ref": "mine"})).await.expect(201);
    api.post("/api/v1/triggers", json!({"ref": "mine.bell", "kind": "custom"}))
        .await
        .expect(201);
    api.delete("/api/v1/packs/mine?cascade=true").await.expect(204);
    assert!(data(&api, "/api/v1/events?trigger_ref=mine.bell").await.is_empty());
    api.close().await;
}

#[tokio::test]
async fn times_as_people_write_them() {
    let api = TestApi::new().await;
    api.post("/api/v1/triggers", json!({"ref": "core.doorbell", "kind": "custom"}))
        .await
        .expect(201);
    api.post("/api/v1/events", json!({"trigger_ref": "core.doorbell"}))
        .await
        .expect(201);
    let now = clock::now();
    let count = async |path: &str| data(&api, path).await.len();
    let tomorrow = (now + TimeDelta::days(1)).format("%Y-%m-%d");
    let local = |at: DateTime<Utc>| (at + TimeDelta::hours(2)).format("%Y-%m-%dT%H:%M:%S");
    let (hour_ago, soon) = (now - TimeDelta::hours(1), now + TimeDelta::hours(1));
    for (query, expected) in [
        ("since=1h".to_owned(), 1),
        ("since=-24h".to_owned(), 1),
        ("since=2026-11-30".to_owned(), 1),
        (format!("since={tomorrow}"), 0),
        (format!("until={tomorrow}"), 1),
        ("until=1h".to_owned(), 0),
        ("since=7d&until=now".to_owned(), 1),
        (format!("since={}+02:00", local(hour_ago)), 1),
        (format!("since={}%2B02:00", local(hour_ago)), 1),
        (format!("since={}+02:00", local(soon)), 0),
        (format!("since={}+0200", local(hour_ago)), 1),
    ] {
        assert_eq!(count(&format!("/api/v1/events?{query}")).await, expected, "{query}");
    }
    for path in ["executions", "enforcements", "webhook-requests", "audit"] {
        data(
            &api,
            &format!("/api/v1/{path}?since=1h&until=2030-01-01T00:00:00+02:00"),
        )
        .await;
        let refused = api
            .get(&format!("/api/v1/{path}?since=yesterday&until=2026-11-30T10:00:00"))
            .await
            .expect(422);
        assert_eq!(refused.fields(), ["since", "until"], "{path}");
    }
    api.close().await;
}

/// `from` is inclusive, `to` and `after` are exclusive.
#[tokio::test]
async fn a_day_excludes_the_first_instant_of_the_next() {
    let api = TestApi::new().await;
    let daily = json!({"ref": "core.daily", "kind": "timer",
                       "config": {"type": "cron", "expression": "@daily", "timezone": "Europe/Berlin"}});
    api.post("/api/v1/triggers", daily).await.expect(201);
    let path = "/api/v1/triggers/core.daily/occurrences";
    let check = async |query: &str, expected: &[&str]| {
        let answer = api.get(&format!("{path}?{query}")).await.expect(200);
        let found = answer.body["data"]["occurrences"].as_array().expect("a list");
        let found: Vec<_> = found
            .iter()
            .map(|one| one["scheduled_at"].as_str().expect("a time"))
            .collect();
        assert_eq!(found, expected, "{query}");
    };
    let (first, second, third) = ("2036-12-01T23:00:00Z", "2036-12-02T23:00:00Z", "2036-12-03T23:00:00Z");
    check(&format!("from={first}&to={second}"), &[first]).await;
    check(&format!("from={first}&to={third}"), &[first, second]).await;
    check(&format!("after={first}&to={third}"), &[second]).await;
    check("from=2036-12-01T23:00:00.000001Z&to=2036-12-02T23:00:00Z", &[]).await;
    check(
        "from=2036-12-02T00:00:00 01:00&to=2036-12-03T00:00:00%2B01:00"
            .replace(' ', "+")
            .as_str(),
        &[first],
    )
    .await;
    check(&format!("after={first}&limit=1"), &[second]).await;
    check(&format!("from={first}&to={first}"), &[]).await;
    let both = api.get(&format!("{path}?from={first}&after={first}")).await.expect(422);
    assert_eq!(both.fields(), ["after"]);
    let answer = api.get(&format!("{path}?from=1h&to=49h")).await.expect(200);
    assert_eq!(answer.body["data"]["occurrences"].as_array().expect("a list").len(), 2);
    api.close().await;
}
