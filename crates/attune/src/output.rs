//! The output of commands, and their entries in the audit.

use attune_api::fingerprint;
use attune_common::{
    service::host,
    store::{PgConnection, audit},
};
use serde::Serialize;
use std::sync::LazyLock;
use uuid::Uuid;

/// Prints a table with columns separated by tabs, for people and for `cut`.
pub fn table(heading: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    println!("{}", heading.join("\t"));
    for row in rows {
        println!("{}", row.join("\t"));
    }
}

pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Each run of a command counts as one request.
static REQUEST_ID: LazyLock<String> = LazyLock::new(|| Uuid::now_v7().to_string());

/// Writes an audit entry with the user of the operating system and the host. Fingerprints are those of the API.
pub async fn audit<T: Serialize>(
    connection: &mut PgConnection,
    verb: &str,
    object: &str,
    (before, after): (Option<&T>, Option<&T>),
) -> anyhow::Result<()> {
    let entry = audit::Entry {
        actor: &actor(),
        address: Some(&host()),
        verb,
        object,
        before_hash: before.and_then(fingerprint),
        after_hash: after.and_then(fingerprint),
        request_id: Some(&REQUEST_ID),
    };
    Ok(audit::append(connection, std::slice::from_ref(&entry)).await?)
}

/// Writes the same audit entry for each of these objects.
pub async fn notes(connection: &mut PgConnection, verb: &str, objects: &[String]) -> anyhow::Result<()> {
    let entry = audit::Entry {
        actor: &actor(),
        address: Some(&host()),
        verb,
        request_id: Some(&REQUEST_ID),
        ..audit::Entry::default()
    };
    Ok(audit::append_all(connection, &entry, objects).await?)
}

/// Access to the database implies every right, so the user of the operating system is named.
pub fn actor() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    let name = user.map_or_else(|| nix::unistd::getuid().to_string(), |user| user.name);
    format!("{name} (command line)")
}

/// Writes an audit entry for an action without a changed object.
pub async fn note(connection: &mut PgConnection, verb: &str, object: &str) -> anyhow::Result<()> {
    audit::<()>(connection, verb, object, (None, None)).await
}
