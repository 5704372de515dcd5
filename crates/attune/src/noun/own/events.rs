//! `fire`, `event send` and `webhook send`.

use super::super::{Call, read::path_of, write::warn};
use crate::{
    cmd::{input, session::Session},
    failure::Failure,
    noun::table::{EVENT, TRIGGER},
    view::{cell::plain, list, out, term::Format},
};
use attune_client::{Client, Settings};
use serde_json::{Value, json};
use uuid::Uuid;

pub async fn fire(session: &Session, call: &Call) -> anyhow::Result<()> {
    let payload = input::fields(&call.texts("field"), true)?;
    let body = if payload.is_empty() {
        json!({})
    } else {
        json!({"payload": payload})
    };
    let path = format!("{}/fire", path_of(&TRIGGER, &call.key()));
    create(session, &path, &body).await
}

pub async fn send(session: &Session, call: &Call) -> anyhow::Result<()> {
    let payload = input::fields(&call.texts("field"), true)?;
    let mut body = json!({"trigger_ref": call.key(), "payload": payload});
    if let Some(key) = call.text("dedup-key") {
        body["dedup_key"] = json!(key);
    }
    create(session, "/api/v1/events", &body).await
}

/// Creates an event, and prints its id.
async fn create(session: &Session, path: &str, body: &Value) -> anyhow::Result<()> {
    let request = session
        .client
        .post(path)
        .idempotency_key(Uuid::now_v7().to_string())
        .json(body)?;
    let answer = request.send().await?.json()?;
    warn(&answer);
    let event = &answer["data"];
    match session.view.format {
        Format::Table | Format::Name => out::line(&plain(if event["id"].is_null() {
            &event["event_id"]
        } else {
            &event["id"]
        })),
        _ => list::one(event, EVENT.shape(), &session.view),
    }
}

/// Sends a request to a webhook, like its sender. Signatures need the secret, which the server does not show.
pub async fn request(session: &Session, call: &Call) -> anyhow::Result<()> {
    let trigger: Value = session.client.get(&path_of(&TRIGGER, &call.key())).data().await?;
    let Some(url) = trigger["webhook_url"].as_str() else {
        return Err(Failure::usage(format!("{} has no address that you may see", call.key())).into());
    };
    let path = url.find("/api/v1/webhooks/").map(|at| &url[at..]);
    let path = path.ok_or_else(|| Failure::usage(format!("{url} is not the address of a webhook")))?;
    // Without the token: the sender has none.
    let sender = Client::new(Settings::new(session.client.url()))?;
    let body = Value::Object(input::fields(&call.texts("field"), true)?);
    let mut request = sender.post(path).json(&body)?;
    for header in call.texts("header") {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| Failure::usage(format!("--header {header:?}: write NAME:VALUE")))?;
        request = request.header(name.trim(), value.trim());
    }
    let answer = request.send().await?.json()?;
    match session.view.format {
        Format::Table | Format::Name => out::line(&plain(&answer["data"]["event_id"])),
        _ => out::json(&answer["data"]),
    }
}
