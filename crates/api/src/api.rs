//! The state that every handler gets.

use crate::{
    auth::{Authority, Hashing, Keys, Rates, Sessions, browser::Sites},
    catalog::{Catalog, Runnable, Target},
    creation::Creations,
    load_shedding::Backlog,
    problem::Problem,
    stream::{FeedEnricher, Sources, StreamSlots},
    webhook::Webhooks,
};
use attune_common::{
    bus::{Bus, Control},
    config::Config,
    ingest::Ingest,
    seal::Sealer,
    service::Context,
    store::{PgPool, Transaction, definitions},
};
use std::{ops::Deref, sync::Arc};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Cloned for every request, so it is one reference.
#[derive(Debug, Clone)]
pub struct Api(Arc<State>);

impl Deref for Api {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

#[derive(Debug)]
pub struct State {
    pub config: Arc<Config>,
    pub pool: PgPool,
    pub bus: Arc<dyn Bus>,
    /// Encrypts secrets at rest.
    pub sealer: Sealer,
    pub keys: Arc<Keys>,
    pub sessions: Sessions,
    pub hashing: Hashing,
    /// What authenticates a caller.
    pub authority: Arc<Authority>,
    pub ingest: Ingest,
    pub creations: Creations,
    pub triggers: Catalog<Target>,
    pub actions: Catalog<Runnable>,
    pub webhooks: Webhooks,
    pub stream_slots: StreamSlots,
    pub enricher: FeedEnricher,
    pub backlog: Backlog,
    /// The archives of packs that are applied at the same time.
    pub uploads: Arc<Semaphore>,
    pub stopping: CancellationToken,
}

impl Api {
    pub fn new(context: &Context) -> anyhow::Result<Self> {
        let keys = Arc::new(Keys::new(&context.config.security)?);
        let sessions = Sessions::default();
        Ok(Self(Arc::new(State {
            config: context.config.clone(),
            pool: context.pool.clone(),
            bus: context.bus.clone(),
            sealer: Sealer::new(&context.config.security),
            authority: Arc::new(Authority {
                keys: keys.clone(),
                sites: Sites::new(&context.config.api),
                sessions: sessions.clone(),
                rates: Rates::new(context.config.api.requests_per_second),
                pool: context.pool.clone(),
            }),
            keys,
            sessions,
            hashing: Hashing::new()?,
            ingest: Ingest::start(context),
            creations: Creations::start(context),
            triggers: Catalog::default(),
            actions: Catalog::default(),
            webhooks: Webhooks::start(context),
            stream_slots: StreamSlots::default(),
            enricher: FeedEnricher::default(),
            backlog: Backlog::default(),
            uploads: Arc::new(Semaphore::new(1)),
            stopping: context.stopping().clone(),
        })))
    }
}

impl State {
    /// What a stream reads from.
    pub fn stream_sources(&self) -> Sources {
        Sources {
            pool: self.pool.clone(),
            bus: self.bus.clone(),
            sessions: self.sessions.clone(),
            enricher: self.enricher.clone(),
            stopping: self.stopping.clone(),
        }
    }

    pub async fn begin(&self) -> Result<Transaction, Problem> {
        Ok(Transaction::begin(&self.pool).await?)
    }

    /// Begins a change of definitions. Changes run one at a time, so that what was checked is still true at the commit.
    pub async fn begin_definitions(&self) -> Result<Transaction, Problem> {
        let mut transaction = Transaction::begin(&self.pool).await?;
        definitions::lock(&mut transaction).await?;
        Ok(transaction)
    }

    /// Commits a change of definitions and announces it.
    pub async fn commit_definitions(&self, transaction: Transaction) -> Result<(), Problem> {
        transaction.commit().await?;
        self.webhooks.endpoints.forget();
        self.bus.control(Control::DefinitionsChanged);
        Ok(())
    }

    /// The public address of a webhook.
    pub fn webhook_url(&self, key: &str) -> String {
        format!("{}/api/v1/webhooks/{key}", self.public_url())
    }

    /// The address that people use, without a slash at the end.
    pub fn public_url(&self) -> String {
        let url = self.config.api.public_url.clone();
        let url = url.unwrap_or_else(|| format!("http://{}", self.config.api.listen));
        url.trim_end_matches('/').to_owned()
    }
}
