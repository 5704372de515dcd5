//! `action schema`, `webhook rotate-secret`, `queue discard` and `pool list`.

use super::super::{
    Call,
    read::{path_of, print_rows},
    write::confirm,
};
use crate::{
    cmd::session::Session,
    noun::table::Noun,
    view::{
        cell::{plain, text},
        list::{self, Shape},
        out,
        term::Format,
    },
};
use attune_client::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SHAPE: Shape = Shape {
    key: "name",
    columns: &[
        text("NAME", "name"),
        text("TYPE", "type"),
        text("REQUIRED", "required"),
        text("DEFAULT", "default"),
        text("DESCRIPTION", "description"),
    ],
    wide: &[],
};

/// The parameters of an action as a table.
pub async fn schema(session: &Session, call: &Call) -> anyhow::Result<()> {
    let action: Value = session.client.get(&path_of(call.noun(), &call.key())).data().await?;
    let schema = &action["parameters_schema"];
    if matches!(session.view.format, Format::Json | Format::Yaml | Format::Jsonl) {
        return list::one(schema, call.noun().shape(), &session.view);
    }
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let rows: Vec<Value> = properties
        .map(|(name, property)| {
            let needed = required.iter().any(|required| required == name);
            let kind = if property["enum"].is_array() {
                &property["enum"]
            } else {
                &property["type"]
            };
            json!({"name": name, "type": kind, "required": if needed { "yes" } else { "no" },
                   "default": property["default"], "description": property["description"]})
        })
        .collect();
    print_rows(session, &json!(rows), SHAPE)
}

/// The secret is shown only on request.
pub async fn rotate_secret(session: &Session, call: &Call) -> anyhow::Result<()> {
    let path = format!("{}/rotate-secret", path_of(call.noun(), &call.key()));
    let rotated: Value = session.client.post(&path).json(&json!({}))?.data().await?;
    eprintln!(
        "the previous secret is valid until {}",
        plain(&rotated["previous_expires_at"])
    );
    match session.view.format {
        Format::Json | Format::Jsonl | Format::Yaml => list::one(&rotated, call.noun().shape(), &session.view),
        _ if call.flag("show") => out::line(&plain(&rotated["secret"])),
        _ => {
            eprintln!("the new secret is not shown; use --show or -o json");
            Ok(())
        }
    }
}

pub async fn discard(session: &Session, call: &Call) -> anyhow::Result<()> {
    let keys = call.texts("key");
    confirm(call, &format!("discard {}", keys.join(", ")))?;
    for key in keys {
        session
            .client
            .request(Method::DELETE, &path_of(call.noun(), &key))
            .send()
            .await?;
        eprintln!("discarded {key}");
    }
    Ok(())
}

/// The pools that workers serve or actions name.
pub async fn pools(session: &Session) -> anyhow::Result<()> {
    const POOL: &Noun = &crate::noun::table::POOL;
    print_rows(session, &json!(pool_rows(session).await?), POOL.shape())
}

pub async fn pool_rows(session: &Session) -> anyhow::Result<Vec<Value>> {
    let mut pools: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let workers: Vec<Value> = session.client.get("/api/v1/workers").data().await?;
    for worker in workers.iter().filter(|worker| worker["alive"] == true) {
        if let Some(pool) = worker["detail"]["worker"]["pool"]
            .as_str()
            .or(worker["detail"]["pool"].as_str())
        {
            pools.entry(pool.to_owned()).or_default().0 += 1;
        }
    }
    let mut pages = session
        .client
        .pages("/api/v1/actions", &[("limit".to_owned(), "200".to_owned())]);
    while let Some(actions) = pages.next().await? {
        for action in actions.iter().filter(|action| action["enabled"] == true) {
            pools.entry(plain(&action["pool"])).or_default().1 += 1;
        }
    }
    let row = |(pool, (workers, actions))| json!({"pool": pool, "workers": workers, "actions": actions});
    Ok(pools.into_iter().map(row).collect())
}
