//! Sign-in of programs: login, refresh, logout, the current identity, a new password.

use super::sign_in::{ACCOUNT_PER_MINUTE, LoginForm, Visitor, admit, failed, limit, verify_password};
use crate::{
    answer::One,
    api::Api,
    auth::{ACCESS_SECONDS, BrowserSession, Caller, Claims, FIRST_ADMIN, Secret, check_new_password},
    problem::Problem,
    request::{Body, form},
};
use attune_common::store::{
    PgConnection, api_token, identity,
    refresh_token::{self, Presented},
    sign_in::Scope,
};
use attune_domain::{
    IdentityId,
    identity::{ApiToken, Identity, Role},
};
use axum::{
    Extension,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use std::sync::LazyLock;
use utoipa::ToSchema;
use uuid::Uuid;

const REFRESH_SECONDS: f64 = 14.0 * 86_400.0;

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

pub async fn login(State(api): State<Api>, visitor: Visitor, body: Body<LoginForm>) -> Result<Response, Problem> {
    let mut admitted = admit(&api, &visitor, body.form).await?;
    let tokens = issue(&api, &mut admitted.tx, admitted.id, Uuid::now_v7()).await?;
    admitted.commit(&api).await?;
    Ok(secret(One::new(tokens)))
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

pub async fn refresh(State(api): State<Api>, visitor: Visitor, body: Body<RefreshForm>) -> Result<Response, Problem> {
    let hash = Secret::hash_of(body.form.refresh_token.expose_secret());
    let refused = || Problem::unauthorized("the refresh token is invalid; sign in again");
    let mut tx = api.begin().await?;
    let presented = refresh_token::present(&mut tx, &hash).await?;
    let (identity_id, family) = match presented {
        Presented::Good { identity_id, family } => (identity_id, family),
        Presented::Reused { identity_id } => {
            let actor = format!("identity {identity_id}");
            visitor.record(&mut tx, &actor, "refresh_token_reused").await?;
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

/// The routes of the table with the role that they need, of all that need one.
#[derive(Debug, Clone, Copy)]
pub struct Rights(pub &'static LazyLock<Vec<(Role, String)>>);

impl Rights {
    /// The routes that a role may call.
    pub fn of(self, role: Role) -> Vec<&'static str> {
        let allowed = self.0.iter().filter(|(needed, _)| role.covers(*needed));
        allowed.map(|(_, route)| route.as_str()).collect()
    }
}

/// The caller, and what they may do.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    #[serde(flatten)]
    identity: Identity,
    /// The routes that the caller may call, such as `POST /api/v1/rules`.
    rights: Vec<&'static str>,
    /// The session of a browser; null for a token.
    session: Option<SessionEnd>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SessionEnd {
    /// When the session ends, unless the user does something before.
    expires_at: DateTime<Utc>,
}

pub async fn me(
    State(api): State<Api>,
    Extension(rights): Extension<Rights>,
    caller: Caller,
) -> Result<One<Me>, Problem> {
    let end = |browser: BrowserSession| SessionEnd {
        expires_at: browser.ends_at,
    };
    Ok(One::new(Me {
        identity: current(&api, &caller).await?,
        rights: rights.of(caller.role),
        session: caller.browser.map(end),
    }))
}

/// The identity of the caller, with the effective role: an API token may have a lower role than its owner.
pub(super) async fn current(api: &Api, caller: &Caller) -> Result<Identity, Problem> {
    let identity = identity::get(&api.pool, caller.identity_id).await?;
    let mut identity = identity.ok_or_else(|| Problem::unauthorized("sign in again"))?;
    identity.role = caller.role;
    Ok(identity)
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
