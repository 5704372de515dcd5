//! What commands about users and tokens have in common: how they tell, and what they leave in the audit.

use attune_common::store::{PgConnection, audit};
use serde::Serialize;

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

/// Whoever has the database's address needs no rights of Attune; what they do is kept under the name that the machine knows.
pub async fn audit(connection: &mut PgConnection, verb: &str, object: &str) -> anyhow::Result<()> {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    let name = user.map_or_else(|| nix::unistd::getuid().to_string(), |user| user.name);
    let actor = format!("{name} (command line)");
    let entry = audit::Entry {
        actor: &actor,
        verb,
        object,
        ..audit::Entry::default()
    };
    Ok(audit::append(connection, &entry).await?)
}
