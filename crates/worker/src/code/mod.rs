//! The files of packs on this machine: fetched from the database once, checked, unpacked and kept by their hash.
//!
//! A folder of unpacked files appears under its final name only when it is complete. Before this process uses a folder that
//! was there already, it compares its content with the hash: a machine may have lost power while files were written.

mod cache;

use crate::{conclude::RunResult, runner::Stop};
use anyhow::Context as _;
use attune_common::{
    config,
    packs::Refused,
    service::{Context, jittered},
    store::{is_unavailable, pack_archive, with_timeout},
    sync,
};
use cache::Cache;
pub use cache::{PackDir, folder};
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// One fetch, of at most 64 MiB.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);

/// The unpacked packs of this worker. Clones share them.
#[derive(Clone)]
pub struct Code {
    cache: Arc<Cache>,
    /// One fetch at a time for each hash.
    slots: Arc<std::sync::Mutex<HashMap<String, Arc<Slot>>>>,
}

type Slot = tokio::sync::Mutex<Weak<PackDir>>;

impl Code {
    /// Opens the folder and removes what dead workers left unfinished in it.
    pub async fn open(config: &config::Worker) -> anyhow::Result<Self> {
        let config = config.clone();
        let cache = tokio::task::spawn_blocking(move || Cache::open(&config)).await?;
        let cache = cache.context("failed to open the folder of unpacked packs, `packs` in worker.work_dir")?;
        Ok(Self {
            cache: Arc::new(cache),
            slots: Arc::default(),
        })
    }

    /// The unpacked files with this hash. They stay while the returned value is held. The error is the end of the execution.
    pub async fn get(&self, context: &Context, hash: &str, stop: &Stop) -> Result<Arc<PackDir>, RunResult> {
        let slot = Arc::clone(sync::lock(&self.slots).entry(hash.to_owned()).or_default());
        let mut held = slot.lock().await;
        if let Some(code) = held.upgrade() {
            return Ok(code);
        }
        let code = match self.blocking(hash, Cache::find).await? {
            Some(code) => code,
            None => self.fetch(context, hash, stop).await?,
        };
        let code = Arc::new(code);
        *held = Arc::downgrade(&code);
        Ok(code)
    }

    async fn fetch(&self, context: &Context, hash: &str, stop: &Stop) -> Result<PackDir, RunResult> {
        let packed = download(context, hash, stop).await?;
        tracing::info!(hash, bytes = packed.len(), "fetched the files of a pack");
        self.blocking(hash, move |cache, hash| {
            let code = cache.unpack(hash, &packed)?;
            cache.evict();
            Ok(code)
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        hash: &str,
        work: impl FnOnce(&Cache, &str) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, RunResult> {
        let (cache, of) = (Arc::clone(&self.cache), hash.to_owned());
        let done = tokio::task::spawn_blocking(move || work(&cache, &of)).await;
        let reason = match done {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "internal error".to_owned(),
        };
        Err(RunResult::failed(format!(
            "failed to unpack the pack's files {hash}: {reason}"
        )))
    }
}

/// Retries while the database is unavailable, until the execution must stop.
async fn download(context: &Context, hash: &str, stop: &Stop) -> Result<Vec<u8>, RunResult> {
    loop {
        match with_timeout(FETCH_TIMEOUT, pack_archive::content(&context.pool, hash)).await {
            Ok(Some(packed)) => return Ok(packed),
            Ok(None) => {
                return Err(RunResult::failed(format!(
                    "the pack's files {hash} are not in the database"
                )));
            }
            Err(error) if is_unavailable(&error) => {
                tracing::warn!(%error, hash, "failed to fetch the files of a pack; retrying");
            }
            Err(error) => {
                return Err(RunResult::failed(format!(
                    "failed to fetch the pack's files {hash}: {error}"
                )));
            }
        }
        tokio::select! {
            () = stop.requested() => return Err(RunResult::stopped_before_start()),
            () = tokio::time::sleep(jittered(RETRY_PAUSE)) => {}
        }
    }
}
