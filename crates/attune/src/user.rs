//! `attune user`: manages users directly in the database, for the first accounts, for scripts, and for users who are locked
//! out.
//!
//! A password is never an argument, because every user of the machine can read arguments.

use crate::{
    cli::{NewPassword, NewUser, UserCommand},
    database::{self, Database},
    output, prompt,
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
        UserCommand::List(options) => database::with(&options.database, |on| list(on, options.json)),
        UserCommand::Add(options) => database::with(&options.user.database, |on| add(on, options)),
        UserCommand::Passwd(options) => database::with(&options.user.database, |on| set_password(on, options)),
        UserCommand::Disable(options) => database::with(&options.database, |on| switch(on, &options.login, false)),
        UserCommand::Enable(options) => database::with(&options.database, |on| switch(on, &options.login, true)),
    }
}

async fn list(on: Database, json: bool) -> anyhow::Result<()> {
    let users = all(&on).await?;
    if json {
        return output::json(&users);
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
    output::table(&["ID", "LOGIN", "ROLE", "STATE", "NAME"], rows);
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

async fn add(on: Database, options: &NewUser) -> anyhow::Result<()> {
    let login = &options.user.login;
    anyhow::ensure!(
        is_login(login),
        "{login:?} cannot be a login: use at most 64 lower-case letters, digits, `.`, `_`, `@` and `-`"
    );
    let hash = hash(login).await?;
    let mut tx = Transaction::begin(&on.pool).await?;
    let name = options.name.as_deref().unwrap_or(login);
    let id = match identity::insert(&mut tx, login, name, &hash, options.role).await {
        Ok(id) => id,
        Err(error) if store::violation(&error).is_some_and(|it| it.constraint == "identity_login_unique") => {
            anyhow::bail!("the user {login} exists already; `attune admin user passwd {login}` sets a new password");
        }
        Err(error) => return Err(error).context("failed to write the user"),
    };
    let made = identity::get(&mut *tx, id).await?;
    output::audit(&mut tx, "create", &format!("identity {login}"), (None, made.as_ref())).await?;
    tx.commit().await?;
    println!("{id}");
    eprintln!("created the user {login} ({})", options.role);
    Ok(())
}

async fn set_password(on: Database, options: &NewPassword) -> anyhow::Result<()> {
    let login = options.user.login.as_str();
    let id = known(&on, login).await?;
    let hash = hash(login).await?;
    let mut tx = Transaction::begin(&on.pool).await?;
    identity::set_password(&mut tx, id, &hash).await?;
    output::note(&mut tx, "set_password", &format!("identity {login}")).await?;
    let revoked = if options.end_tokens {
        api_token::revoke_all(&mut tx, id).await?
    } else {
        Vec::new()
    };
    for token in &revoked {
        output::note(&mut tx, "revoke", &format!("token {token}")).await?;
    }
    let remaining = api_token::live_of(&mut tx, id).await?;
    tx.commit().await?;
    if login == FIRST_ADMIN {
        on.config.forget_generated_password();
    }
    eprintln!("set a new password for {login} and ended all sessions");
    if !revoked.is_empty() {
        eprintln!("revoked {} API tokens", revoked.len());
    }
    for token in &remaining {
        eprintln!(
            "API token {} ({}, {}) remains valid; `attune admin token revoke {0}` revokes it",
            token.id, token.role, token.label
        );
    }
    Ok(())
}

async fn switch(on: Database, login: &str, enabled: bool) -> anyhow::Result<()> {
    let id = known(&on, login).await?;
    let mut tx = Transaction::begin(&on.pool).await?;
    // First, because this waits for concurrent changes of admins.
    let other_admin = identity::other_admin(&mut tx, id).await?;
    let user = identity::get(&mut *tx, id).await?.context("the user is gone")?;
    anyhow::ensure!(
        enabled || user.role != Role::Admin || other_admin,
        "{login} is the last admin who can sign in: create another one first (attune admin user add NAME --role admin)"
    );
    identity::update(&mut tx, id, &user.display_name, user.role, enabled).await?;
    let verb = if enabled { "enable" } else { "disable" };
    let after = identity::get(&mut *tx, id).await?;
    output::audit(
        &mut tx,
        verb,
        &format!("identity {login}"),
        (Some(&user), after.as_ref()),
    )
    .await?;
    tx.commit().await?;
    if enabled {
        eprintln!("enabled {login}");
    } else {
        eprintln!("disabled {login}; sessions and API tokens expire within 5 seconds");
    }
    Ok(())
}

/// The id of a user.
pub async fn known(on: &Database, login: &str) -> anyhow::Result<IdentityId> {
    let found = identity::credentials(&on.pool, login).await?;
    let found = found.with_context(|| format!("no user {login} exists; `attune admin user list` lists all users"))?;
    Ok(found.id)
}

async fn hash(login: &str) -> anyhow::Result<String> {
    let password = password(login)?;
    check_new_password("the password", &password).map_err(|errors| anyhow::anyhow!("{errors}"))?;
    Hashing::new()?.hash(password).await
}

/// Reads the password from the environment, the terminal, or the first line of standard input.
fn password(login: &str) -> anyhow::Result<SecretString> {
    if let Some(given) = variable("ATTUNE_USER_PASSWORD") {
        return Ok(given.into());
    }
    let given = prompt::secret(&format!("password of {login}: "))?;
    anyhow::ensure!(
        !given.expose_secret().is_empty(),
        "a password is missing: set ATTUNE_USER_PASSWORD, pipe it to standard input, or run this in a terminal"
    );
    Ok(given)
}
