//! Users and tokens through the API.

use super::super::Call;
use crate::{
    cmd::session::Session,
    failure::{Failure, code},
    prompt,
    view::{cell::plain, list, out, term::Format},
};
use anyhow::Context as _;
use attune_client::{Error, Method};
use attune_common::config::variable;
use chrono::{SecondsFormat, TimeDelta};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

const DIRECTLY: &str = "on the server, `attune admin` changes users and tokens without a sign-in";

/// An explanation if the role is too low.
fn explain(result: Result<Value, Error>) -> anyhow::Result<Value> {
    match result {
        Err(error) if error.status() == Some(403) => Err(anyhow::Error::new(error).context(DIRECTLY)),
        result => Ok(result?),
    }
}

pub async fn add(session: &Session, call: &Call) -> anyhow::Result<()> {
    let login = call.key();
    let password = match variable("ATTUNE_USER_PASSWORD") {
        Some(given) => given.into(),
        None => prompt::secret(&format!("password of {login}: "))?,
    };
    let body = json!({"login": login, "password": password.expose_secret(), "role": call.text("role").unwrap_or("viewer"),
                      "display_name": call.text("name")});
    let made = session.client.post("/api/v1/identities").json(&body)?.data().await;
    shown(session, call, &explain(made)?, &format!("created the user {login}"))
}

pub async fn change(session: &Session, call: &Call, what: &str) -> anyhow::Result<()> {
    let login = call.key();
    let id = known(session, &login).await?;
    let (body, done) = match what {
        "role" => {
            let role = call.text("role").unwrap_or_default();
            (json!({"role": role}), format!("{login} has the role {role} now"))
        }
        "enable" => (json!({"enabled": true}), format!("enabled {login}")),
        _ => (
            json!({"enabled": false}),
            format!("disabled {login}; sessions and API tokens expire within 5 seconds"),
        ),
    };
    let request = session
        .client
        .request(Method::PATCH, &format!("/api/v1/identities/{id}"));
    let user = request.json(&body)?.data().await;
    shown(session, call, &explain(user)?, &done)
}

/// The id of a user.
async fn known(session: &Session, login: &str) -> anyhow::Result<i64> {
    let mut pages = session
        .client
        .pages("/api/v1/identities", &[("limit".to_owned(), "200".to_owned())]);
    while let Some(users) = pages
        .next()
        .await
        .map_err(|error| anyhow::Error::new(error).context(DIRECTLY))?
    {
        if let Some(user) = users.iter().find(|user| user["login"] == login) {
            return user["id"].as_i64().context("a user has an id");
        }
    }
    Err(Failure::new(
        code::NOT_FOUND,
        format!("no user {login} exists; `attune user list` lists all users"),
    )
    .into())
}

pub async fn password(session: &Session, call: &Call) -> anyhow::Result<()> {
    let current = prompt::one("current password: ")?;
    let new = prompt::secret("new password: ")?;
    let body = json!({"current_password": current.expose_secret(), "new_password": new.expose_secret(),
                      "end_tokens": call.flag("end-tokens")});
    let request = session.client.request(Method::PUT, "/auth/password");
    let changed: Value = request.json(&body)?.data().await?;
    eprintln!("changed your password and ended all sign-ins");
    for token in changed["tokens_kept"].as_array().into_iter().flatten() {
        eprintln!("API token {} ({}) remains valid", token["id"], plain(&token["label"]));
    }
    Ok(())
}

pub async fn create_token(session: &Session, call: &Call) -> anyhow::Result<()> {
    let days = call.matches.try_get_one::<u16>("expires-in-days").ok().flatten();
    let expires = days.map(|days| session.view.now + TimeDelta::days((*days).into()));
    let body = json!({"label": call.text("label"), "role": call.text("role").unwrap_or("viewer"),
                      "expires_at": expires.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true))});
    let made: Value = session.client.post("/api/v1/tokens").json(&body)?.data().await?;
    match session.view.format {
        Format::Table | Format::Name => {
            out::line(&plain(&made["token"]))?;
            eprintln!(
                "token {0} ({1}), shown only once; `attune token revoke {0}` revokes it",
                made["id"],
                plain(&made["role"])
            );
            Ok(())
        }
        _ => list::one(&made, call.noun().shape(), &session.view),
    }
}

pub async fn revoke_token(session: &Session, call: &Call) -> anyhow::Result<()> {
    for key in call.texts("key") {
        let path = super::super::read::path_of(call.noun(), &key);
        session.client.request(Method::DELETE, &path).send().await?;
        eprintln!("revoked token {key}; it stops working within 5 seconds");
    }
    Ok(())
}

fn shown(session: &Session, call: &Call, object: &Value, done: &str) -> anyhow::Result<()> {
    if matches!(session.view.format, Format::Table) {
        eprintln!("{done}");
        return Ok(());
    }
    list::one(object, call.noun().shape(), &session.view)
}
