//! Stores requests in batches, in the background. Under too much load the inbox loses requests; events are never lost.

use attune_common::{
    service::Context,
    store::{
        webhook_inbox::{self, NewRequest},
        with_default_timeout,
    },
};
use tokio::sync::mpsc;

const BATCH: usize = 200;
const WAITING_MAX: usize = 1_000;

#[derive(Debug, Clone)]
pub struct Inbox(mpsc::Sender<NewRequest>);

impl Inbox {
    /// Starts the task that writes. It ends when every [`Inbox`] is dropped.
    pub fn start(context: &Context) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        context.tracker().spawn(run(context.clone(), receiver));
        Self(sender)
    }

    pub fn store(&self, request: NewRequest) {
        if self.0.try_send(request).is_err() {
            metrics::counter!("attune_webhook_inbox_dropped_total").increment(1);
        }
    }
}

async fn run(context: Context, mut requests: mpsc::Receiver<NewRequest>) {
    let mut batch = Vec::with_capacity(BATCH);
    while requests.recv_many(&mut batch, BATCH).await > 0 {
        if let Err(error) = with_default_timeout(webhook_inbox::insert(&context.pool, &batch)).await {
            tracing::warn!(%error, requests = batch.len(), "failed to store requests to webhooks");
            metrics::counter!("attune_webhook_inbox_dropped_total").increment(batch.len() as u64);
        }
        batch.clear();
    }
}
