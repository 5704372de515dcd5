//! Sessions of browsers: an opaque cookie, which scripts cannot read.

use super::{
    auth::{Rights, secret},
    sign_in::{ADDRESS_PER_MINUTE, LoginForm, Visitor, admit, limit},
};
use crate::{
    answer::One,
    api::Api,
    auth::{Caller, Secret, browser},
    problem::Problem,
    request::{Body, form},
};
use attune_common::store::{
    Transaction, identity, refresh_token,
    sign_in::{self, Scope},
    web_session::{self, Link},
};
use attune_domain::{IdentityId, identity::Identity};
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");
const CACHE: HeaderValue = HeaderValue::from_static("\"cache\"");

form! {
    pub struct LinkForm {
        /// What follows `#k=` in the link.
        #[schema(value_type = String)]
        k: SecretString,
    }
}

form! {
    pub struct Nothing {}
}

/// Who uses this browser, and what they may do.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebSession {
    user: Identity,
    /// The routes that the user may call, such as `POST /api/v1/rules`.
    rights: Vec<&'static str>,
    /// When the session ends, unless the user does something before. Null for a caller without a session.
    expires_at: Option<DateTime<Utc>>,
}

pub async fn login(
    State(api): State<Api>,
    Extension(rights): Extension<Rights>,
    headers: HeaderMap,
    visitor: Visitor,
    body: Body<LoginForm>,
) -> Result<Response, Problem> {
    api.authority.sites.check(&Method::POST, &headers)?;
    let mut admitted = admit(&api, &visitor, body.form).await?;
    let started = Started::new(&headers, &mut admitted.tx, admitted.id).await?;
    admitted.commit(&api).await?;
    api.sessions.forget();
    Ok(started.response(&headers, rights))
}

/// A link signs in without a password, once.
pub async fn link(
    State(api): State<Api>,
    Extension(rights): Extension<Rights>,
    headers: HeaderMap,
    visitor: Visitor,
    body: Body<LinkForm>,
) -> Result<Response, Problem> {
    let sites = &api.authority.sites;
    sites.check(&Method::POST, &headers)?;
    limit(&api, Scope::Address, &visitor.counted(), ADDRESS_PER_MINUTE).await?;
    let refused = |kind: &str, detail: &str| Problem::new(StatusCode::UNAUTHORIZED, kind, detail);
    if !visitor.is_local() && !sites.is_public() {
        let detail = "the link works in a browser on the machine where Attune runs; sign in with a password";
        return Err(refused("link_elsewhere", detail));
    }
    let mut tx = api.begin().await?;
    let found = web_session::use_link(&mut tx, &Secret::hash_of(body.form.k.expose_secret())).await?;
    let id = match found {
        Link::Good(id) => id,
        Link::Used | Link::Expired | Link::Unknown => {
            visitor.record(&mut tx, "unknown account", "sign_in_refused").await?;
            tx.commit().await?;
            metrics::counter!("attune_login_failures_total").increment(1);
            return Err(match found {
                Link::Used => refused("link_used", "the link has been used; it works once"),
                Link::Expired => refused("link_expired", "the link has expired; it works for 10 minutes"),
                _ => refused("link_unknown", "the link is not valid"),
            });
        }
    };
    let started = Started::new(&headers, &mut tx, id).await?;
    visitor.record(&mut tx, &started.user.login, "sign_in").await?;
    tx.commit().await?;
    sign_in::forgive(&api.pool, Scope::Address, &visitor.counted()).await?;
    api.sessions.forget();
    Ok(started.response(&headers, rights))
}

/// A new session. The caller commits.
struct Started {
    secret: Secret,
    user: Identity,
    ends_at: DateTime<Utc>,
}

impl Started {
    /// Also ends the session that the browser has.
    async fn new(headers: &HeaderMap, tx: &mut Transaction, id: IdentityId) -> Result<Self, Problem> {
        if let Some(hash) = browser::presented(headers) {
            web_session::end(tx, &hash).await?;
        }
        let user = identity::get(&mut **tx, id).await?.filter(|user| user.enabled);
        let user = user.ok_or_else(|| Problem::unauthorized("the user has been disabled"))?;
        let secret = Secret::new(Secret::WEB_SESSION);
        let ends_at = web_session::insert(tx, &secret.hash, Uuid::now_v7(), id).await?;
        Ok(Self { secret, user, ends_at })
    }

    fn response(self, headers: &HeaderMap, rights: Rights) -> Response {
        let session = WebSession {
            rights: rights.of(self.user.role),
            user: self.user,
            expires_at: Some(self.ends_at),
        };
        with_cookies(secret(One::new(session)), browser::start(headers, &self.secret.text))
    }
}

fn with_cookies(mut response: Response, cookies: Vec<HeaderValue>) -> Response {
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

pub async fn session(
    State(api): State<Api>,
    Extension(rights): Extension<Rights>,
    caller: Caller,
) -> Result<One<WebSession>, Problem> {
    let user = super::auth::current(&api, &caller).await?;
    Ok(One::new(WebSession {
        rights: rights.of(caller.role),
        user,
        expires_at: caller.browser.map(|browser| browser.ends_at),
    }))
}

/// Ends the session at once, here; other API processes accept its cookie for two more seconds.
pub async fn logout(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    _: Body<Nothing>,
) -> Result<Response, Problem> {
    let Some(browser) = caller.browser else {
        let detail = "the request has no session cookie; use /auth/logout, or revoke the token";
        return Err(Problem::conflict("not_signed_in", detail));
    };
    let mut tx = api.begin().await?;
    refresh_token::revoke_family(&mut tx, browser.family).await?;
    crate::audit::note(&mut tx, &caller, "sign_out", "session").await?;
    tx.commit().await?;
    api.sessions.forget();
    let mut response = with_cookies(StatusCode::NO_CONTENT.into_response(), browser::end(&headers));
    response.headers_mut().insert(CLEAR_SITE_DATA, CACHE);
    Ok(response)
}
