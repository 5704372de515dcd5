//! `attune secret`: manages secrets directly in the database. The value comes from a terminal or from standard input, never from
//! the command line, and is never printed.

use crate::{
    cli::{NewSecret, RefArgs, SecretCommand, SecretGrant},
    database::{self, Database},
    output, prompt,
};
use anyhow::Context as _;
use attune_common::{
    clock,
    seal::Sealer,
    secrets,
    store::{
        Page, Transaction,
        secret::{self, Secret},
    },
};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use secrecy::ExposeSecret as _;
use serde_json::Value;

pub fn run(command: &SecretCommand) -> anyhow::Result<()> {
    match command {
        SecretCommand::Set(options) => {
            let value = read(options)?;
            database::with(&options.secret.database, |on| set(on, options, value))
        }
        SecretCommand::List(options) => database::with(&options.database, |on| list(on, options.json)),
        SecretCommand::Rm(options) => database::with(&options.database, |on| remove(on, options)),
        SecretCommand::Grant(options) => database::with(&options.secret.database, |on| grant(on, options)),
    }
}

fn read(options: &NewSecret) -> anyhow::Result<Value> {
    let text = prompt::whole(&format!("value of {}: ", options.secret.reference))?;
    if options.json {
        return serde_json::from_str(text.expose_secret()).map_err(|error| {
            // Without the text, which is secret.
            anyhow::anyhow!(
                "the value is not JSON: line {}, column {}",
                error.line(),
                error.column()
            )
        });
    }
    Ok(text.expose_secret().into())
}

async fn set(on: Database, options: &NewSecret, value: Value) -> anyhow::Result<()> {
    let reference = &options.secret.reference;
    let days = options.expires_in_days;
    let mut tx = Transaction::begin(&on.pool).await?;
    let new = secrets::NewSecret {
        reference,
        value: &value,
        description: options.description.as_deref(),
        expires_at: days.map(|days| clock::now() + TimeDelta::days(days.into())),
        set_by: &output::actor(),
    };
    secrets::set(&mut tx, &Sealer::new(&on.config.security), &new).await?;
    output::note(&mut tx, "set", &format!("secret {reference}")).await?;
    let set = secret::get(&mut *tx, reference.as_str()).await?;
    tx.commit().await?;
    let version = set.map_or(0, |set| set.version);
    eprintln!("set {reference}, version {version}; attempts that start from now on use it");
    Ok(())
}

async fn list(on: Database, json: bool) -> anyhow::Result<()> {
    let mut all: Vec<Secret> = Vec::new();
    loop {
        let page = Page {
            after: all.last().map(|secret| secret.r#ref.clone()),
            limit: 200,
        };
        let more = secret::page(&on.pool, None, &page).await?;
        let last = more.len() <= usize::from(page.limit);
        all.extend(more.into_iter().take(page.limit.into()));
        if last {
            break;
        }
    }
    if json {
        return output::json(&all);
    }
    let at = |at: Option<DateTime<Utc>>| at.map_or("-".to_owned(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
    let rows = all.into_iter().map(|secret| {
        vec![
            secret.r#ref,
            secret.version.to_string(),
            at(secret.set_at),
            secret.set_by.unwrap_or_else(|| "-".to_owned()),
            at(secret.expires_at),
            at(secret.last_used_at),
            secret.pools.join(","),
            secret.packs.join(","),
        ]
    });
    output::table(
        &[
            "REF",
            "VERSION",
            "SET",
            "SET_BY",
            "EXPIRES",
            "LAST_USED",
            "POOLS",
            "PACKS",
        ],
        rows,
    );
    Ok(())
}

async fn remove(on: Database, options: &RefArgs) -> anyhow::Result<()> {
    let reference = &options.reference;
    let mut tx = Transaction::begin(&on.pool).await?;
    let stored = secret::lock(&mut tx, reference.as_str()).await?;
    let stored = stored.with_context(|| format!("no secret {reference} exists; `attune secret list` lists all"))?;
    secret::delete(&mut tx, stored.id).await?;
    output::note(&mut tx, "delete", &format!("secret {reference}")).await?;
    tx.commit().await?;
    eprintln!("deleted {reference}; attempts that would use it fail from now on");
    Ok(())
}

async fn grant(on: Database, options: &SecretGrant) -> anyhow::Result<()> {
    let reference = &options.secret.reference;
    let given = |names: &'_ [String]| (!names.is_empty()).then(|| names.to_vec());
    let (pools, packs) = (given(&options.pools), given(&options.packs));
    anyhow::ensure!(pools.is_some() || packs.is_some(), "give --pool, --pack, or both");
    for name in packs.iter().flatten() {
        let known = attune_domain::reference::is_name(name) || name.parse::<attune_domain::Ref>().is_ok();
        anyhow::ensure!(known, "{name:?} is neither a pack nor the ref of an action");
    }
    let mut tx = Transaction::begin(&on.pool).await?;
    let before = secret::lock(&mut tx, reference.as_str()).await?;
    let before = before.with_context(|| format!("no secret {reference} exists; `attune secret list` lists all"))?;
    let sealer = Sealer::new(&on.config.security);
    secrets::grant(&mut tx, &sealer, &before, pools.as_deref(), packs.as_deref()).await?;
    output::note(&mut tx, "grant", &format!("secret {reference}")).await?;
    let granted = secret::get(&mut *tx, reference.as_str()).await?;
    tx.commit().await?;
    if let Some(granted) = granted {
        let (pools, packs) = (granted.pools.join(", "), granted.packs.join(", "));
        eprintln!("{reference}: workers of the pools [{pools}] can open it; [{packs}] may use it");
    }
    Ok(())
}
