//! `attune user`: who may sign in, at the database itself. For the first accounts, for scripts, and for whoever is locked out.
//!
//! A password never stands in the arguments, where everybody on the machine can read it.

use crate::{
    cli::{NewPassword, NewUser, UserCommand},
    database::{self, Database},
    prompt, say,
};
use anyhow::Context as _;
use attune_api::auth::{FIRST_ADMIN, Hashing, check_new_password};
use attune_common::{
    config::variable,
    store::{self, Transaction, api_token, identity},
};
use attune_domain::{
    IdentityId,
    identity::{Identity, Role, is_login},
};
use secrecy::{ExposeSecret as _, SecretString};

pub fn run(command: &UserCommand) -> anyhow::Result<()> {
    match command {
        UserCommand::List(asked) => database::with(&asked.place, |on| list(on, asked.json)),
        UserCommand::Add(asked) => database::with(&asked.named.place, |on| add(on, asked)),
        UserCommand::Passwd(asked) => database::with(&asked.named.place, |on| set_password(on, asked)),
        UserCommand::Disable(asked) => database::with(&asked.place, |on| switch(on, &asked.login, false)),
        UserCommand::Enable(asked) => database::with(&asked.place, |on| switch(on, &asked.login, true)),
    }
}

async fn list(on: Database, json: bool) -> anyhow::Result<()> {
    let users = all(&on).await?;
    if json {
        return say::json(&users);
    }
    let rows = users.iter().map(|user| {
        let state = if user.enabled { "enabled" } else { "disabled" };
        vec![
            user.id.to_string(),
            user.login.clone(),
            user.role.to_string(),
            state.to_owned(),
            user.display_name.clone(),
        ]
    });
    say::table(&["ID", "LOGIN", "ROLE", "STATE", "NAME"], rows);
    Ok(())
}

async fn all(on: &Database) -> anyhow::Result<Vec<Identity>> {
    let mut users: Vec<Identity> = Vec::new();
    loop {
        let after = users.last().map(|user| user.login.clone());
        let more = identity::page(&on.pool, after.as_deref(), 200).await?;
        if more.is_empty() {
            return Ok(users);
        }
        users.extend(more);
    }
}

async fn add(on: Database, asked: &NewUser) -> anyhow::Result<()> {
    let login = &asked.named.login;
    anyhow::ensure!(
        is_login(login),
        "{login:?} cannot be a login: lower-case letters, digits, `.`, `_`, `@` and `-`, at most 64"
    );
    let hash = hash(login).await?;
    let mut tx = Transaction::begin(&on.pool).await?;
    let name = asked.name.as_deref().unwrap_or(login);
    let id = match identity::insert(&mut tx, login, name, &hash, asked.role).await {
        Ok(id) => id,
        Err(error) if store::violation(&error).is_some_and(|it| it.constraint == "identity_login_unique") => {
            anyhow::bail!("there is a user {login} already: `attune user passwd {login}` sets another password");
        }
        Err(error) => return Err(error).context("failed to write the user"),
    };
    let made = identity::get(&mut *tx, id).await?;
    say::audit(&mut tx, "create", &format!("identity {login}"), (None, made.as_ref())).await?;
    tx.commit().await?;
    println!("{id}");
    eprintln!("created the user {login} ({})", asked.role);
    Ok(())
}

async fn set_password(on: Database, asked: &NewPassword) -> anyhow::Result<()> {
    let login = asked.named.login.as_str();
    let id = known(&on, login).await?;
    let hash = hash(login).await?;
    let mut tx = Transaction::begin(&on.pool).await?;
    identity::set_password(&mut tx, id, &hash).await?;
    say::note(&mut tx, "set_password", &format!("identity {login}")).await?;
    let revoked = if asked.end_tokens {
        api_token::revoke_all(&mut tx, id).await?
    } else {
        Vec::new()
    };
    for token in &revoked {
        say::note(&mut tx, "revoke", &format!("token {token}")).await?;
    }
    let kept = api_token::live_of(&mut tx, id).await?;
    tx.commit().await?;
    if login == FIRST_ADMIN {
        on.config.forget_generated_password();
    }
    eprintln!("set a new password for {login}; earlier sign-ins have ended");
    if !revoked.is_empty() {
        eprintln!("revoked {} API tokens", revoked.len());
    }
    for token in &kept {
        eprintln!(
            "API token {} ({}, {}) still works; `attune token revoke {0}` ends it",
            token.id, token.role, token.label
        );
    }
    Ok(())
}

async fn switch(on: Database, login: &str, enabled: bool) -> anyhow::Result<()> {
    let id = known(&on, login).await?;
    let mut tx = Transaction::begin(&on.pool).await?;
    // First: this waits for whoever is changing an admin.
    let other_admin = identity::other_admin(&mut tx, id).await?;
    let user = identity::get(&mut *tx, id).await?.context("the user is gone")?;
    anyhow::ensure!(
        enabled || user.role != Role::Admin || other_admin,
        "{login} is the last admin who may sign in: make another one first (attune user add NAME --role admin)"
    );
    identity::update(&mut tx, id, &user.display_name, user.role, enabled).await?;
    let verb = if enabled { "enable" } else { "disable" };
    let after = identity::get(&mut *tx, id).await?;
    say::audit(
        &mut tx,
        verb,
        &format!("identity {login}"),
        (Some(&user), after.as_ref()),
    )
    .await?;
    tx.commit().await?;
    if enabled {
        eprintln!("{login} may sign in again");
    } else {
        eprintln!("{login} is out: sign-ins and API tokens end within 5 seconds");
    }
    Ok(())
}

/// The number behind a login.
pub async fn known(on: &Database, login: &str) -> anyhow::Result<IdentityId> {
    let found = identity::credentials(&on.pool, login).await?;
    let found = found.with_context(|| format!("there is no user {login}: `attune user list` tells who there is"))?;
    Ok(found.id)
}

async fn hash(login: &str) -> anyhow::Result<String> {
    let password = password(login)?;
    check_new_password("the password", &password).map_err(|errors| anyhow::anyhow!("{errors}"))?;
    Hashing::new()?.hash(password).await
}

/// From the environment, or what somebody types, or the first line of what is piped in.
fn password(login: &str) -> anyhow::Result<SecretString> {
    if let Some(given) = variable("ATTUNE_USER_PASSWORD") {
        return Ok(given.into());
    }
    let given = prompt::secret(&format!("password of {login}: "))?;
    anyhow::ensure!(
        !given.expose_secret().is_empty(),
        "a password is missing: pipe it in, set ATTUNE_USER_PASSWORD, or run this in a terminal"
    );
    Ok(given)
}
