//! Access tokens: JWTs of fifteen minutes. The algorithm is pinned, every claim is required, and the key before the
//! last rotation still verifies, but never signs.

use anyhow::Context as _;
use attune_common::{clock, config::Security, hex};
use attune_domain::IdentityId;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use uuid::Uuid;

pub const ACCESS_SECONDS: i64 = 15 * 60;
const LEEWAY_SECONDS: u64 = 10;
const ISSUER: &str = "attune";
const AUDIENCE: &str = "attune-api";
const KIND: &str = "access";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    pub sub: String,
    pub typ: String,
    pub iat: i64,
    pub exp: i64,
    /// The sign-in that the token belongs to.
    pub sid: Uuid,
}

impl Claims {
    pub fn new(identity: IdentityId, family: Uuid) -> Self {
        let now = clock::now().timestamp();
        Self {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: identity.to_string(),
            typ: KIND.to_owned(),
            iat: now,
            exp: now + ACCESS_SECONDS,
            sid: family,
        }
    }

    pub fn identity_id(&self) -> Option<IdentityId> {
        self.sub.parse().ok().map(IdentityId)
    }
}

/// The signing key and all keys that verify.
#[derive(Clone)]
pub struct Keys {
    sign: EncodingKey,
    verify: Vec<DecodingKey>,
    rules: Validation,
    pseudonyms: [u8; 32],
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("verify", &self.verify.len())
            .finish_non_exhaustive()
    }
}

impl Keys {
    pub fn new(security: &Security) -> anyhow::Result<Self> {
        let current = security
            .jwt_secret
            .as_ref()
            .context("security.jwt_secret is missing: set ATTUNE__SECURITY__JWT_SECRET")?;
        let verify = |secret: &SecretString| DecodingKey::from_secret(secret.expose_secret().as_bytes());
        let mut rules = Validation::new(Algorithm::HS256);
        rules.leeway = LEEWAY_SECONDS;
        rules.validate_nbf = true;
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[AUDIENCE]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let pseudonyms = Sha256::new()
            .chain_update(b"attune pseudonyms v1\0")
            .chain_update(current.expose_secret())
            .finalize();
        Ok(Self {
            pseudonyms: pseudonyms.into(),
            sign: EncodingKey::from_secret(current.expose_secret().as_bytes()),
            verify: std::iter::once(current)
                .chain(&security.jwt_secret_previous)
                .map(verify)
                .collect(),
            rules,
        })
    }

    /// A pseudonym for a text that must not be stored. Without the key, the text cannot be guessed from it.
    pub fn pseudonym(&self, text: &str) -> String {
        hex::encode(
            &Sha256::new()
                .chain_update(self.pseudonyms)
                .chain_update(text)
                .finalize(),
        )
    }

    pub fn sign(&self, claims: &Claims) -> anyhow::Result<String> {
        encode(&Header::new(Algorithm::HS256), claims, &self.sign).context("failed to sign an access token")
    }

    /// The claims of a valid token. The reason why a token is invalid is not disclosed.
    pub fn verify(&self, token: &str) -> Option<Claims> {
        let read = |key| decode::<Claims>(token, key, &self.rules).ok().map(|token| token.claims);
        let claims = self.verify.iter().find_map(read)?;
        let issued = claims.iat <= clock::now().timestamp() + i64::try_from(LEEWAY_SECONDS).unwrap_or(0);
        (claims.typ == KIND && issued).then_some(claims)
    }
}
