//! `cli.json` in the data directory of `attune up`: the address of its API, and a token for commands on this machine.

use super::Target;
use crate::{
    failure::{Failure, code},
    output,
    secrets::write_private,
};
use anyhow::Context as _;
use attune_api::auth::{FIRST_ADMIN, Secret};
use attune_common::store::{PgPool, Transaction, api_token, identity};
use attune_domain::identity::Role;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Changes definitions; users and tokens need a sign-in.
const ROLE: Role = Role::Editor;

#[derive(Serialize, Deserialize)]
struct Local {
    url: String,
    token: String,
    token_id: i64,
}

pub fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("cli.json")
}

/// What the file contains, or none if it does not exist.
pub fn target(data_dir: &Path) -> anyhow::Result<Option<Target>> {
    let file = file(data_dir);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Err(Failure::new(
                code::NOT_SIGNED_IN,
                format!(
                    "only the user that runs `attune up` may read {}: run the command as that user, or sign in with `attune login URL`",
                    file.display()
                ),
            )
            .into());
        }
        Err(_) => return Ok(None),
    };
    let local: Local = serde_json::from_str(&text)
        .with_context(|| format!("{} is damaged; restart `attune up`, which writes it", file.display()))?;
    Ok(Some(Target {
        url: local.url,
        token: Some(local.token.into()),
        source: file.display().to_string(),
    }))
}

/// Writes the file with the token of the previous run, or with a new one if that is not valid any more.
pub async fn write(pool: &PgPool, data_dir: &Path, url: &str) -> anyhow::Result<()> {
    let file = file(data_dir);
    let previous = fs::read_to_string(&file).ok();
    let previous: Option<Local> = previous.and_then(|text| serde_json::from_str(&text).ok());
    let local = match previous {
        Some(local) if is_valid(pool, &local).await? => Local {
            url: url.to_owned(),
            ..local
        },
        _ => match create(pool, url).await? {
            Some(local) => local,
            None => return Ok(()),
        },
    };
    write_private(&file, &serde_json::to_string_pretty(&local)?)
}

async fn is_valid(pool: &PgPool, local: &Local) -> anyhow::Result<bool> {
    let mut tx = Transaction::begin(pool).await?;
    let token = api_token::live(&mut tx, local.token_id).await?;
    let Some(token) = token.filter(|token| local.token.starts_with(&token.prefix)) else {
        return Ok(false);
    };
    let owner = identity::credentials(pool, &token.login).await?;
    Ok(owner.is_some_and(|owner| owner.enabled))
}

/// A token of the first admin; none if that user cannot sign in any more.
async fn create(pool: &PgPool, url: &str) -> anyhow::Result<Option<Local>> {
    let Some(admin) = identity::credentials(pool, FIRST_ADMIN)
        .await?
        .filter(|admin| admin.enabled)
    else {
        return Ok(None);
    };
    let secret = Secret::new(Secret::API_TOKEN);
    let mut tx = Transaction::begin(pool).await?;
    let owner = identity::lock(&mut tx, admin.id).await?;
    let Some(owner) = owner.filter(|owner| owner.enabled && owner.role.covers(ROLE)) else {
        return Ok(None);
    };
    let token = api_token::NewToken {
        owner: owner.id,
        parent: None,
        label: "attune up: commands on this machine",
        prefix: &secret.prefix,
        hash: &secret.hash,
        role: ROLE,
        expires_at: None,
    };
    let token_id = api_token::insert(&mut tx, &token).await?;
    output::note(&mut tx, "create", &format!("token {token_id}")).await?;
    tx.commit().await?;
    Ok(Some(Local {
        url: url.to_owned(),
        token: secret.text.expose_secret().to_owned(),
        token_id,
    }))
}
