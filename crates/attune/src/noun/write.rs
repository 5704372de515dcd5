//! `create`, `delete`, and requests without a body: `enable`, `cancel`, `replay` …

use super::{Call, read::path_of};
use crate::{
    cmd::{input, session::Session},
    failure::{Failure, code},
    view::{
        cell::{at, plain},
        list, out,
        term::Format,
    },
};
use anyhow::Context as _;
use attune_client::{Method, Reply};
use serde_json::{Map, Value, json};
use std::{
    io::{IsTerminal as _, Write as _, stdin},
    path::Path,
};
use uuid::Uuid;

/// The object of `-f`, the fields and the key, in this order.
pub fn object(call: &Call) -> anyhow::Result<Map<String, Value>> {
    let mut object = match call.text("file") {
        Some(file) => match input::file_of(Path::new(file))? {
            Value::Object(object) => object,
            _ => return Err(Failure::usage(format!("{file} must contain an object")).into()),
        },
        None => Map::new(),
    };
    object.remove("noun");
    let mut words = call.texts("field");
    let mut key = call.key();
    // `create -f new.yaml label=x`: the first word is a field.
    if key.contains('=') || key.starts_with('@') || key == "-" {
        words.insert(0, std::mem::take(&mut key));
    }
    object.extend(input::fields(&words, true)?);
    if !key.is_empty() {
        object.insert("ref".to_owned(), json!(key));
    }
    Ok(object)
}

pub async fn create(session: &Session, call: &Call) -> anyhow::Result<()> {
    let mut object = object(call)?;
    if call.named.name == "webhook" {
        object.entry("kind").or_insert_with(|| json!("webhook"));
    }
    send_new(session, call, &Value::Object(object)).await
}

pub async fn send_new(session: &Session, call: &Call, object: &Value) -> anyhow::Result<()> {
    let noun = call.noun();
    let request = session.client.post(noun.path).json(object)?;
    let name = plain(at(object, "ref"));
    let reply = request.send().await;
    let reply = reply.with_context(|| format!("the {} {name} was not created", call.named.name))?;
    written(session, call, &reply, "created")
}

/// Prints the object that a write returned, and its warnings.
pub fn written(session: &Session, call: &Call, reply: &Reply, done: &str) -> anyhow::Result<()> {
    let mut answer = reply.json()?;
    warn(&answer);
    let object = answer["data"].take();
    let noun = call.noun();
    match session.view.format {
        Format::Table => {
            let key = match at(&object, noun.key) {
                Value::Null => call.key(),
                key => plain(key),
            };
            eprintln!("{done} {key}");
            match object["webhook_url"]
                .as_str()
                .filter(|_| noun.name == "webhook" && done == "created")
            {
                Some(url) => out::line(url),
                None => Ok(()),
            }
        }
        _ => list::one(&object, noun.shape(), &session.view),
    }
}

pub fn warn(answer: &Value) {
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        let text = warning.as_str().map_or_else(
            || format!("{} {}", plain(&warning["path"]), plain(&warning["message"])),
            str::to_owned,
        );
        eprintln!("warning: {text}");
    }
}

pub async fn post(session: &Session, call: &Call, suffix: &str, done: &str) -> anyhow::Result<()> {
    for key in call.texts("key") {
        let path = format!("{}/{suffix}", path_of(call.noun(), &key));
        let mut request = session.client.post(&path);
        match suffix {
            "redeliver" => request = request.idempotency_key(Uuid::now_v7().to_string()),
            "rotate-key" => request = request.json(&json!({}))?,
            _ => {}
        }
        let reply = request.send().await?;
        let answer = reply.json()?;
        warn(&answer);
        match session.view.format {
            Format::Table => {
                eprintln!("{done} {key}");
                if let Some(url) = answer["data"]["webhook_url"]
                    .as_str()
                    .filter(|_| suffix == "rotate-key")
                {
                    out::line(url)?;
                }
            }
            _ => list::one(&answer["data"], call.noun().shape(), &session.view)?,
        }
    }
    Ok(())
}

pub async fn delete(session: &Session, call: &Call) -> anyhow::Result<()> {
    let keys = call.texts("key");
    confirm(call, &format!("delete the {} {}", call.named.name, keys.join(", ")))?;
    for key in keys {
        let mut request = session.client.request(Method::DELETE, &path_of(call.noun(), &key));
        if let Some(version) = call.text("if-version") {
            request = request.header("if-match", version);
        }
        request.send().await.with_context(|| format!("{key} was not deleted"))?;
        eprintln!("deleted {key}");
    }
    Ok(())
}

/// Prompts on a terminal. Elsewhere, `--yes` is required.
pub fn confirm(call: &Call, what: &str) -> anyhow::Result<()> {
    if call.flag("yes") {
        return Ok(());
    }
    if !stdin().is_terminal() {
        return Err(Failure::usage(format!("not a terminal: confirm with --yes to {what}")).into());
    }
    eprint!("{what}? [y/N] ");
    std::io::stderr().flush().ok();
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(code::NO, "nothing was changed").into())
}
