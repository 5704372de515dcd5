//! Keys of webhook addresses at rest: hashed for the lookup, encrypted for display.

use crate::{hook::Hook, test_api::Call};
use attune_api::seal_webhook_keys;
use attune_common::seal::Sealer;
use attune_domain::identity::Role;
use serde_json::{Value, json};

/// Rows whose text holds the key.
async fn rows_with(hook: &Hook, key: &str) -> i64 {
    hook.api
        .database
        .count(&format!(
            "select count(*) from trigger t where to_jsonb(t)::text like '%{key}%'"
        ))
        .await
}

async fn address(hook: &Hook, reference: &str) -> Value {
    let path = format!("/api/v1/triggers/{reference}");
    hook.api.get(&path).await.expect(200).body["data"]["webhook_url"].clone()
}

#[tokio::test]
async fn a_key_is_never_stored_in_the_clear() {
    let hook = Hook::new(json!({"verify": "none"})).await;
    let key = hook.path.rsplit('/').next().expect("a key").to_owned();
    assert_eq!(rows_with(&hook, &key).await, 0);
    assert!(
        address(&hook, "core.hook")
            .await
            .as_str()
            .expect("shown")
            .ends_with(&key)
    );
    hook.send(hook.call("{}")).await.expect(202);

    let rotated = hook
        .api
        .post("/api/v1/triggers/core.hook/rotate-key", json!({}))
        .await
        .expect(200);
    let url = rotated.body["data"]["webhook_url"]
        .as_str()
        .expect("an address")
        .to_owned();
    let new_key = url.rsplit('/').next().expect("a key");
    assert_eq!((rows_with(&hook, &key).await, rows_with(&hook, new_key).await), (0, 0));
    assert_eq!(address(&hook, "core.hook").await, json!(url));
    // The previous address still works.
    hook.send(hook.call("{}")).await.expect(202);
    let viewer = Call::new("GET", "/api/v1/triggers/core.hook").token(Some(hook.api.token(Role::Viewer)));
    assert_eq!(
        hook.api.send(viewer).await.expect(200).body["data"]["webhook_url"],
        Value::Null
    );
    hook.api.close().await;
}

#[tokio::test]
async fn a_key_that_sql_wrote_works_at_once_and_is_encrypted_later() {
    let hook = Hook::new(json!({"verify": "none"})).await;
    let database = &hook.api.database;
    database
        .execute(
            "insert into trigger (ref, pack_id, label, kind, config, webhook_key)
             select 'core.by_sql', id, 'By SQL', 'webhook', '{\"verify\": \"none\"}', 'a-key-that-sql-wrote' from pack where ref = 'core'",
        )
        .await;
    let call = || {
        Call::new("POST", "/api/v1/webhooks/a-key-that-sql-wrote")
            .token(None)
            .header("content-type", "application/json")
            .raw("{}")
    };
    hook.send(call()).await.expect(202);
    let before = database
        .count("select version from trigger where ref = 'core.by_sql'")
        .await;

    let sealer = Sealer::new(&hook.api.context.config.security);
    assert_eq!(seal_webhook_keys(&database.pool, &sealer).await.expect("encrypted"), 1);
    assert_eq!(rows_with(&hook, "a-key-that-sql-wrote").await, 0);
    assert_eq!(
        database
            .count("select version from trigger where ref = 'core.by_sql'")
            .await,
        before
    );
    hook.send(call()).await.expect(202);
    let url = address(&hook, "core.by_sql").await;
    assert!(url.as_str().expect("shown").ends_with("/a-key-that-sql-wrote"), "{url}");
    assert_eq!(
        seal_webhook_keys(&database.pool, &sealer).await.expect("nothing to do"),
        0
    );
    hook.api.close().await;
}

/// The address works by its hash even when the encryption key is gone; it can only not be shown.
#[tokio::test]
async fn another_encryption_key_hides_the_address_with_a_reason() {
    let mut hook = Hook::new(json!({"verify": "none"})).await;
    hook.api.configured(|config| {
        config.security.encryption_key = Some("9d8c7b6a594837261504f3e2d1c0b9a88796a5b4c3d2e1f0".into());
    });
    hook.send(hook.call("{}")).await.expect(202);
    let shown = hook.api.get("/api/v1/triggers/core.hook").await.expect(200).body["data"].clone();
    assert_eq!(shown["webhook_url"], Value::Null);
    let error = shown["last_error"].as_str().expect("it says why");
    assert!(error.contains("rotate-key"), "{error}");
    hook.api.close().await;
}
