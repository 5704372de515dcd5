//! Values are read, compared and incremented, and expire.

use crate::secrets::{put, start};
use serde_json::json;

#[tokio::test]
async fn values_are_compared_incremented_and_expire() {
    let api = start().await;
    let path = "/api/v1/values/github.cursor";
    let set = put(&api, path, json!({"value": {"page": 1}, "version": 0}))
        .await
        .expect(200);
    assert_eq!(
        (&set.body["data"]["version"], &set.body["data"]["value"]),
        (&json!(1), &json!({"page": 1}))
    );
    put(&api, path, json!({"value": 2, "version": 0})).await.expect(409);
    put(&api, path, json!({"value": 2, "version": 1})).await.expect(200);
    let conflict = put(&api, path, json!({"value": 3, "version": 1})).await.expect(409);
    assert!(
        conflict.body["detail"]
            .as_str()
            .is_some_and(|text| text.contains("has version 2, not 1"))
    );
    for _ in 0..3 {
        api.post(&format!("{path}/increment"), json!({"by": 20}))
            .await
            .expect(200);
    }
    let read = api.get(path).await.expect(200);
    assert_eq!(
        (&read.body["data"]["value"], &read.body["data"]["version"]),
        (&json!(62), &json!(5))
    );
    let counter = api
        .post("/api/v1/values/github.new/increment", json!({}))
        .await
        .expect(200);
    assert_eq!(counter.body["data"]["value"], 1);
    put(&api, path, json!({"value": "text"})).await.expect(200);
    api.post(&format!("{path}/increment"), json!({})).await.expect(409);
    put(&api, path, json!({"value": i64::MAX})).await.expect(200);
    api.post(&format!("{path}/increment"), json!({})).await.expect(409);
    let listed = api.get("/api/v1/values?prefix=github.c").await.expect(200);
    assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(1));

    put(&api, path, json!({"value": 1, "ttl_seconds": 60}))
        .await
        .expect(200);
    api.database
        .execute("update pack_value set expires_at = db_now() - interval '1 second' where ref = 'github.cursor'")
        .await;
    api.get(path).await.expect(404);
    put(&api, path, json!({"value": 1, "version": 0})).await.expect(200);
    api.delete(&format!("{path}?version=7")).await.expect(409);
    api.delete(path).await.expect(204);
    api.delete(path).await.expect(404);
    api.close().await;
}
