//! `list`, `get`, and lists that belong to one object.

use super::{Call, table::Noun};
use crate::{
    cmd::{follow, session::Session},
    failure::Failure,
    view::{
        cell::{at, plain},
        list::{self, List, Shape},
        moment,
        term::{Format, View},
    },
};
use attune_client::{Changes, encoded};
use serde_json::{Map, Value};

const LIMIT: u32 = 50;
const PAGE_MAX: u32 = 200;

/// The route of one object.
pub fn path_of(noun: &Noun, key: &str) -> String {
    format!("{}/{}", noun.path, encoded(key))
}

/// The parameters of the route, from the options.
fn query(call: &Call, view: &View) -> anyhow::Result<Vec<(String, String)>> {
    let mut query = Vec::new();
    for filter in call.noun().filters {
        let Some(value) = call.text(filter.option) else {
            continue;
        };
        let value = if matches!(filter.field, "since" | "until") {
            let at = moment::past(value, view.now);
            moment::utc(at.map_err(|error| Failure::usage(format!("--{} {value}: {error}", filter.option)))?)
        } else {
            value.to_owned()
        };
        query.push((filter.field.to_owned(), value));
    }
    Ok(query)
}

pub async fn list(session: &Session, call: &Call) -> anyhow::Result<()> {
    let noun = call.noun();
    let mut query = query(call, &session.view)?;
    let all = call.flag("all");
    let limit = call.matches.try_get_one::<u32>("limit").ok().flatten().copied();
    let mut left = if all { u32::MAX } else { limit.unwrap_or(LIMIT) };
    let mut changes = None;
    if call.flag("watch") {
        changes = Some(watching(session, noun, &query).await?);
    }
    // Lists without pages refuse the parameter.
    if !noun.filters.is_empty() || ["timer", "queue", "user", "token", "runtime"].contains(&noun.name) {
        query.push(("limit".to_owned(), left.min(PAGE_MAX).to_string()));
    }
    let mut pages = session.client.pages(noun.list, &query);
    let mut view = session.view.clone();
    // A list that does not end is not one JSON document.
    if changes.is_some() && matches!(view.format, Format::Json) {
        view.format = Format::Jsonl;
    }
    let mut printed = List::new(&view, noun.shape(), all || changes.is_some());
    while let Some(mut rows) = pages.next().await? {
        rows.truncate(left.try_into().unwrap_or(usize::MAX));
        left -= u32::try_from(rows.len()).unwrap_or(left);
        if !rows.is_empty() {
            printed.page(&rows)?;
        }
        if left == 0 {
            break;
        }
    }
    if let Some(changes) = &mut changes {
        return watch(session, noun, changes, &mut printed).await;
    }
    printed.end()?;
    if session.view.tty && matches!(session.view.format, Format::Table | Format::Wide) && pages.has_more() {
        eprintln!("First {} shown; use --all for more.", limit.unwrap_or(LIMIT));
    }
    Ok(())
}

/// Opens the stream before the list is read, so that no change is lost in between.
async fn watching<'a>(session: &'a Session, noun: &Noun, query: &[(String, String)]) -> anyhow::Result<Changes<'a>> {
    let mut filter = vec![("kind".to_owned(), noun.feed.to_owned())];
    let refs =
        |(name, _): &&(String, String)| ["trigger_ref", "rule_ref", "action_ref", "event_id"].contains(&name.as_str());
    filter.extend(query.iter().filter(refs).cloned());
    let mut changes = session.client.changes(&filter);
    changes.open().await?;
    Ok(changes)
}

/// Prints one row for each change.
async fn watch(
    session: &Session,
    noun: &Noun,
    changes: &mut Changes<'_>,
    printed: &mut List<'_>,
) -> anyhow::Result<()> {
    let id = format!("{}_id", noun.feed);
    loop {
        let change = changes.next().await?;
        if change.kind == "missed" {
            eprintln!("some changes were missed: {}", plain(&change.data["reason"]));
            continue;
        }
        let Some(id) = change.data[&id].as_str() else { continue };
        let path = path_of(noun, id);
        let mut row: Value = follow::patiently(async || session.client.get(&path).data().await).await?;
        // The object may have changed again; this is what happened now.
        if let Some((_, status)) = change.kind.split_once('.').filter(|_| noun.feed == "execution") {
            row["status"] = status.into();
        }
        printed.page(&[row])?;
    }
}

pub async fn get(session: &Session, call: &Call) -> anyhow::Result<()> {
    let noun = call.noun();
    let mut found = Vec::new();
    for key in call.texts("key") {
        found.push(session.client.get(&path_of(noun, &key)).data::<Value>().await?);
    }
    if let [object] = found.as_slice() {
        let object = match session.view.format {
            Format::Yaml if !noun.computed.is_empty() => writable(noun, object),
            _ => object.clone(),
        };
        return list::one(&object, noun.shape(), &session.view);
    }
    let mut printed = List::new(&session.view, noun.shape(), true);
    printed.page(&found)?;
    printed.end()
}

/// What a write of the object may contain.
pub fn writable(noun: &Noun, object: &Value) -> Value {
    let mut fields: Map<String, Value> = object.as_object().cloned().unwrap_or_default();
    for name in noun.computed {
        fields.remove(*name);
    }
    // A rule has either a timer of its own or the ref of a trigger.
    if noun.name == "rule" {
        let own = fields.get("trigger").is_some_and(|trigger| !trigger.is_null());
        fields.remove(if own { "trigger_ref" } else { "trigger" });
    }
    fields.retain(|_, value| !value.is_null());
    Value::Object(fields)
}

/// The rows at a route below one object: a list, or the list inside an object.
pub async fn rows(session: &Session, call: &Call, suffix: &str, shape: Shape) -> anyhow::Result<()> {
    let path = format!("{}/{suffix}", path_of(call.noun(), &call.key()));
    let data: Value = session.client.get(&path).data().await?;
    print_rows(session, &data, shape)
}

pub fn print_rows(session: &Session, data: &Value, shape: Shape) -> anyhow::Result<()> {
    let inside = ["rules", "occurrences"].map(|name| at(data, name));
    let rows = data.as_array().or_else(|| inside.into_iter().find_map(Value::as_array));
    let mut printed = List::new(&session.view, shape, false);
    let rows = rows.map(Vec::as_slice).unwrap_or_default();
    if !rows.is_empty() {
        printed.page(rows)?;
    }
    printed.end()
}

/// A rule that was read can be sent back.
#[test]
fn a_rule_as_read_is_a_draft() {
    let rule = serde_json::json!({"ref": "a.b", "id": 7, "trigger": {"type": "interval"}, "trigger_ref": "a.b.timer",
                                  "enabled": true, "managed": false, "description": null});
    assert_eq!(
        writable(&super::table::RULE, &rule),
        serde_json::json!({"ref": "a.b", "trigger": {"type": "interval"}, "enabled": true})
    );
}
