//! `attune token`: manages API tokens directly in the database. Standard output contains only the token, for scripts; it is
//! shown once.

use crate::{
    cli::{NewToken, TokenCommand},
    database::{self, Database},
    output,
    user::known,
};
use anyhow::Context as _;
use attune_api::auth::Secret;
use attune_common::store::Transaction;
use attune_common::{
    clock,
    store::{api_token, identity},
};
use attune_domain::identity::ApiToken;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use secrecy::ExposeSecret as _;
use serde_json::json;

pub fn run(command: &TokenCommand) -> anyhow::Result<()> {
    match command {
        TokenCommand::List(options) => database::with(&options.database, |on| list(on, options.json)),
        TokenCommand::Create(options) => database::with(&options.database, |on| create(on, options)),
        TokenCommand::Revoke(options) => database::with(&options.database, |on| revoke(on, options.id)),
    }
}

async fn list(on: Database, json: bool) -> anyhow::Result<()> {
    let mut tokens: Vec<ApiToken> = Vec::new();
    loop {
        let before = tokens.last().map(|token| token.id);
        let more = api_token::page(&on.pool, None, before, 200).await?;
        if more.is_empty() {
            break;
        }
        tokens.extend(more);
    }
    if json {
        return output::json(&tokens);
    }
    let at = |at: Option<DateTime<Utc>>| at.map_or("-".to_owned(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
    let rows = tokens.iter().map(|token| {
        let over = token.expires_at.is_some_and(|end| end <= clock::now());
        let state = match (token.revoked_at, over) {
            (Some(_), _) => "revoked",
            (None, true) => "expired",
            (None, false) => "live",
        };
        let (id, role) = (token.id.to_string(), token.role.to_string());
        let (expires, used) = (at(token.expires_at), at(token.last_used_at));
        vec![
            id,
            token.login.clone(),
            role,
            state.to_owned(),
            expires,
            used,
            token.prefix.clone(),
            token.label.clone(),
        ]
    });
    output::table(
        &[
            "ID",
            "LOGIN",
            "ROLE",
            "STATE",
            "EXPIRES",
            "LAST_USED",
            "PREFIX",
            "LABEL",
        ],
        rows,
    );
    Ok(())
}

async fn create(on: Database, options: &NewToken) -> anyhow::Result<()> {
    let owner = known(&on, &options.user).await?;
    let mut tx = Transaction::begin(&on.pool).await?;
    // The owner cannot be disabled until the token is written.
    let user = identity::lock(&mut tx, owner).await?.context("the user is gone")?;
    anyhow::ensure!(
        user.enabled,
        "{} is disabled: run `attune admin user enable {0}` first",
        user.login
    );
    anyhow::ensure!(
        user.role.covers(options.role),
        "a token may have at most its owner's role: {} has {}, not {}",
        user.login,
        user.role,
        options.role
    );
    let length = options.label.chars().count();
    anyhow::ensure!((1..=200).contains(&length), "--label must have 1 to 200 characters");
    let expires_at = options
        .expires_in_days
        .map(|days| clock::now() + TimeDelta::days(days.into()));
    let secret = Secret::new(Secret::API_TOKEN);
    let token = api_token::NewToken {
        owner,
        parent: None,
        label: &options.label,
        prefix: &secret.prefix,
        hash: &secret.hash,
        role: options.role,
        expires_at,
    };
    let id = api_token::insert(&mut tx, &token).await?;
    output::note(&mut tx, "create", &format!("token {id}")).await?;
    tx.commit().await?;
    let token = secret.text.expose_secret();
    if options.json {
        return output::json(
            &json!({"id": id, "token": token, "login": user.login, "role": options.role, "expires_at": expires_at}),
        );
    }
    println!("{token}");
    eprintln!(
        "token {id} of {} ({}), shown only once; `attune admin token revoke {id}` revokes it",
        user.login, options.role
    );
    Ok(())
}

async fn revoke(on: Database, id: i64) -> anyhow::Result<()> {
    let mut tx = Transaction::begin(&on.pool).await?;
    let found = api_token::get(&mut tx, id, None).await?;
    let (owner, _) =
        found.with_context(|| format!("no token {id} exists; `attune admin token list` lists all tokens"))?;
    identity::lock(&mut tx, owner).await?;
    let revoked = api_token::revoke(&mut tx, id).await?;
    for token in &revoked {
        output::note(&mut tx, "revoke", &format!("token {token}")).await?;
    }
    tx.commit().await?;
    match revoked.iter().filter(|token| **token != id).count() {
        0 => eprintln!("revoked token {id}; it stops working within 5 seconds"),
        children => eprintln!("revoked token {id} and {children} that it created; they stop working within 5 seconds"),
    }
    Ok(())
}
