//! What every handler is given.

use crate::{
    auth::{Hashing, Keys, Rates, Sessions},
    problem::Problem,
    shed::Pressure,
    stream::{Belongings, Guests},
    webhook::Webhooks,
};
use attune_common::{
    bus::{Bus, Control},
    config::Config,
    ingest::Ingest,
    service::Context,
    store::{PgPool, Transaction, definitions},
};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone)]
pub struct Api {
    pub config: Arc<Config>,
    pub pool: PgPool,
    pub bus: Arc<dyn Bus>,
    pub keys: Arc<Keys>,
    pub sessions: Sessions,
    pub hashing: Hashing,
    pub rates: Rates,
    pub ingest: Ingest,
    pub webhooks: Webhooks,
    pub guests: Guests,
    pub belongings: Belongings,
    pub pressure: Pressure,
    pub stopping: CancellationToken,
}

impl Api {
    pub fn new(context: &Context) -> anyhow::Result<Self> {
        Ok(Self {
            config: context.config.clone(),
            pool: context.pool.clone(),
            bus: context.bus.clone(),
            keys: Arc::new(Keys::new(&context.config.security)?),
            sessions: Sessions::default(),
            hashing: Hashing::new()?,
            ingest: Ingest::start(context),
            webhooks: Webhooks::start(context),
            guests: Guests::default(),
            belongings: Belongings::default(),
            pressure: Pressure::default(),
            stopping: context.stopping().clone(),
            rates: Rates::new(context.config.api.requests_per_second),
        })
    }

    pub async fn begin(&self) -> Result<Transaction, Problem> {
        Ok(Transaction::begin(&self.pool).await?)
    }

    /// Begins a change of definitions. One at a time: what is checked stays true until it is written.
    pub async fn begin_definitions(&self) -> Result<Transaction, Problem> {
        let mut transaction = Transaction::begin(&self.pool).await?;
        definitions::lock(&mut transaction).await?;
        Ok(transaction)
    }

    /// Commits a change of definitions and says so.
    pub async fn commit_definitions(&self, transaction: Transaction) -> Result<(), Problem> {
        transaction.commit().await?;
        self.webhooks.endpoints.forget();
        self.bus.control(Control::DefinitionsChanged);
        Ok(())
    }

    /// The address of a webhook, as the outside calls it.
    pub fn webhook_url(&self, key: &str) -> String {
        let base = self.config.api.public_url.clone();
        let base = base.unwrap_or_else(|| format!("http://{}", self.config.api.listen));
        format!("{}/api/v1/webhooks/{key}", base.trim_end_matches('/'))
    }
}
