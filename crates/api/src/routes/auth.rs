//! Sign-in: login, refresh, logout, the current identity, a new password.
//!
//! The tricky thing is what an attacker may learn: an unknown account, a wrong password and a disabled account take the
//! same time and get the same answer, and attempts are counted before their result is known.

use crate::{
    answer::One,
    api::Api,
    auth::{ACCESS_SECONDS, Caller, Claims, FIRST_ADMIN, Secret, check_new_password},
    client::Client,
    problem::Problem,
    request::{Body, form},
    request_id::RequestId,
};
use attune_common::store::{
    PgConnection, api_token, audit,
    identity::{self, Credentials},
    refresh_token::{self, Presented},
    sign_in::{self, Attempts, Scope},
};
use attune_domain::{
    FieldErrors, IdentityId,
    identity::{ApiToken, Identity, is_login},
};
use axum::{
    Extension,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

const ACCOUNT_PER_MINUTE: i32 = 5;
const ADDRESS_PER_MINUTE: i32 = 20;
/// From an address where the account has signed in before.
const KNOWN_PER_MINUTE: i32 = 20;
const REFRESH_SECONDS: f64 = 14.0 * 86_400.0;

form! {
    pub struct LoginForm {
        /// The login; `username` is accepted as well.
        login: Option<String>,
        username: Option<String>,
        #[schema(value_type = String, format = Password)]
        password: Option<SecretString>,
    }
}

form! {
    pub struct RefreshForm {
        #[schema(value_type = String)]
        refresh_token: SecretString,
    }
}

form! {
    pub struct LogoutForm {}
}

form! {
    pub struct PasswordForm {
        #[schema(value_type = String, format = Password)]
        current_password: SecretString,
        #[schema(value_type = String, format = Password, min_length = 12, max_length = 256)]
        new_password: SecretString,
        /// Also revoke every API token of this user.
        end_tokens: bool = false,
    }
}

/// The API tokens that a new password revoked, and those that remain valid.
#[derive(Debug, Serialize, ToSchema)]
pub struct PasswordChanged {
    /// The numbers of the API tokens that were revoked.
    tokens_revoked: Vec<i64>,
    /// The API tokens that still work.
    tokens_kept: Vec<ApiToken>,
}

/// The tokens of a sign-in. A refresh token is valid once; using it again ends the sign-in.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tokens {
    access_token: String,
    refresh_token: String,
    token_type: &'static str,
    /// Seconds until the access token expires.
    expires_in: i64,
}

pub async fn login(
    State(api): State<Api>,
    client: Option<Extension<Client>>,
    Extension(request_id): Extension<RequestId>,
    body: Body<LoginForm>,
) -> Result<Response, Problem> {
    let form = body.form;
    let (login, password) = named(form)?;
    let client = client.map(|Extension(client)| client);
    let from = client.map_or_else(|| "unknown".to_owned(), Client::counted);
    let address = client.map_or_else(|| from.clone(), |client| client.address().to_string());
    let attempt = Attempt::begin(&api, &login, from).await?;
    let known = identity::credentials(&api.pool, &login).await?;
    let fits = verify_password(&api, known.as_ref(), password).await?;
    // People type passwords into the wrong field, so an unknown login is not stored.
    let actor = known
        .as_ref()
        .map_or_else(|| "unknown account".to_owned(), |known| known.login.clone());
    let mut entry = audit::Entry {
        actor: &actor,
        address: Some(&address),
        verb: "sign_in",
        object: "session",
        request_id: Some(&request_id.0),
        ..audit::Entry::default()
    };
    let mut tx = api.begin().await?;
    let Some(found) = known.filter(|known| fits && known.enabled) else {
        entry.verb = "sign_in_refused";
        audit::append(&mut tx, std::slice::from_ref(&entry)).await?;
        tx.commit().await?;
        metrics::counter!("attune_login_failures_total").increment(1);
        return Err(Problem::unauthorized("wrong login or password"));
    };
    let tokens = issue(&api, &mut tx, found.id, Uuid::now_v7()).await?;
    audit::append(&mut tx, std::slice::from_ref(&entry)).await?;
    sign_in::remember(&mut tx, found.id, &attempt.from).await?;
    tx.commit().await?;
    attempt.forgive(&api).await?;
    Ok(secret(One::new(tokens)))
}

/// An attempt to sign in, within its limits. Attempts from an address where the account has signed in before are counted
/// separately: neither wrong passwords from elsewhere nor guesses at other accounts lock it out there.
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

async fn limit(api: &Api, scope: Scope, key: &str, per_minute: i32) -> Result<(), Problem> {
    let Attempts { count, seconds_left } = sign_in::count(&api.pool, scope, key).await?;
    if count <= per_minute {
        return Ok(());
    }
    let seconds = u32::try_from(seconds_left.clamp(1, 60)).unwrap_or(60);
    let detail = format!("too many sign-in attempts; retry in {seconds} seconds");
    Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", detail).retry_after(seconds))
}

async fn verify_password(api: &Api, known: Option<&Credentials>, password: SecretString) -> Result<bool, Problem> {
    let hash = known.map(|known| known.password_hash.clone());
    api.hashing.verify(password, hash).await.map_err(|error| failed(&error))
}

fn failed(error: &anyhow::Error) -> Problem {
    tracing::error!(error = format!("{error:#}"), "failed to sign in");
    Problem::internal()
}

async fn issue(
    api: &Api,
    connection: &mut PgConnection,
    identity: IdentityId,
    family: Uuid,
) -> Result<Tokens, Problem> {
    let refresh = Secret::new(Secret::REFRESH_TOKEN);
    refresh_token::insert(connection, &refresh.hash, family, identity, REFRESH_SECONDS).await?;
    let access_token = api
        .keys
        .sign(&Claims::new(identity, family))
        .map_err(|error| failed(&error))?;
    Ok(Tokens {
        access_token,
        refresh_token: refresh.text.expose_secret().to_owned(),
        token_type: "Bearer",
        expires_in: ACCESS_SECONDS,
    })
}

/// Answers with secrets must not be cached.
pub(super) fn secret(answer: impl IntoResponse) -> Response {
    ([(axum::http::header::CACHE_CONTROL, "no-store")], answer).into_response()
}

pub async fn refresh(
    State(api): State<Api>,
    client: Option<Extension<Client>>,
    Extension(request_id): Extension<RequestId>,
    body: Body<RefreshForm>,
) -> Result<Response, Problem> {
    let hash = Secret::hash_of(body.form.refresh_token.expose_secret());
    let refused = || Problem::unauthorized("the refresh token is invalid; sign in again");
    let mut tx = api.begin().await?;
    let presented = refresh_token::present(&mut tx, &hash).await?;
    let (identity_id, family) = match presented {
        Presented::Good { identity_id, family } => (identity_id, family),
        Presented::Reused { identity_id } => {
            let address = client.map(|Extension(client)| client.address().to_string());
            let entry = audit::Entry {
                actor: &format!("identity {identity_id}"),
                address: address.as_deref(),
                verb: "refresh_token_reused",
                object: "session",
                request_id: Some(&request_id.0),
                ..audit::Entry::default()
            };
            audit::append(&mut tx, std::slice::from_ref(&entry)).await?;
            tx.commit().await?;
            api.sessions.forget();
            tracing::warn!(%identity_id, "a refresh token was used twice; ended its sign-in");
            return Err(refused());
        }
        Presented::Refused => return Err(refused()),
    };
    let identity = identity::get(&mut *tx, identity_id).await?;
    if !identity.is_some_and(|identity| identity.enabled) {
        return Err(refused());
    }
    let tokens = issue(&api, &mut tx, identity_id, family).await?;
    tx.commit().await?;
    Ok(secret(One::new(tokens)))
}

/// Ends this sign-in: its access token within five seconds, its refresh token at once.
pub async fn logout(State(api): State<Api>, caller: Caller, _: Body<LogoutForm>) -> Result<StatusCode, Problem> {
    let Some(family) = caller.family else {
        return Err(Problem::conflict(
            "not_signed_in",
            "an API token cannot sign out; revoke it",
        ));
    };
    let mut tx = api.begin().await?;
    refresh_token::revoke_family(&mut tx, family).await?;
    crate::audit::note(&mut tx, &caller, "sign_out", "session").await?;
    tx.commit().await?;
    api.sessions.forget();
    Ok(StatusCode::NO_CONTENT)
}

pub async fn me(State(api): State<Api>, caller: Caller) -> Result<One<Identity>, Problem> {
    let identity = identity::get(&api.pool, caller.identity_id).await?;
    let mut identity = identity.ok_or_else(|| Problem::unauthorized("sign in again"))?;
    // An API token may have a lower role than its owner.
    identity.role = caller.role;
    Ok(One::new(identity))
}

/// Ends every sign-in of this identity, this one included. API tokens stay unless `end_tokens` is set.
pub async fn password(
    State(api): State<Api>,
    caller: Caller,
    body: Body<PasswordForm>,
) -> Result<One<PasswordChanged>, Problem> {
    let form = body.form;
    if caller.token_id.is_some() {
        return Err(Problem::forbidden(
            "an API token cannot change a password; sign in instead",
        ));
    }
    limit(&api, Scope::Password, &caller.login, ACCOUNT_PER_MINUTE).await?;
    let known = identity::credentials(&api.pool, &caller.login).await?;
    if !verify_password(&api, known.as_ref(), form.current_password).await? {
        return Err(Problem::field("current_password", "is wrong"));
    }
    check_new_password("new_password", &form.new_password)?;
    let hash = api
        .hashing
        .hash(form.new_password)
        .await
        .map_err(|error| failed(&error))?;
    let mut tx = api.begin().await?;
    identity::set_password(&mut tx, caller.identity_id, &hash).await?;
    crate::audit::note(&mut tx, &caller, "set_password", &format!("identity {}", caller.login)).await?;
    let tokens_revoked = if form.end_tokens {
        api_token::revoke_all(&mut tx, caller.identity_id).await?
    } else {
        Vec::new()
    };
    for id in &tokens_revoked {
        crate::audit::note(&mut tx, &caller, "revoke", &format!("token {id}")).await?;
    }
    let tokens_kept = api_token::live_of(&mut tx, caller.identity_id).await?;
    tx.commit().await?;
    api.sessions.forget();
    if caller.login == FIRST_ADMIN {
        api.config.forget_generated_password();
    }
    Ok(One::new(PasswordChanged {
        tokens_revoked,
        tokens_kept,
    }))
}
