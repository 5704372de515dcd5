//! What all ways to sign in with a password have in common: limits on attempts, the same time and answer for every
//! refusal, and the audit.
//!
//! The tricky thing is what an attacker may learn: an unknown account, a wrong password and a disabled account take the
//! same time and get the same answer, and attempts are counted before their result is known.

use crate::{api::Api, client::Client, problem::Problem, request::form, request_id::RequestId};
use attune_common::store::{
    PgConnection, Transaction, audit,
    identity::{self, Credentials},
    sign_in::{self, Attempts, Scope},
};
use attune_domain::{FieldErrors, IdentityId, identity::is_login};
use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};
use secrecy::SecretString;
use std::convert::Infallible;

pub const ACCOUNT_PER_MINUTE: i32 = 5;
pub const ADDRESS_PER_MINUTE: i32 = 20;
/// From an address where the account has signed in before.
const KNOWN_PER_MINUTE: i32 = 20;

form! {
    pub struct LoginForm {
        /// The login; `username` is accepted as well.
        login: Option<String>,
        username: Option<String>,
        #[schema(value_type = String, format = Password)]
        password: Option<SecretString>,
    }
}

/// A client that is not signed in yet.
#[derive(Debug)]
pub struct Visitor {
    client: Option<Client>,
    request_id: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self {
            client: parts.extensions.get::<Client>().copied(),
            request_id: parts.extensions.get::<RequestId>().cloned().unwrap_or_default().0,
        })
    }
}

impl Visitor {
    /// The key of limits.
    pub fn counted(&self) -> String {
        self.client.map_or_else(|| "unknown".to_owned(), Client::counted)
    }

    /// Whether the request comes from this machine.
    pub fn is_local(&self) -> bool {
        self.client.is_some_and(|client| client.address().is_loopback())
    }

    /// Records what somebody who is not signed in did.
    pub async fn record(&self, connection: &mut PgConnection, actor: &str, verb: &str) -> Result<(), Problem> {
        let address = self.client.map(|client| client.address().to_string());
        let entry = audit::Entry {
            actor,
            address: address.as_deref(),
            verb,
            object: "session",
            request_id: Some(&self.request_id),
            ..audit::Entry::default()
        };
        Ok(audit::append(connection, std::slice::from_ref(&entry)).await?)
    }
}

/// A sign-in with the right password, whose transaction is open.
#[derive(Debug)]
pub struct Admitted {
    pub id: IdentityId,
    pub tx: Transaction,
    attempt: Attempt,
}

impl Admitted {
    pub async fn commit(self, api: &Api) -> Result<(), Problem> {
        self.tx.commit().await?;
        self.attempt.forgive(api).await
    }
}

/// Checks a password.
pub async fn admit(api: &Api, visitor: &Visitor, form: LoginForm) -> Result<Admitted, Problem> {
    let (login, password) = named(form)?;
    let attempt = Attempt::begin(api, &login, visitor.counted()).await?;
    let known = identity::credentials(&api.pool, &login).await?;
    let fits = verify_password(api, known.as_ref(), password).await?;
    // People type passwords into the wrong field, so an unknown login is not stored.
    let actor = known
        .as_ref()
        .map_or_else(|| "unknown account".to_owned(), |known| known.login.clone());
    let mut tx = api.begin().await?;
    let Some(found) = known.filter(|known| fits && known.enabled) else {
        visitor.record(&mut tx, &actor, "sign_in_refused").await?;
        tx.commit().await?;
        metrics::counter!("attune_login_failures_total").increment(1);
        return Err(Problem::unauthorized("wrong login or password"));
    };
    visitor.record(&mut tx, &actor, "sign_in").await?;
    sign_in::remember(&mut tx, found.id, &attempt.from).await?;
    Ok(Admitted {
        id: found.id,
        tx,
        attempt,
    })
}

/// An attempt to sign in, within its limits. Attempts from an address where the account has signed in before are counted
/// separately: neither wrong passwords from elsewhere nor guesses at other accounts lock it out there.
#[derive(Debug)]
struct Attempt {
    /// The pseudonym of the given login.
    account: String,
    from: String,
    remembered: bool,
}

impl Attempt {
    async fn begin(api: &Api, login: &str, from: String) -> Result<Self, Problem> {
        let remembered = sign_in::remembers(&api.pool, login, &from).await?;
        let attempt = Self {
            account: api.keys.pseudonym(login),
            from,
            remembered,
        };
        if remembered {
            limit(api, Scope::Known, &attempt.known(), KNOWN_PER_MINUTE).await?;
        } else {
            limit(api, Scope::Address, &attempt.from, ADDRESS_PER_MINUTE).await?;
            limit(api, Scope::Account, &attempt.account, ACCOUNT_PER_MINUTE).await?;
        }
        Ok(attempt)
    }

    fn known(&self) -> String {
        format!("{} {}", self.account, self.from)
    }

    /// Takes back what was counted, after a success.
    async fn forgive(&self, api: &Api) -> Result<(), Problem> {
        if self.remembered {
            sign_in::forgive_all(&api.pool, Scope::Known, &self.known()).await?;
        } else {
            sign_in::forgive(&api.pool, Scope::Address, &self.from).await?;
            sign_in::forgive_all(&api.pool, Scope::Account, &self.account).await?;
        }
        Ok(())
    }
}

fn named(form: LoginForm) -> Result<(String, SecretString), Problem> {
    let mut errors = FieldErrors::new();
    if let (Some(login), Some(username)) = (&form.login, &form.username)
        && login != username
    {
        errors.add("username", "differs from login; give one of them");
    }
    let login = form.login.or(form.username);
    if login.is_none() {
        errors.add("username", "is missing (`login` is accepted as well)");
    }
    if form.password.is_none() {
        errors.add("password", "is missing");
    }
    let (Some(login), Some(password), true) = (login, form.password, errors.is_empty()) else {
        return Err(Problem::invalid(errors));
    };
    let login = login.trim().to_lowercase();
    // An invalid login is counted and refused like an unknown one.
    Ok((if is_login(&login) { login } else { "-".to_owned() }, password))
}

pub async fn limit(api: &Api, scope: Scope, key: &str, per_minute: i32) -> Result<(), Problem> {
    let Attempts { count, seconds_left } = sign_in::count(&api.pool, scope, key).await?;
    if count <= per_minute {
        return Ok(());
    }
    let seconds = u32::try_from(seconds_left.clamp(1, 60)).unwrap_or(60);
    let detail = format!("too many sign-in attempts; retry in {seconds} seconds");
    Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", detail).retry_after(seconds))
}

pub async fn verify_password(api: &Api, known: Option<&Credentials>, password: SecretString) -> Result<bool, Problem> {
    let hash = known.map(|known| known.password_hash.clone());
    api.hashing.verify(password, hash).await.map_err(|error| failed(&error))
}

pub fn failed(error: &anyhow::Error) -> Problem {
    tracing::error!(error = format!("{error:#}"), "failed to sign in");
    Problem::internal()
}
