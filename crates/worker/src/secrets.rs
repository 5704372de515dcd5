//! Opens the secrets of an attempt: after the claim's commit, before its process starts, in their current version.
//!
//! The worker holds the private key of its pool and no other key. What it opens exists only in the invocation, and in the
//! redactor that replaces it in everything that the attempt writes.

use crate::{
    actions::persist,
    conclude::RunResult,
    redact::{Redactor, wipe},
    runner::{SecretFile, Stop},
};
use attune_common::{
    pool_key::PoolKeys,
    secrets::{grant_place, literal_place},
    service::Context,
    store::{
        self, Transaction, audit,
        execution_queue::Claimed,
        pool_key,
        rule_set::ActionRow,
        secret::{self, Openable},
    },
};
use attune_domain::{
    Ref,
    definition::{RuntimeKind, SecretDelivery},
    secret::{Hidden, Parameters, Part, Path, Placed, Step, is_secret, text_of},
};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

/// How often a worker checks that its key is that of the pool.
pub const REGISTER_PERIOD: Duration = Duration::from_secs(60);

/// The parameters of an attempt with its secrets.
#[derive(Default)]
pub struct Opened {
    pub parameters: Value,
    /// Variables with secrets.
    pub environment: Vec<(String, String)>,
    pub files: Vec<SecretFile>,
    /// None: there is nothing to redact.
    pub redactor: Option<Arc<Redactor>>,
    pub used: Used,
}

/// What is recorded once the attempt has ended.
#[derive(Debug, Default)]
pub struct Used {
    action: String,
    /// Secrets whose use was not recorded within the last minute.
    ids: Vec<i64>,
    denied: Vec<String>,
}

/// Why secrets could not be opened.
#[derive(Debug)]
pub struct Denied {
    pub result: RunResult,
    pub used: Used,
}

impl From<RunResult> for Denied {
    fn from(result: RunResult) -> Self {
        Self {
            result,
            used: Used::default(),
        }
    }
}

/// An opened value and what replaces it in output.
struct Plain {
    value: Value,
    label: String,
}

impl Drop for Plain {
    fn drop(&mut self) {
        wipe(&mut self.value);
    }
}

pub async fn open(
    context: &Context,
    keys: Option<&PoolKeys>,
    action: &ActionRow,
    execution: &Claimed,
    stop: &Stop,
) -> Result<Opened, Denied> {
    let parameters = Parameters::from_stored(&execution.parameters).map_err(RunResult::failed)?;
    let variables = variables(&action.secrets);
    if parameters.secrets.is_empty() && variables.is_empty() {
        return Ok(Opened {
            parameters: parameters.values,
            ..Opened::default()
        });
    }
    let pool = context.config.worker.pool.as_str();
    let mut opener = Opener {
        keys,
        pool,
        action,
        secrets: BTreeMap::new(),
        used: Used {
            action: action.r#ref.to_string(),
            ..Used::default()
        },
    };
    let refs: BTreeSet<&Ref> = parameters.refs().chain(variables.iter().map(|(_, of)| of)).collect();
    let refs: Vec<String> = refs
        .into_iter()
        .map(|reference| reference.as_str().to_owned())
        .collect();
    if !refs.is_empty() {
        let query = || secret::openable(&context.pool, &refs, pool, &action.r#ref);
        let found = persist(context, stop, "secrets", query).await?;
        if let Err(error) = opener.open_all(&refs, found) {
            let result = RunResult::failed(error);
            return Err(Denied {
                result,
                used: opener.used,
            });
        }
    }
    opener.deliver(parameters, &variables).map_err(|error| Denied {
        result: RunResult::failed(error),
        used: Used::default(),
    })
}

/// The variables of an action that contain secrets. What psql wrote and is not a ref is ignored.
fn variables(secrets: &Value) -> Vec<(String, Ref)> {
    let entries = secrets.as_object().into_iter().flatten();
    entries
        .filter_map(|(name, reference)| Some((name.clone(), reference.as_str()?.parse().ok()?)))
        .collect()
}

struct Opener<'a> {
    keys: Option<&'a PoolKeys>,
    pool: &'a str,
    action: &'a ActionRow,
    secrets: BTreeMap<String, Plain>,
    used: Used,
}

impl Opener<'_> {
    fn open_all(&mut self, refs: &[String], found: Vec<Openable>) -> Result<(), String> {
        let mut found: HashMap<String, Openable> = found.into_iter().map(|row| (row.r#ref.clone(), row)).collect();
        for reference in refs {
            let opened = self.open_one(reference, found.remove(reference));
            let value = opened.inspect_err(|_| self.used.denied.push(reference.clone()))?;
            let label = reference.clone();
            self.secrets.insert(reference.clone(), Plain { value, label });
        }
        Ok(())
    }

    fn open_one(&mut self, reference: &str, row: Option<Openable>) -> Result<Value, String> {
        let pool = self.pool;
        let denied = |why: &str| format!("secret {reference} is not granted to pool {pool}{why}");
        let row = row.ok_or_else(|| denied(": it does not exist"))?;
        if !row.usable {
            return Err(format!(
                "secret {reference} is not granted to action {}",
                self.action.r#ref
            ));
        }
        let (Some(sealed), Some(version)) = (&row.sealed, row.value_version) else {
            return Err(denied(""));
        };
        let text = self
            .keys()
            .map_err(|why| denied(&format!(": {why}")))?
            .open(sealed, &grant_place(row.id, version, pool))
            .map_err(|error| format!("secret {reference} {error}"))?;
        if row.record {
            self.used.ids.push(row.id);
        }
        serde_json::from_slice(&text).map_err(|_| format!("secret {reference} is not JSON"))
    }

    fn keys(&self) -> Result<&PoolKeys, &'static str> {
        self.keys.ok_or("this worker has no worker.pool_key")
    }

    fn deliver(mut self, parameters: Parameters, variables: &[(String, Ref)]) -> Result<Opened, String> {
        let mut opened = Opened {
            parameters: parameters.values,
            ..Opened::default()
        };
        // A native action has no process that could read files.
        let as_files =
            self.action.secret_delivery == SecretDelivery::File && self.action.runtime_kind != RuntimeKind::Native;
        let mut literals = Vec::new();
        let mut values = Vec::new();
        for Placed { path, hidden } in parameters.secrets {
            if !is_secret(&self.action.parameters_schema, &path) {
                return Err(format!(
                    "{path}: contains a secret, and the parameter is not declared `secret: true`"
                ));
            }
            let value = match hidden {
                Hidden::Marker(parts) => self.fill(parts),
                Hidden::Sealed(sealed) => {
                    let value = self.open_literal(&path, &sealed.pool)?;
                    let label = format!("{path}");
                    literals.push(Plain {
                        value: value.clone(),
                        label,
                    });
                    value
                }
                Hidden::Literal(value) => value,
            };
            values.push((path, value));
        }
        for (path, mut value) in values {
            if as_files {
                opened.add_file(&name_of(&path), &text_of(&value));
                wipe(&mut value);
                path.remove_from(&mut opened.parameters);
            } else if let Some(place) = path.find_mut(&mut opened.parameters) {
                *place = value;
            }
        }
        for (name, reference) in variables {
            let Some(secret) = self.secrets.get(reference.as_str()) else {
                continue;
            };
            let text = text_of(&secret.value);
            if as_files {
                opened.add_file(name, &text);
            } else if text.contains('\0') {
                return Err(format!(
                    "secret {reference} contains U+0000, which a variable cannot hold"
                ));
            } else {
                opened.environment.push((name.clone(), text.into_owned()));
            }
        }
        let all = self.secrets.values().chain(&literals);
        opened.redactor = Redactor::new(all.map(|plain| (plain.label.as_str(), &plain.value)))
            .map_err(|error| format!("failed to prepare the redaction of secrets: {error}"))?
            .map(Arc::new);
        opened.used = std::mem::take(&mut self.used);
        Ok(opened)
    }

    /// What a marker stands for: a secret alone keeps its type.
    fn fill(&self, parts: Vec<Part>) -> Value {
        if let [Part::Secret(reference)] = parts.as_slice() {
            return self
                .secrets
                .get(reference.as_str())
                .map_or(Value::Null, |secret| secret.value.clone());
        }
        let mut text = String::new();
        for part in parts {
            match part {
                Part::Text(part) => text.push_str(&part),
                Part::Secret(reference) => {
                    if let Some(secret) = self.secrets.get(reference.as_str()) {
                        text.push_str(&text_of(&secret.value));
                    }
                }
            }
        }
        Value::String(text)
    }

    fn open_literal(&self, path: &Path, sealed: &str) -> Result<Value, String> {
        let place = literal_place(&self.action.r#ref, path);
        let text = self
            .keys()
            .map_err(|why| format!("{path}: cannot be opened: {why}"))?
            .open(sealed, &place)
            .map_err(|error| format!("{path}: {error}"))?;
        serde_json::from_slice(&text).map_err(|_| format!("{path}: is not JSON"))
    }
}

impl Opened {
    /// A file for a secret, and the variable that names it.
    fn add_file(&mut self, name: &str, text: &str) {
        self.files.push(SecretFile {
            name: name.to_owned(),
            text: text.to_owned(),
        });
    }
}

/// The name of a file for a parameter: `auth.token` becomes `AUTH_TOKEN`.
fn name_of(path: &Path) -> String {
    let steps = path.steps().iter().map(|step| match step {
        Step::Key(key) => key
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_uppercase()
                } else {
                    '_'
                }
            })
            .collect(),
        Step::Index(index) => index.to_string(),
    });
    steps.collect::<Vec<String>>().join("_")
}

/// Records uses and refused uses, which is for people: a failure is only logged.
pub async fn record(context: &Context, used: Used) {
    if used.ids.is_empty() && used.denied.is_empty() {
        return;
    }
    let recorded = store::with_default_timeout(write(context, &used)).await;
    if let Err(error) = recorded {
        tracing::warn!(%error, action = used.action, "failed to record the use of secrets");
    }
}

async fn write(context: &Context, used: &Used) -> Result<(), store::Error> {
    let actor = format!("action {} (pool {})", used.action, context.config.worker.pool);
    let host = attune_common::service::host();
    let mut tx = Transaction::begin(&context.pool).await?;
    let first = secret::record_use(&mut tx, &used.ids, &used.action).await?;
    let first_uses = first.iter().map(|reference| ("first_use", reference));
    let mut denied = Vec::new();
    for reference in &used.denied {
        let object = format!("secret {reference}");
        if !audit::is_recent(&mut tx, "denied_use", &actor, &object).await? {
            denied.push(("denied_use", reference));
        }
    }
    let noted: Vec<(&str, String)> = first_uses
        .chain(denied)
        .map(|(verb, reference)| (verb, format!("secret {reference}")))
        .collect();
    let entries: Vec<audit::Entry<'_>> = noted
        .iter()
        .map(|(verb, object)| audit::Entry {
            actor: &actor,
            address: Some(&host),
            verb,
            object,
            ..audit::Entry::default()
        })
        .collect();
    audit::append(&mut tx, &entries).await?;
    tx.commit().await
}

/// The keys of this worker's pool.
pub fn keys(context: &Context) -> anyhow::Result<Option<PoolKeys>> {
    let worker = &context.config.worker;
    // An empty variable is not a key.
    let keys = worker.pool_key.as_ref().filter(|key| !key.expose_secret().is_empty());
    keys.map(|present| PoolKeys::new(present, worker.pool_key_previous.as_ref()))
        .transpose()
}

/// Registers the public key of the pool. Returns whether it is the pool's.
pub async fn register(context: &Context, keys: &PoolKeys) -> Result<bool, store::Error> {
    let (pool, present) = (&context.config.worker.pool, keys.public().to_text());
    let registered = pool_key::get(&context.pool, pool).await?;
    if registered.as_ref() == Some(&present) {
        return Ok(true);
    }
    let previous = keys.public_previous().map(attune_common::pool_key::PublicKey::to_text);
    let mut tx = Transaction::begin(&context.pool).await?;
    let registered = pool_key::register(&mut tx, pool, &present, previous.as_deref()).await?;
    tx.commit().await?;
    Ok(registered == present)
}
