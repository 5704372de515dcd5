//! The definitions of actions that this worker has read, valid for one value of the definitions counter.

use crate::{conclude::RunResult, runner::Stop};
use attune_common::{
    service::{Context, jittered},
    store::{
        Error, is_unavailable,
        rule_set::{self, ActionRow},
        with_timeout,
    },
    sync,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

const RETRY_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub struct ActionCache(Mutex<Cached>);

#[derive(Debug, Default)]
struct Cached {
    definitions_version: i64,
    actions: HashMap<Key, Arc<ActionRow>>,
}

/// An action, and the content of its pack that runs.
type Key = (String, Option<String>);

impl ActionCache {
    /// Clears the cache if definitions have changed.
    pub fn advance_to(&self, definitions_version: i64) {
        let mut cached = self.lock();
        if cached.definitions_version != definitions_version {
            *cached = Cached {
                definitions_version,
                actions: HashMap::new(),
            };
        }
    }

    /// The action, from the cache or the database. The error is the end of the execution.
    pub async fn get(
        &self,
        context: &Context,
        reference: &str,
        hash: Option<&str>,
        stop: &Stop,
    ) -> Result<Arc<ActionRow>, RunResult> {
        let key = (reference.to_owned(), hash.map(str::to_owned));
        let version = {
            let cached = self.lock();
            if let Some(action) = cached.actions.get(&key) {
                return Ok(Arc::clone(action));
            }
            cached.definitions_version
        };
        let found = read(context, reference, hash, stop).await?;
        let action = found.ok_or_else(|| RunResult::failed(format!("action {reference} no longer exists")))?;
        let action = Arc::new(action);
        self.insert(version, key, &action);
        Ok(action)
    }

    /// Caches an action that was read while `version` was current, unless the version has changed since.
    fn insert(&self, version: i64, key: Key, action: &Arc<ActionRow>) {
        let mut cached = self.lock();
        if cached.definitions_version == version {
            cached.actions.insert(key, Arc::clone(action));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Cached> {
        sync::lock(&self.0)
    }
}

async fn read(
    context: &Context,
    reference: &str,
    hash: Option<&str>,
    stop: &Stop,
) -> Result<Option<ActionRow>, RunResult> {
    let query = || rule_set::action(&context.pool, reference, hash);
    persist(context, stop, &format!("action {reference}"), query).await
}

/// Retries while the database is unavailable, until the execution must stop: nothing has started yet, so nothing has failed.
pub async fn persist<T, F: Future<Output = Result<T, Error>>>(
    context: &Context,
    stop: &Stop,
    what: &str,
    query: impl Fn() -> F,
) -> Result<T, RunResult> {
    loop {
        let limit = context.config.worker.lease() / 3;
        match with_timeout(limit, query()).await {
            Ok(found) => return Ok(found),
            Err(error) if is_unavailable(&error) => {
                tracing::warn!(%error, what, "failed to read what an execution needs; retrying");
            }
            Err(error) => return Err(RunResult::failed(format!("failed to read {what}: {error}"))),
        }
        tokio::select! {
            () = stop.requested() => return Err(RunResult::stopped_before_start()),
            () = tokio::time::sleep(jittered(RETRY_PAUSE)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use attune_domain::definition::{EntryKind, OutputFormat, RuntimeKind, SecretDelivery};
    use serde_json::json;

    #[test]
    fn an_action_read_before_a_change_is_not_cached_after_it() {
        let cache = ActionCache::default();
        let row = Arc::new(ActionRow {
            r#ref: "t.any".parse().expect("a reference"),
            entry_point: "echo old".to_owned(),
            entry_kind: EntryKind::Text,
            command: Vec::new(),
            file_command: Vec::new(),
            output_format: OutputFormat::Text,
            runtime_kind: RuntimeKind::Process,
            parameters_schema: json!({}),
            resources: None,
            secrets: json!({}),
            secret_delivery: SecretDelivery::Environment,
        });
        cache.advance_to(1);
        let key = |name: &str| (name.to_owned(), None);
        cache.insert(1, key("t.seen"), &row);
        cache.advance_to(2);
        cache.insert(1, key("t.late"), &row);
        cache.insert(2, key("t.fresh"), &row);
        let cached = cache.lock();
        assert_eq!(cached.actions.keys().collect::<Vec<_>>(), [&key("t.fresh")]);
    }
}
