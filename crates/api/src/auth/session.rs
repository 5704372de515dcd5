//! Checks whether a token is still valid, with at most one query per token in two seconds. A disabled identity is refused
//! within five seconds, and a busy client does not cost a query per request.

use attune_common::store::{
    self, PgPool,
    identity::{self, Session},
    web_session,
};
use attune_domain::IdentityId;
use chrono::{DateTime, Utc};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use uuid::Uuid;

const FRESH: Duration = Duration::from_secs(2);
/// The size of the cache. A miss costs a query; an unbounded cache costs memory.
const REMEMBERED_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Proof {
    SignIn {
        identity_id: IdentityId,
        family: Uuid,
    },
    ApiToken([u8; 32]),
    /// `active`: the user has caused the request.
    Cookie {
        hash: [u8; 32],
        active: bool,
    },
}

impl Proof {
    /// The same for checks that the user has not caused.
    #[must_use]
    pub fn at_rest(self) -> Self {
        match self {
            Self::Cookie { hash, .. } => Self::Cookie { hash, active: false },
            other => other,
        }
    }
}

/// What a proof stands for.
#[derive(Debug, Clone)]
pub struct Found {
    pub session: Session,
    /// The number of the API token.
    pub token_id: Option<i64>,
    /// The session of the browser.
    pub browser: Option<BrowserSession>,
}

#[derive(Debug, Clone, Copy)]
pub struct BrowserSession {
    pub family: Uuid,
    /// When it ends unless the user does something.
    pub ends_at: DateTime<Utc>,
    /// The user has proved recently who they are.
    pub verified: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Sessions(Arc<Mutex<HashMap<Proof, Cached>>>);

/// What a query found, and when.
#[derive(Debug, Clone)]
struct Cached {
    at: Instant,
    found: Option<Found>,
}

impl Sessions {
    /// The session of a proof; `None` if it is no longer valid. `issued_at` is when an access token was issued, in Unix
    /// seconds.
    pub async fn find(
        &self,
        pool: &PgPool,
        proof: Proof,
        issued_at: Option<i64>,
    ) -> Result<Option<Found>, store::Error> {
        let found = match self.recall(&proof) {
            Some(cached) => cached.found,
            None => self.query(pool, proof).await?,
        };
        Ok(found.filter(|found| is_valid(&found.session, issued_at)))
    }

    /// Clears the cache after a sign-out, a new password or a change of roles in this process.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn recall(&self, proof: &Proof) -> Option<Cached> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(proof).filter(|cached| cached.at.elapsed() < FRESH).cloned()
    }

    async fn query(&self, pool: &PgPool, proof: Proof) -> Result<Option<Found>, store::Error> {
        let of = |session: Session| Found {
            session,
            token_id: None,
            browser: None,
        };
        let found = match proof {
            Proof::SignIn { identity_id, family } => identity::session(pool, identity_id, family).await?.map(of),
            Proof::ApiToken(hash) => identity::token_session(pool, &hash).await?.map(|(id, session)| Found {
                token_id: Some(id),
                ..of(session)
            }),
            Proof::Cookie { hash, active } => web_session::find(pool, &hash, active).await?.map(|web| Found {
                browser: Some(BrowserSession {
                    family: web.family,
                    ends_at: web.ends_at,
                    verified: web.verified,
                }),
                ..of(web.session)
            }),
        };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        let at = Instant::now();
        let cached = Cached {
            at,
            found: found.clone(),
        };
        known.insert(proof, cached);
        Ok(found)
    }
}

fn is_valid(session: &Session, issued_at: Option<i64>) -> bool {
    // Tokens have a resolution of one second. One of the same second depends on its sign-in alone, which a new password
    // has ended as well.
    let valid_from = session.valid_from.as_ref().map_or(i64::MIN, DateTime::timestamp);
    session.enabled && session.live && issued_at.is_none_or(|issued_at| issued_at >= valid_from)
}
