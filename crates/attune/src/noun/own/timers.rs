//! `attune timer create` and `attune timer next`.

use super::super::{
    Call,
    read::{path_of, print_rows},
    write::{object, send_new},
};
use crate::{
    cmd::session::Session,
    failure::Failure,
    noun::table::TRIGGER,
    view::{
        cell::{text, time},
        list::Shape,
        moment::{self, Zone},
    },
};
use serde_json::{Map, Value, json};

/// The configuration of a schedule, from `--every`, `--cron` or `--at`.
pub fn schedule(
    every: Option<&str>,
    cron: Option<&str>,
    at: Option<&str>,
) -> anyhow::Result<Option<Map<String, Value>>> {
    let config = match (every, cron, at) {
        (Some(every), None, None) => {
            let span = moment::span(every).map_err(|error| Failure::usage(format!("--every {every}: {error}")))?;
            json!({"type": "interval", "seconds": span.as_secs()})
        }
        (None, Some(cron), None) => json!({"type": "cron", "expression": cron}),
        (None, None, Some(at)) => json!({"type": "one_shot", "fire_at": at}),
        (None, None, None) => return Ok(None),
        _ => return Err(Failure::usage("give only one of --every, --cron and --at").into()),
    };
    Ok(config.as_object().cloned())
}

pub async fn create(session: &Session, call: &Call) -> anyhow::Result<()> {
    let mut timer = object(call)?;
    timer.insert("kind".to_owned(), json!("timer"));
    let given = schedule(call.text("every"), call.text("cron"), call.text("at"))?;
    let mut config = given.unwrap_or_default();
    for (option, field) in [
        ("timezone", "timezone"),
        ("if-missed", "misfire"),
        ("dst-gap", "dst_gap"),
        ("dst-overlap", "dst_overlap"),
    ] {
        config.extend(call.text(option).map(|value| (field.to_owned(), json!(value))));
    }
    if let Some(Zone::Named(zone)) = session.view.zone
        && call.text("cron").is_some()
    {
        config.entry("timezone").or_insert_with(|| json!(zone.to_string()));
    }
    if !config.is_empty() {
        let stored = timer.entry("config").or_insert_with(|| json!({}));
        if let Value::Object(stored) = stored {
            stored.extend(config);
        }
    }
    send_new(session, call, &Value::Object(timer)).await
}

const SHAPE: Shape = Shape {
    key: "scheduled_at",
    columns: &[
        time("AT", "scheduled_at"),
        text("LOCAL TIME", "local_time"),
        text("NOTE", "note"),
    ],
    wide: &[],
};

pub async fn next(session: &Session, call: &Call) -> anyhow::Result<()> {
    let count = call
        .matches
        .try_get_one::<u32>("count")
        .ok()
        .flatten()
        .copied()
        .unwrap_or(10);
    let path = format!("{}/occurrences", path_of(&TRIGGER, &call.key()));
    let request = session.client.get(&path).query("limit", &count.to_string());
    let data: Value = request.data().await?;
    if let Some(note) = data["note"].as_str() {
        eprintln!("{note}");
    }
    print_rows(session, &data, SHAPE)
}
