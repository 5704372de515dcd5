//! Definitions in memory, for the requests that create most occurrences.
//!
//! An entry carries the definitions counter that was read before it. The statement that writes compares the counter, so an
//! outdated entry costs a second read and never has an effect. Only what accepts requests is stored: a refusal is always
//! read from the database.

use crate::problem::Problem;
use attune_common::{
    store::{PgPool, rule_set},
    sync::lock,
};
use attune_domain::{TriggerId, TriggerRef, definition::Action, parameters::Schema, reference::Key};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

const REMEMBERED_MAX: usize = 10_000;

/// A trigger that accepts events: it and its pack are enabled.
#[derive(Debug)]
pub struct Target {
    pub id: TriggerId,
    pub r#ref: TriggerRef,
    /// How long it detects duplicates.
    pub window_seconds: i64,
}

/// An action that can be run: it and its pack are enabled.
#[derive(Debug)]
pub struct Runnable {
    pub action: Action,
    pub schema: Schema,
    pub attempts_max: i32,
}

#[derive(Debug)]
pub struct Catalog<T>(Mutex<Entries<T>>);

#[derive(Debug)]
struct Entries<T> {
    version: i64,
    by_key: HashMap<Key, Arc<T>>,
}

/// A definition, and the counter that it was read at.
#[derive(Debug)]
pub struct Known<T> {
    pub version: i64,
    pub definition: Arc<T>,
    /// Read now, and not recalled from memory.
    pub fresh: bool,
}

impl<T> Clone for Known<T> {
    fn clone(&self) -> Self {
        Self {
            version: self.version,
            definition: Arc::clone(&self.definition),
            fresh: self.fresh,
        }
    }
}

impl<T> Default for Catalog<T> {
    fn default() -> Self {
        Self(Mutex::new(Entries {
            version: 0,
            by_key: HashMap::new(),
        }))
    }
}

impl<T> Catalog<T> {
    /// Finds a definition. `read` runs only if it is not in memory, or if `fresh` requires it.
    pub async fn find(
        &self,
        (pool, key, fresh): (&PgPool, &Key, bool),
        read: impl Future<Output = Result<T, Problem>>,
    ) -> Result<Known<T>, Problem> {
        if !fresh && let Some(known) = self.recall(key) {
            return Ok(known);
        }
        // First the counter. When something changes in between, the counter is already outdated.
        let version = rule_set::version(pool).await?;
        let definition = Arc::new(read.await?);
        let mut entries = lock(&self.0);
        if entries.version < version || entries.by_key.len() >= REMEMBERED_MAX {
            entries.by_key.clear();
            entries.version = version;
        }
        if entries.version == version {
            entries.by_key.insert(key.clone(), Arc::clone(&definition));
        }
        Ok(Known {
            version,
            definition,
            fresh: true,
        })
    }

    fn recall(&self, key: &Key) -> Option<Known<T>> {
        let entries = lock(&self.0);
        Some(Known {
            version: entries.version,
            definition: Arc::clone(entries.by_key.get(key)?),
            fresh: false,
        })
    }
}
