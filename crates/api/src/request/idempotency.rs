//! `Idempotency-Key` on requests that create an occurrence: a repeat returns the first response and creates nothing.

use crate::{api::Api, auth::Caller, problem::Problem};
use attune_common::store::{
    PgConnection, Transaction,
    idempotency::{self, Claim, Key},
};
use axum::{
    extract::{FromRequestParts, MatchedPath},
    http::{StatusCode, request::Parts},
};
use serde_json::Value;

const HEADER: &str = "idempotency-key";

/// Whether the request is the first one with its key.
#[derive(Debug)]
pub enum Begun {
    /// Do the work in this transaction, and [`IdempotencyKey::remember`] the answer in it.
    First(Transaction),
    /// The answer to the first request.
    Repeat(Value),
}

/// The key of a request, if it has one.
#[derive(Debug)]
pub struct IdempotencyKey(Option<Key>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut given = parts.headers.get_all(HEADER).iter();
        let Some(header) = given.next() else {
            return Ok(Self(None));
        };
        let bad = |message| Problem::field("Idempotency-Key", message);
        if given.next().is_some() {
            return Err(bad("must be sent once"));
        }
        let text = header
            .to_str()
            .ok()
            .filter(|text| !text.trim().is_empty() && text.len() <= 255);
        let text = text.ok_or_else(|| bad("must have 1 to 255 printable ASCII characters, not only spaces"))?;
        let caller = parts.extensions.get::<Caller>().ok_or_else(Problem::internal)?;
        let path = parts
            .extensions
            .get::<MatchedPath>()
            .map_or(parts.uri.path(), MatchedPath::as_str);
        Ok(Self(Some(Key {
            caller: caller.key(),
            route: format!("{} {path}", parts.method),
            key: text.to_owned(),
            body_hash: [0; 32],
        })))
    }
}

impl IdempotencyKey {
    /// A repeat must have the same body and the same path parameter.
    pub fn of(mut self, body_hash: [u8; 32], named: &str) -> Self {
        use sha2::{Digest as _, Sha256};
        if let Some(key) = &mut self.0 {
            key.body_hash = Sha256::new()
                .chain_update(body_hash)
                .chain_update(named)
                .finalize()
                .into();
        }
        self
    }

    pub fn is_given(&self) -> bool {
        self.0.is_some()
    }

    /// Begins the transaction that does the work, unless an earlier request has done it.
    pub async fn begin(&self, api: &Api) -> Result<Begun, Problem> {
        let mut transaction = api.begin().await?;
        let Some(key) = &self.0 else {
            return Ok(Begun::First(transaction));
        };
        let claim = idempotency::claim(&mut transaction, &[key]).await?.pop();
        if let Some(Claim::First) = claim {
            return Ok(Begun::First(transaction));
        }
        // Dropping it would hold the key a moment longer, and the next repeat would be refused.
        transaction.rollback().await?;
        claim
            .map_or_else(|| Err(Problem::internal()), repeated)
            .map(Begun::Repeat)
    }

    /// The key, for a batch that claims it.
    pub fn into_key(self) -> Option<Key> {
        self.0
    }

    /// Stores the answer, in the same transaction.
    pub async fn remember(&self, connection: &mut PgConnection, answer: &Value) -> Result<(), Problem> {
        if let Some(key) = &self.0 {
            idempotency::remember(connection, &[key], std::slice::from_ref(answer)).await?;
        }
        Ok(())
    }
}

/// The answer to the first request of a key that was claimed before.
pub fn repeated(claim: Claim) -> Result<Value, Problem> {
    match claim {
        Claim::Repeat(answer) => Ok(answer),
        Claim::InFlight => {
            let detail = "the first request with this Idempotency-Key is still in progress";
            Err(Problem::new(StatusCode::CONFLICT, "in_flight", detail).retry_after(1))
        }
        Claim::OtherBody => Err(Problem::field(
            "Idempotency-Key",
            "was used for a different request; use a new key",
        )),
        Claim::First => Err(Problem::internal()),
    }
}
