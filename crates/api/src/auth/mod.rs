//! Who is asking, and may they?
//!
//! Every route declares the [`Right`] it needs in the one table of `router`; [`authorize`] stands in front of every
//! handler. Two kinds of proof are taken: an access token (JWT, fifteen minutes) from a sign-in, and an API token
//! (`atn_…`) of a program. Whoever is switched off, signs out or changes the password is refused within five seconds.

mod first_admin;
mod password;
mod rate;
mod secret;
mod session;
mod token;

pub use crate::client::Peer;
pub use first_admin::{FirstAdmin, LOGIN as FIRST_ADMIN, ensure_admin};
pub use password::{Hashing, check_new_password};
pub use rate::{Quota, Rates};
pub use secret::{Secret, hex};
pub use session::{Proof, Sessions};
pub use token::{ACCESS_SECONDS, Claims, Keys};

use crate::{
    api::Api,
    client::Client,
    problem::Problem,
    request::room::{Sender, Share},
    request_id::RequestId,
};
use attune_common::{clock, store};
use attune_domain::{IdentityId, identity::Role};
use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use uuid::Uuid;

/// What a route asks of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Nothing: sign-in itself, health, documentation.
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

/// Somebody who proved who they are.
#[derive(Debug, Clone)]
pub struct Caller {
    pub identity_id: IdentityId,
    pub login: String,
    pub role: Role,
    /// The API token that was shown, when it was one.
    pub token_id: Option<i64>,
    /// The sign-in that the access token comes from.
    pub family: Option<Uuid>,
    pub address: Option<String>,
    pub request_id: String,
}

impl Caller {
    /// Under whose name keys of repeats are kept.
    pub fn key(&self) -> String {
        format!("identity:{}", self.identity_id)
    }

    /// Who did it, for the audit.
    pub fn actor(&self) -> String {
        match self.token_id {
            Some(token) => format!("{} (token {token})", self.login),
            None => self.login.clone(),
        }
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

/// The right by which a request was let in, for those that stay: it can be looked at again.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    proof: Proof,
    issued_at: Option<i64>,
    /// When the access token ends, in Unix seconds.
    expires_at: Option<i64>,
    needed: Role,
}

impl Standing {
    /// Would the request be let in now?
    pub async fn holds(&self, api: &Api) -> Result<bool, store::Error> {
        if self.expires_at.is_some_and(|end| end <= clock::now().timestamp()) {
            return Ok(false);
        }
        let session = api.sessions.find(&api.pool, self.proof, self.issued_at).await?;
        Ok(session.is_some_and(|(_, session)| session.role.covers(self.needed)))
    }
}

/// Stands in front of a route: lets through whoever has its right.
pub async fn authorize(
    State((api, right)): State<(Api, Right)>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(needed) = right.role() else {
        return Ok(next.run(request).await);
    };
    let (mut parts, body) = request.into_parts();
    let (caller, standing) = identify(&api, &parts, needed).await?;
    let quota = api.rates.draw(&caller.key());
    let answered = async {
        if quota.is_some_and(|quota| !quota.allowed) {
            let detail = "too many requests: wait 1 second, or send fewer at once";
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail).retry_after(1));
        }
        if !caller.role.covers(needed) {
            let detail = format!("this needs the role {needed}; {} has {}", caller.login, caller.role);
            return Err(Problem::forbidden(detail));
        }
        if let Some(share) = parts.extensions.get::<Share>() {
            share.is_of(Sender::SignedIn);
        }
        parts.extensions.insert(caller);
        parts.extensions.insert(standing);
        Ok(next.run(Request::from_parts(parts, body)).await)
    };
    let mut response = answered.await.into_response();
    if let Some(quota) = quota {
        quota.tell(response.headers_mut());
    }
    Ok(response)
}

async fn identify(api: &Api, request: &Parts, needed: Role) -> Result<(Caller, Standing), Problem> {
    let token =
        bearer(&request.headers).ok_or_else(|| Problem::unauthorized("send a token: authorization: Bearer …"))?;
    let (proof, issued_at, expires_at) = if token.starts_with(Secret::API_TOKEN) {
        (Proof::ApiToken(secret::hash(token)), None, None)
    } else {
        let claims = api
            .keys
            .verify(token)
            .ok_or_else(|| Problem::unauthorized("the token is not valid, or it has expired"))?;
        let (identity_id, family) = (claims.identity_id(), claims.sid);
        let proof = identity_id.map(|identity_id| Proof::SignIn { identity_id, family });
        (
            proof.ok_or_else(|| Problem::unauthorized("the token is not valid"))?,
            Some(claims.iat),
            Some(claims.exp),
        )
    };
    let session = api.sessions.find(&api.pool, proof, issued_at).await?;
    let (token_id, session) =
        session.ok_or_else(|| Problem::unauthorized("the token has been revoked, or it has expired"))?;
    let family = match proof {
        Proof::SignIn { family, .. } => Some(family),
        Proof::ApiToken(_) => None,
    };
    let standing = Standing {
        proof,
        issued_at,
        expires_at,
        needed,
    };
    let caller = Caller {
        identity_id: session.identity_id,
        login: session.login,
        role: session.role,
        token_id,
        family,
        address: request
            .extensions
            .get::<Client>()
            .map(|client| client.address().to_string()),
        request_id: request.extensions.get::<RequestId>().cloned().unwrap_or_default().0,
    };
    Ok((caller, standing))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && (1..=4096).contains(&token.len())).then_some(token)
}
