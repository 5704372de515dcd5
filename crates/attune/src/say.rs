//! What commands about users and tokens have in common: how they tell, and what they leave in the audit.

use attune_api::fingerprint;
use attune_common::{
    service::host,
    store::{PgConnection, audit},
};
use serde::Serialize;
use std::sync::LazyLock;
use uuid::Uuid;

/// Lines of fields, divided by tabs, for people and for `cut`.
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

/// One run of a command is one request.
static REQUEST_ID: LazyLock<String> = LazyLock::new(|| Uuid::now_v7().to_string());

/// Whoever has the database's address needs no rights of Attune; what they do is kept under the name that the machine
/// knows, with the machine's name, and with fingerprints as the API makes them.
pub async fn audit<T: Serialize>(
    connection: &mut PgConnection,
    verb: &str,
    object: &str,
    (before, after): (Option<&T>, Option<&T>),
) -> anyhow::Result<()> {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    let name = user.map_or_else(|| nix::unistd::getuid().to_string(), |user| user.name);
    let entry = audit::Entry {
        actor: &format!("{name} (command line)"),
        address: Some(&host()),
        verb,
        object,
        before_hash: before.and_then(fingerprint),
        after_hash: after.and_then(fingerprint),
        request_id: Some(&REQUEST_ID),
    };
    Ok(audit::append(connection, &entry).await?)
}

/// Something that was done, without a thing that changed.
pub async fn note(connection: &mut PgConnection, verb: &str, object: &str) -> anyhow::Result<()> {
    audit::<()>(connection, verb, object, (None, None)).await
}
