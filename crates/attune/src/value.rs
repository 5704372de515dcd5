//! `attune value`: manages values directly in the database.

use crate::{
    cli::{NewValue, RefArgs, ValueCommand},
    database::{self, Database},
    output,
};
use anyhow::Context as _;
use attune_common::store::{
    Page, Transaction,
    pack_value::{self, Filter, PackValue},
};
use serde_json::Value;

pub fn run(command: &ValueCommand) -> anyhow::Result<()> {
    match command {
        ValueCommand::Get(options) => database::with(&options.database, |on| get(on, options)),
        ValueCommand::Set(options) => database::with(&options.value.database, |on| set(on, options)),
        ValueCommand::List(options) => database::with(&options.database, |on| list(on, options.json)),
        ValueCommand::Rm(options) => database::with(&options.database, |on| remove(on, options)),
    }
}

async fn get(on: Database, options: &RefArgs) -> anyhow::Result<()> {
    let reference = &options.reference;
    let found = pack_value::get(&on.pool, reference.as_str()).await?;
    output::json(&found.with_context(|| no_such(reference))?.value)
}

async fn set(on: Database, options: &NewValue) -> anyhow::Result<()> {
    let reference = &options.value.reference;
    let content = options.content.as_str();
    let value: Value = serde_json::from_str(content).unwrap_or_else(|_| content.into());
    let mut tx = Transaction::begin(&on.pool).await?;
    pack_value::lock(&mut tx, reference.as_str()).await?;
    let before = pack_value::get(&mut *tx, reference.as_str()).await?;
    let present = before.map_or(0, |before| before.version);
    anyhow::ensure!(
        options.if_version.is_none_or(|expected| expected == present),
        "{reference} has version {present}, not {}; nothing was changed",
        options.if_version.unwrap_or_default()
    );
    let place = (reference.as_str(), reference.pack());
    let version = pack_value::set(&mut tx, place, &value, options.ttl_seconds, &output::actor()).await?;
    let version = version.with_context(|| format!("there is no pack {}", reference.pack()))?;
    output::note(&mut tx, "set", &format!("value {reference}")).await?;
    tx.commit().await?;
    println!("{version}");
    Ok(())
}

async fn list(on: Database, json: bool) -> anyhow::Result<()> {
    let mut all: Vec<PackValue> = Vec::new();
    loop {
        let page = Page {
            after: all.last().map(|value| value.r#ref.clone()),
            limit: 200,
        };
        let more = pack_value::page(&on.pool, &Filter::default(), &page).await?;
        let last = more.len() <= usize::from(page.limit);
        all.extend(more.into_iter().take(page.limit.into()));
        if last {
            break;
        }
    }
    if json {
        return output::json(&all);
    }
    let rows = all.into_iter().map(|value| {
        let expires = value.expires_at.map_or("-".to_owned(), |at| at.to_rfc3339());
        vec![
            value.r#ref,
            value.version.to_string(),
            expires,
            value.updated_by,
            value.value.to_string(),
        ]
    });
    output::table(&["REF", "VERSION", "EXPIRES", "UPDATED_BY", "VALUE"], rows);
    Ok(())
}

async fn remove(on: Database, options: &RefArgs) -> anyhow::Result<()> {
    let reference = &options.reference;
    let mut tx = Transaction::begin(&on.pool).await?;
    pack_value::lock(&mut tx, reference.as_str()).await?;
    let found = pack_value::get(&mut *tx, reference.as_str()).await?;
    anyhow::ensure!(found.is_some(), no_such(reference));
    pack_value::delete(&mut tx, reference.as_str()).await?;
    output::note(&mut tx, "delete", &format!("value {reference}")).await?;
    tx.commit().await?;
    eprintln!("deleted {reference}");
    Ok(())
}

fn no_such(reference: &attune_domain::Ref) -> String {
    format!("no value {reference} exists; `attune value list` lists all")
}
