//! What follows the commit of decisions.

use attune_common::{
    announce::{self, Enforcements},
    service::Context,
    store::{db, with_default_timeout},
};

/// Wakes the workers at once, and announces the decisions when they are on disk: their commit does not wait for it.
pub(super) async fn publish(context: &Context, mut decided: Enforcements) {
    decided.wake(&*context.bus);
    match with_default_timeout(db::flush(&context.pool)).await {
        Ok(()) => announce::enforcements(&*context.bus, decided),
        Err(error) => tracing::warn!(%error, "failed to flush decisions; they are not announced"),
    }
}
