//! `attune token`: API tokens for programs, at the database itself. Standard output holds the token and nothing else, so
//! that a script can take it; the token is shown this once.

use crate::{
    cli::{NewToken, TokenCommand},
    database::{self, Database},
    say,
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
        TokenCommand::List(asked) => database::with(&asked.place, |on| list(on, asked.json)),
        TokenCommand::Create(asked) => database::with(&asked.place, |on| create(on, asked)),
        TokenCommand::Revoke(asked) => database::with(&asked.place, |on| revoke(on, asked.id)),
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
        return say::json(&tokens);
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
    say::table(
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

async fn create(on: Database, asked: &NewToken) -> anyhow::Result<()> {
    let owner = known(&on, &asked.user).await?;
    let mut tx = Transaction::begin(&on.pool).await?;
    // Until the token is written, nobody can disable its owner.
    let user = identity::lock(&mut tx, owner).await?.context("the user is gone")?;
    anyhow::ensure!(
        user.enabled,
        "{} is disabled and cannot get a token: `attune user enable {0}` comes first",
        user.login
    );
    anyhow::ensure!(
        user.role.covers(asked.role),
        "a token gets at most its owner's role: {} has {}, not {}",
        user.login,
        user.role,
        asked.role
    );
    let length = asked.label.chars().count();
    anyhow::ensure!((1..=200).contains(&length), "--label must have 1 to 200 characters");
    let expires_at = asked
        .expires_in_days
        .map(|days| clock::now() + TimeDelta::days(days.into()));
    let secret = Secret::new(Secret::API_TOKEN);
    let token = api_token::NewToken {
        owner,
        parent: None,
        label: &asked.label,
        prefix: &secret.prefix,
        hash: &secret.hash,
        role: asked.role,
        expires_at,
    };
    let id = api_token::insert(&mut tx, &token).await?;
    say::note(&mut tx, "create", &format!("token {id}")).await?;
    tx.commit().await?;
    let token = secret.text.expose_secret();
    if asked.json {
        return say::json(
            &json!({"id": id, "token": token, "login": user.login, "role": asked.role, "expires_at": expires_at}),
        );
    }
    println!("{token}");
    eprintln!(
        "token {id} of {} ({}), shown this once; `attune token revoke {id}` ends it",
        user.login, asked.role
    );
    Ok(())
}

async fn revoke(on: Database, id: i64) -> anyhow::Result<()> {
    let mut tx = Transaction::begin(&on.pool).await?;
    let found = api_token::get(&mut tx, id, None).await?;
    let (owner, _) = found.with_context(|| format!("there is no token {id}: `attune token list` shows them"))?;
    identity::lock(&mut tx, owner).await?;
    let revoked = api_token::revoke(&mut tx, id).await?;
    for token in &revoked {
        say::note(&mut tx, "revoke", &format!("token {token}")).await?;
    }
    tx.commit().await?;
    match revoked.iter().filter(|token| **token != id).count() {
        0 => eprintln!("revoked token {id}; it stops working within 5 seconds"),
        children => eprintln!("revoked token {id} and {children} that it created; they stop working within 5 seconds"),
    }
    Ok(())
}
