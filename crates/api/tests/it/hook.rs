//! A test API with a webhook trigger, and requests of its senders.

use crate::test_api::{Answer, Call, TestApi};
use attune_common::testing::eventually;
use serde_json::{Value, json};
use std::time::Duration;

pub struct Hook {
    pub api: TestApi,
    pub reference: String,
    pub path: String,
}

impl Hook {
    pub async fn new(config: Value) -> Self {
        let mut api = TestApi::new().await;
        api.configured(|config| {
            config.security.encryption_key = Some("3b1f0c7d9e2a48566f7a8b9c0d1e2f30415263748596a7b8".into());
        });
        let made = api
            .post(
                "/api/v1/triggers",
                json!({"ref": "core.hook", "kind": "webhook", "config": config}),
            )
            .await
            .expect(201);
        let url = made.body["data"]["webhook_url"].as_str().expect("an address");
        let path = url.trim_start_matches("https://attune.example.org").to_owned();
        Self {
            api,
            reference: "core.hook".to_owned(),
            path,
        }
    }

    /// A request without any token.
    pub fn call(&self, body: &str) -> Call {
        Call::new("POST", &self.path)
            .token(None)
            .header("content-type", "application/json")
            .raw(body)
    }

    pub async fn send(&self, call: Call) -> Answer {
        self.api.send(call).await
    }

    pub async fn event(&self, answer: &Answer) -> Value {
        let id = answer.body["data"]["event_id"].as_str().expect("an event");
        self.api.get(&format!("/api/v1/events/{id}")).await.expect(200).body["data"].clone()
    }

    pub async fn events(&self) -> i64 {
        self.api
            .database
            .count("select count(*) from event where source = 'webhook'")
            .await
    }

    /// Waits until requests are refused: a change by SQL takes effect within a second.
    pub async fn until_refused(&self, kind: &str) {
        let poll = async || (self.send(self.call("{}")).await.kind() == kind).then_some(());
        eventually(&format!("it is refused as {kind}"), Duration::from_secs(10), poll).await;
    }

    pub async fn change(&self, config: Value) -> Answer {
        let path = format!("/api/v1/triggers/{}", self.reference);
        self.api.patch(&path, json!({"config": config})).await
    }
}

/// The inbox, once it contains this many requests: it is written in the background.
pub async fn inbox(hook: &Hook, query: &str, count: usize) -> Vec<Value> {
    let path = format!("/api/v1/webhook-requests?trigger_ref=core.hook{query}");
    let poll = async || {
        let found = hook.api.get(&path).await.expect(200).body["data"].clone();
        found.as_array().filter(|found| found.len() >= count).cloned()
    };
    let found = eventually("the inbox contains the requests", Duration::from_secs(10), poll).await;
    assert_eq!(found.len(), count, "{found:#?}");
    found
}
