//! Sets and grants secrets, and seals literals: for the API and for commands, which hold the encryption key.

use crate::{
    pool_key::{PoolKeyError, PublicKey},
    saturating,
    seal::{SealError, Sealer},
    store::{
        self, PgConnection, pool_key,
        secret::{self, Grant, NewValue, Stored},
    },
};
use anyhow::Context as _;
use attune_domain::{
    FieldErrors, Ref,
    secret::{Hidden, Parameters, Path, Sealed},
};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::HashMap;
use uuid::Uuid;
use zeroize::Zeroizing;

pub const VALUE_BYTES_MAX: usize = 64 * 1024;
/// The pool that a new secret is granted to.
pub const DEFAULT_POOL: &str = "default";

#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("{0}")]
    Invalid(FieldErrors),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Pool(#[from] PoolKeyError),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<FieldErrors> for SecretError {
    fn from(errors: FieldErrors) -> Self {
        Self::Invalid(errors)
    }
}

/// The place of a copy for a pool.
pub fn grant_place(id: i64, version: i64, pool: &str) -> String {
    format!("secret:{id}:{version}:{pool}")
}

/// The place of a literal: it opens only as this parameter of this action.
pub fn literal_place(action: &str, path: &Path) -> String {
    format!("parameter:{action}:{}", path.pointer())
}

/// A new value with its metadata.
#[derive(Debug)]
pub struct NewSecret<'a> {
    pub reference: &'a Ref,
    pub value: &'a Value,
    pub description: Option<&'a str>,
    pub expires_at: Option<DateTime<Utc>>,
    pub set_by: &'a str,
}

/// Sets the value of a secret, which then has the next version. A new secret is granted to its pack and the default pool.
/// Returns whether it is new.
pub async fn set(tx: &mut PgConnection, sealer: &Sealer, new: &NewSecret<'_>) -> Result<bool, SecretError> {
    let mut errors = FieldErrors::new();
    if let Err(message) = attune_domain::secret::check_value(new.value) {
        errors.add("value", message);
    }
    let text = Zeroizing::new(new.value.to_string());
    if text.len() > VALUE_BYTES_MAX {
        errors.add("value", format!("must have at most {VALUE_BYTES_MAX} bytes as JSON"));
    }
    errors.into_result()?;
    let reference = new.reference.as_str();
    let (before, is_new) = match secret::lock(tx, reference).await? {
        Some(before) => (before, false),
        None => (create(tx, new.reference).await?, true),
    };
    let version = before.version + 1;
    let ciphertext = sealer.seal_secret(&text, before.id, version)?;
    let value = NewValue {
        version,
        sealed: &ciphertext,
        set_by: new.set_by,
        expires_at: new.expires_at,
        description: new.description,
    };
    secret::set(tx, before.id, &value).await?;
    let grants = grants(tx, (before.id, version), &before.pools, &text).await?;
    secret::set_grants(tx, before.id, version, &grants).await?;
    Ok(is_new)
}

async fn create(tx: &mut PgConnection, reference: &Ref) -> Result<Stored, SecretError> {
    let pack = reference.pack();
    let Some(id) = secret::insert(tx, reference.as_str(), pack).await? else {
        return Err(FieldErrors::one("ref", format!("there is no pack {pack}")).into());
    };
    let packs = vec![pack.to_owned()];
    secret::set_packs(tx, id, &packs).await?;
    Ok(Stored {
        id,
        r#ref: reference.as_str().to_owned(),
        version: 0,
        sealed: None,
        packs,
        pools: vec![DEFAULT_POOL.to_owned()],
    })
}

/// Grants a secret to these pools and packs, and to no others. None: unchanged.
pub async fn grant(
    tx: &mut PgConnection,
    sealer: &Sealer,
    before: &Stored,
    pools: Option<&[String]>,
    packs: Option<&[String]>,
) -> Result<(), SecretError> {
    if let Some(packs) = packs {
        secret::set_packs(tx, before.id, packs).await?;
    }
    if let Some(pools) = pools {
        let Some(ciphertext) = &before.sealed else {
            return Err(FieldErrors::one("pools", "cannot be granted: the secret has no value yet").into());
        };
        let text = Zeroizing::new(sealer.open_secret(ciphertext, before.id, before.version)?);
        let grants = grants(tx, (before.id, before.version), pools, &text).await?;
        secret::set_grants(tx, before.id, before.version, &grants).await?;
    }
    Ok(())
}

/// Seals a value for each pool.
async fn grants(
    tx: &mut PgConnection,
    (id, version): (i64, i64),
    pools: &[String],
    text: &str,
) -> Result<Vec<Grant>, SecretError> {
    let mut keys = keys(&mut *tx).await?;
    let mut grants = Vec::with_capacity(pools.len());
    for pool in pools {
        let Some(key) = keys.remove(pool.as_str()) else {
            return Err(FieldErrors::one("pools", no_key(pool)).into());
        };
        grants.push(Grant {
            pool: pool.clone(),
            sealed: key.seal(text.as_bytes(), &grant_place(id, version, pool))?,
        });
    }
    Ok(grants)
}

/// The public keys of all pools.
pub async fn keys(tx: &mut PgConnection) -> Result<HashMap<String, PublicKey>, store::Error> {
    let rows = pool_key::all(tx).await?;
    let key = |row: pool_key::PoolKey| Some((row.pool, PublicKey::parse(&row.public_key)?));
    Ok(rows.into_iter().filter_map(key).collect())
}

pub fn no_key(pool: &str) -> String {
    format!("the pool {pool} has no key: start a worker of this pool with worker.pool_key first")
}

/// Seals the literals of an action's parameters: for the pool of the action, and for this installation.
#[derive(Debug)]
pub struct LiteralSealer<'a> {
    pub action: &'a str,
    pub pool: &'a str,
    pub key: Option<PublicKey>,
    /// None: it cannot be sealed again, for example for another pool.
    pub sealer: Option<&'a Sealer>,
}

impl LiteralSealer<'_> {
    pub fn seal(&self, path: &Path, value: &Value) -> Result<Sealed, String> {
        let text = Zeroizing::new(value.to_string());
        self.seal_text(path, &text)
    }

    fn seal_text(&self, path: &Path, text: &str) -> Result<Sealed, String> {
        let place = literal_place(self.action, path);
        let key = self
            .key
            .ok_or_else(|| format!("{path}: cannot be encrypted: {}", no_key(self.pool)))?;
        let pool = key.seal(text.as_bytes(), &place).map_err(|error| error.to_string())?;
        let master = self.sealer.filter(|sealer| sealer.has_key());
        let master = master.map(|sealer| sealer.seal_literal(text, &place)).transpose();
        Ok(Sealed {
            pool,
            master: master.map_err(|error| error.to_string())?,
        })
    }

    /// Seals literals again, for the present pool and with the present keys, if the installation can open them. Returns whether
    /// anything changed.
    pub fn reseal(&self, parameters: &mut Parameters) -> Result<bool, String> {
        let Some(master_key) = self.sealer.filter(|sealer| sealer.has_key()) else {
            return Ok(false);
        };
        let mut changed = false;
        for placed in &mut parameters.secrets {
            let Hidden::Sealed(sealed) = &mut placed.hidden else {
                continue;
            };
            let Some(master) = &sealed.master else {
                continue;
            };
            let is_current = self
                .key
                .is_some_and(|key| sealed.pool.contains(&format!(":{}:", key.id())));
            let place = literal_place(self.action, &placed.path);
            if is_current && master_key.is_current(master, &place) {
                continue;
            }
            let text = master_key
                .open_literal(master, &place)
                .map_err(|error| format!("{}: {error}", placed.path))?;
            *sealed = self.seal_text(&placed.path, &Zeroizing::new(text))?;
            changed = true;
        }
        Ok(changed)
    }
}

/// How many secrets, copies for pools and parameters were encrypted again.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Resealed {
    pub secrets: usize,
    pub grants: usize,
    pub rules: usize,
    pub executions: usize,
}

const BATCH: usize = 500;

/// Encrypts secrets, their copies and sealed parameters with the present keys. `note` records what was changed.
pub async fn reseal(
    tx: &mut PgConnection,
    sealer: &Sealer,
    note: &mut impl AsyncFnMut(&mut PgConnection, &[String]) -> anyhow::Result<()>,
) -> anyhow::Result<Resealed> {
    let keys = keys(tx).await?;
    let mut done = Resealed::default();
    let mut after = 0;
    loop {
        let batch = secret::lock_after(tx, after, saturating::i64(BATCH)).await?;
        let Some(last) = batch.last() else { break };
        after = last.id;
        reseal_batch(tx, sealer, &keys, &batch, (&mut done, &mut *note)).await?;
    }
    let literals = |action: &'_ str, pool: &'_ str, parameters: &Value| -> anyhow::Result<Option<Value>> {
        let mut parsed = Parameters::from_stored(parameters).map_err(anyhow::Error::msg)?;
        let literals = LiteralSealer {
            action,
            pool,
            key: keys.get(pool).copied(),
            sealer: Some(sealer),
        };
        let changed = literals.reseal(&mut parsed).map_err(anyhow::Error::msg)?;
        Ok(changed.then(|| parsed.into_stored()))
    };
    let mut rules = Vec::new();
    for rule in secret::rules_with_literals(tx).await? {
        let renewed = literals(rule.action_ref.as_str(), &rule.pool, &rule.parameters);
        if let Some(parameters) = renewed.with_context(|| format!("failed at the rule {}", rule.r#ref))? {
            secret::set_rule_literals(tx, rule.id, &parameters).await?;
            rules.push(format!("rule {}", rule.r#ref));
        }
    }
    done.rules = rules.len();
    note(tx, &rules).await?;
    let mut after = Uuid::nil();
    loop {
        let batch = secret::executions_with_literals(tx, after, BATCH).await?;
        let Some(last) = batch.last() else { break };
        after = last.id.0;
        for execution in batch {
            let renewed = literals(execution.action_ref.as_str(), &execution.pool, &execution.parameters);
            if let Some(parameters) = renewed.with_context(|| format!("failed at the execution {}", execution.id))? {
                secret::set_execution_literals(tx, execution.id, &parameters).await?;
                done.executions += 1;
            }
        }
    }
    Ok(done)
}

async fn reseal_batch(
    tx: &mut PgConnection,
    sealer: &Sealer,
    keys: &HashMap<String, PublicKey>,
    batch: &[Stored],
    (done, note): (
        &mut Resealed,
        &mut impl AsyncFnMut(&mut PgConnection, &[String]) -> anyhow::Result<()>,
    ),
) -> anyhow::Result<()> {
    let ids: Vec<i64> = batch.iter().map(|stored| stored.id).collect();
    let copies = secret::copies(tx, &ids).await?;
    let (mut changed, mut ciphertexts, mut renewed, mut names) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for stored in batch {
        let Some(text) = &stored.sealed else { continue };
        let is_current = sealer.is_current_secret(text, stored.id, stored.version);
        let outdated: Vec<_> = copies
            .iter()
            .filter(|(id, ..)| *id == stored.id)
            .filter_map(|(_, pool, copy)| Some((pool, *keys.get(pool)?, copy)))
            .filter(|(_, key, copy)| !copy.contains(&format!(":{}:", key.id())))
            .collect();
        if is_current && outdated.is_empty() {
            continue;
        }
        let plain = sealer
            .open_secret(text, stored.id, stored.version)
            .with_context(|| format!("failed at the secret {}", stored.r#ref))?;
        let plain = Zeroizing::new(plain);
        if !is_current {
            changed.push(stored.id);
            ciphertexts.push(sealer.seal_secret(&plain, stored.id, stored.version)?);
        }
        for (pool, key, _) in outdated {
            let copy = key.seal(plain.as_bytes(), &grant_place(stored.id, stored.version, pool))?;
            renewed.push((stored.id, pool.clone(), copy));
        }
        names.push(format!("secret {}", stored.r#ref));
    }
    secret::set_sealed(tx, &changed, &ciphertexts).await?;
    secret::set_copies(tx, &renewed).await?;
    done.secrets += changed.len();
    done.grants += renewed.len();
    note(tx, &names).await
}
