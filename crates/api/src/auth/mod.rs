//! Authentication and authorization.
//!
//! Every route declares the [`Right`] it needs in `table`; [`authorize`] runs before every handler. There are three kinds of
//! credentials: an access token (JWT, fifteen minutes) from a sign-in, an API token (`atn_…`) of a program, and the cookie of
//! a browser. After an identity is disabled, signs out or changes the password, they are refused within five seconds.

pub mod browser;
mod first_admin;
mod link;
mod password;
mod rate;
mod secret;
mod session;
mod token;

pub use crate::client::Peer;
pub use first_admin::{FirstAdmin, LOGIN as FIRST_ADMIN, ensure_admin};
pub use link::sign_in_link;
pub use password::{Hashing, check_new_password};
pub use rate::{Quota, Rates};
pub use secret::Secret;
pub use session::{BrowserSession, Proof, Sessions};
pub use token::{ACCESS_SECONDS, Claims, Keys};

use browser::Sites;

use crate::{
    client::Client,
    problem::Problem,
    request::body_budget::{Reservation, Sender},
    request_id::RequestId,
};
use attune_common::{
    clock,
    store::{self, PgPool},
};
use attune_domain::{IdentityId, identity::Role};
use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use std::sync::Arc;
use uuid::Uuid;

/// What a route requires of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// No credentials: sign-in, documentation, webhooks.
    Public,
    Viewer,
    Operator,
    Editor,
    Admin,
}

impl Right {
    pub fn role(self) -> Option<Role> {
        match self {
            Self::Public => None,
            Self::Viewer => Some(Role::Viewer),
            Self::Operator => Some(Role::Operator),
            Self::Editor => Some(Role::Editor),
            Self::Admin => Some(Role::Admin),
        }
    }
}

/// An authenticated caller.
#[derive(Debug, Clone)]
pub struct Caller {
    pub identity_id: IdentityId,
    pub login: String,
    pub role: Role,
    /// The API token, if the request has one.
    pub token_id: Option<i64>,
    /// The sign-in that the access token or the cookie belongs to.
    pub family: Option<Uuid>,
    /// The session of the browser, if the request has a cookie instead of a token.
    pub browser: Option<BrowserSession>,
    pub address: Option<String>,
    pub request_id: String,
}

impl Caller {
    /// The owner of idempotency keys and of a rate limit.
    pub fn key(&self) -> String {
        format!("identity:{}", self.identity_id)
    }

    /// The actor of an audit entry.
    pub fn actor(&self) -> String {
        match self.token_id {
            Some(token) => format!("{} (token {token})", self.login),
            None => self.login.clone(),
        }
    }

    /// Refuses a browser whose user has not proved recently who they are, for requests that outlive its session.
    pub fn check_step_up(&self) -> Result<(), Problem> {
        if self.browser.is_none_or(|browser| browser.verified) {
            return Ok(());
        }
        let detail = "enter your password again: you signed in more than 10 minutes ago";
        Err(Problem::new(StatusCode::FORBIDDEN, "step_up", detail))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Problem::unauthorized("sign in first"))
    }
}

/// The credentials and the right of a request that stays open, such as a stream: they can be checked again.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    proof: Proof,
    issued_at: Option<i64>,
    /// When the access token expires, in Unix seconds.
    expires_at: Option<i64>,
    needed: Role,
}

impl Standing {
    /// Whether the request would still be authorized.
    pub async fn is_valid(&self, sessions: &Sessions, pool: &PgPool) -> Result<bool, store::Error> {
        if self.expires_at.is_some_and(|end| end <= clock::now().timestamp()) {
            return Ok(false);
        }
        let found = sessions.find(pool, self.proof, self.issued_at).await?;
        Ok(found.is_some_and(|found| found.session.role.covers(self.needed)))
    }
}

/// What is needed to authenticate a caller.
#[derive(Debug)]
pub struct Authority {
    pub keys: Arc<Keys>,
    pub sites: Sites,
    pub sessions: Sessions,
    pub rates: Rates,
    pub pool: PgPool,
}

/// Runs before every handler: refuses callers without the right of the route.
pub async fn authorize(
    State((authority, right)): State<(Arc<Authority>, Right)>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(needed) = right.role() else {
        return Ok(next.run(request).await);
    };
    let (mut parts, body) = request.into_parts();
    let (caller, standing) = identify(&authority, &parts, needed).await?;
    let quota = authority.rates.draw(&caller.key());
    let answered = async {
        if quota.is_some_and(|quota| !quota.allowed) {
            let detail = "rate limit exceeded; wait 1 second, or send fewer requests at once";
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail).retry_after(1));
        }
        if !caller.role.covers(needed) {
            let detail = format!("requires the role {needed}; {} has {}", caller.login, caller.role);
            return Err(Problem::forbidden(detail));
        }
        if let Some(reservation) = parts.extensions.get::<Reservation>() {
            reservation.set_sender(Sender::SignedIn);
        }
        parts.extensions.insert(caller);
        parts.extensions.insert(standing);
        Ok(next.run(Request::from_parts(parts, body)).await)
    };
    let mut response = answered.await.into_response();
    if let Some(quota) = quota {
        quota.add_headers(response.headers_mut());
    }
    Ok(response)
}

async fn identify(authority: &Authority, request: &Parts, needed: Role) -> Result<(Caller, Standing), Problem> {
    let (proof, issued_at, expires_at) = credentials(authority, request)?;
    let found = authority.sessions.find(&authority.pool, proof, issued_at).await?;
    let found = found.ok_or_else(|| match proof {
        Proof::Cookie { .. } => Problem::unauthorized("the session has ended; sign in again"),
        Proof::SignIn { .. } | Proof::ApiToken(_) => Problem::unauthorized("the token has been revoked or has expired"),
    })?;
    let family = match proof {
        Proof::SignIn { family, .. } => Some(family),
        Proof::ApiToken(_) | Proof::Cookie { .. } => found.browser.map(|browser| browser.family),
    };
    let standing = Standing {
        proof: proof.at_rest(),
        issued_at,
        expires_at,
        needed,
    };
    let session = found.session;
    let caller = Caller {
        identity_id: session.identity_id,
        login: session.login,
        role: session.role,
        token_id: found.token_id,
        family,
        browser: found.browser,
        address: request
            .extensions
            .get::<Client>()
            .map(|client| client.address().to_string()),
        request_id: request.extensions.get::<RequestId>().cloned().unwrap_or_default().0,
    };
    Ok((caller, standing))
}

/// The proof of a request, and when its access token was issued and expires. A token takes precedence over a cookie.
fn credentials(authority: &Authority, request: &Parts) -> Result<(Proof, Option<i64>, Option<i64>), Problem> {
    let Some(token) = bearer(&request.headers) else {
        let hash = browser::presented(&request.headers)
            .ok_or_else(|| Problem::unauthorized("missing token; send `Authorization: Bearer …`"))?;
        authority.sites.check(&request.method, &request.headers)?;
        let active = browser::is_active(&request.headers);
        return Ok((Proof::Cookie { hash, active }, None, None));
    };
    if token.starts_with(Secret::API_TOKEN) {
        return Ok((Proof::ApiToken(secret::hash(token)), None, None));
    }
    let claims = authority
        .keys
        .verify(token)
        .ok_or_else(|| Problem::unauthorized("the token is invalid or expired"))?;
    let (identity_id, family) = (claims.identity_id(), claims.sid);
    let proof = identity_id.map(|identity_id| Proof::SignIn { identity_id, family });
    let proof = proof.ok_or_else(|| Problem::unauthorized("the token is invalid"))?;
    Ok((proof, Some(claims.iat), Some(claims.exp)))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && (1..=4096).contains(&token.len())).then_some(token)
}
