//! Brings the database to the state of a pack's files, in one transaction, and reports what it did.
//!
//! Loading again changes nothing. A row that a person edited since it was loaded is not changed, and `enabled` never is. A
//! definition that was removed from the files remains, because rules of other packs may use it.

use super::{
    core,
    pack::Pack,
    report::{Broken, LoadError, Report},
    write::Writer,
};
use crate::{
    config,
    store::{self, Page, PgConnection, PgPool, Transaction, action, pack_archive, pack_load, rule},
};
use anyhow::Context as _;
use attune_domain::{definition::Rule, parameters::mismatches, reference::Key};
use serde_json::{Value, json};
use std::path::Path;

/// How often a load is tried that is aborted by a deadlock.
const TRIES: usize = 3;
/// How many rules of an action are checked.
const RULES_MAX: u16 = 200;

/// The result of loading the configured packs.
#[derive(Debug, Default)]
pub struct Loaded {
    pub reports: Vec<Report>,
    pub broken: Vec<Broken>,
}

/// Loads the core pack and then the configured folders. A broken pack is skipped, and the others are loaded.
pub async fn load_configured(pool: &PgPool, packs: &config::Packs) -> anyhow::Result<Loaded> {
    let mut loaded = Loaded::default();
    let core = core().context("the built-in core pack is not valid")?;
    loaded
        .reports
        .push(load(pool, &core).await.context("failed to load the core pack")?);
    for folder in &packs.load {
        match load_folder(pool, folder).await? {
            Ok(report) => loaded.reports.push(report),
            Err(broken) => {
                let errors = broken.errors.join("; ");
                tracing::error!(folder = %folder.display(), errors, "this pack is broken and was not loaded");
                loaded.broken.push(broken);
            }
        }
    }
    Ok(loaded)
}

/// Loads the pack in a folder, or returns everything that is wrong with it. Fails only if the database fails.
pub async fn load_folder(pool: &PgPool, folder: &Path) -> anyhow::Result<Result<Report, Broken>> {
    let pack = match Pack::read(folder) {
        Ok(pack) => pack,
        Err(error) => return Ok(Err(Broken::new(folder, &error))),
    };
    match load(pool, &pack).await {
        Ok(report) => Ok(Ok(report)),
        Err(LoadError::Invalid(errors)) => Ok(Err(Broken::new(folder, &errors.into()))),
        Err(LoadError::Database(error)) => {
            Err(error).with_context(|| format!("failed to load the pack in {}", folder.display()))
        }
    }
}

/// Writes the differences and logs a report.
pub async fn load(pool: &PgPool, pack: &Pack) -> Result<Report, LoadError> {
    let mut tries = 1;
    let report = loop {
        match load_once(pool, pack).await {
            Err(LoadError::Database(error)) if store::is_retryable(&error) && tries < TRIES => tries += 1,
            result => break result?,
        }
    };
    report.log();
    Ok(report)
}

/// Rules whose parameters no longer match the action. They are reported and do not prevent the load, because they may belong
/// to other packs and services must start.
async fn misfitting(tx: &mut PgConnection, action_ref: &str) -> Result<Vec<String>, store::Error> {
    let Some(action) = action::get(&mut *tx, &Key::from(action_ref)).await? else {
        return Ok(Vec::new());
    };
    let filter = rule::Filter {
        action_ref: Some(&[action_ref.to_owned()]),
        ..rule::Filter::default()
    };
    let first = Page {
        after: None,
        limit: RULES_MAX,
    };
    let rules = rule::page(tx, &filter, &first).await?;
    let misfit = |rule: &Rule| {
        let bad = mismatches(&action.parameters_schema, &rule.action_params).err()?;
        Some(format!("{} ({bad})", rule.r#ref))
    };
    Ok(rules.iter().filter_map(misfit).collect())
}

async fn load_once(pool: &PgPool, pack: &Pack) -> Result<Report, LoadError> {
    let mut tx = Transaction::begin(pool).await?;
    let report = write(&mut tx, pack, None).await?;
    tx.commit().await?;
    Ok(report)
}

/// Writes what differs, in a transaction that the caller commits, or rolls back to see only what would change. `source`: where
/// the files come from, if that is known.
pub async fn write(tx: &mut PgConnection, pack: &Pack, source: Option<&str>) -> Result<Report, LoadError> {
    // Before the lock of all definitions: the content may be large.
    if let Some(packed) = &pack.packed {
        let content = pack_archive::Content {
            hash: &packed.hash,
            pack_ref: &pack.manifest.r#ref,
            pack_version: &pack.manifest.version,
            content: &packed.content,
            files: &packed.files,
            actions: &actions_of(pack),
        };
        pack_archive::insert(tx, &content).await?;
    }
    pack_load::begin(tx).await?;
    let writer = Writer::begin(tx, pack, source).await?;
    let mut report = writer.write(tx, pack).await?;
    for action in &pack.actions {
        report.mismatches.extend(misfitting(tx, &action.r#ref).await?);
    }
    Ok(report)
}

/// How each action runs with this content of the pack. An execution that was created with it runs so, also after the definitions
/// have changed.
fn actions_of(pack: &Pack) -> Value {
    let actions = pack.actions.iter().map(|action| {
        let run = json!({
            "entry_point": action.entry_point,
            "entry_kind": action.entry_kind(),
            "runtime_ref": action.runtime_ref,
            "output_format": action.output_format,
        });
        (action.r#ref.clone(), run)
    });
    Value::Object(actions.collect())
}

/// Whether the database holds what is in the folder, or what is wrong with it. Writes nothing.
pub async fn is_loaded(pool: &PgPool, folder: &Path) -> anyhow::Result<Result<bool, Broken>> {
    let pack = match Pack::read(folder) {
        Ok(pack) => pack,
        Err(error) => return Ok(Err(Broken::new(folder, &error))),
    };
    let mut tx = Transaction::begin(pool).await?;
    let written = write(&mut tx, &pack, None).await;
    tx.rollback().await?;
    match written {
        Ok(report) => Ok(Ok(!report.changes())),
        Err(LoadError::Invalid(errors)) => Ok(Err(Broken::new(folder, &errors.into()))),
        Err(LoadError::Database(error)) => Err(error.into()),
    }
}
