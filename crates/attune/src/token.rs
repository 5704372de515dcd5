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
use attune_common::{clock, store::identity};
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
        let more = identity::tokens(&on.pool, None, before, 200).await?;
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
    let user = identity::get(&on.pool, owner).await?.context("the user is gone")?;
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
    let mut tx = Transaction::begin(&on.pool).await?;
    let id = identity::insert_token(
        &mut tx,
        owner,
        &asked.label,
        &secret.prefix,
        &secret.hash,
        asked.role,
        expires_at,
    )
    .await?;
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
    anyhow::ensure!(
        identity::revoke_token(&mut tx, id, None).await?,
        "there is no token {id}: `attune token list` tells which there are"
    );
    say::note(&mut tx, "revoke", &format!("token {id}")).await?;
    tx.commit().await?;
    eprintln!("token {id} is refused within 5 seconds");
    Ok(())
}
