//! Writes decisions, in statements of bounded size, and publishes them after the commit.

use super::{admit, publish::publish};
use attune_common::{
    announce::Enforcements,
    failpoint,
    service::Context,
    store::{
        DedicatedConnection, Error, PgConnection,
        decision::{self, Decision, Written},
        with_default_timeout,
    },
};
use std::time::Duration;

/// A database that does not respond within this time counts as unavailable.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// Enforcements in one statement. A thousand rules on one event must not turn a hundred events into one huge statement.
const ENFORCEMENTS_MAX: usize = 2_000;

/// Writes all decisions. False: definitions have changed, and the rest must be evaluated again.
pub(super) async fn decisions(
    context: &Context,
    connection: &mut DedicatedConnection,
    version: i64,
    decisions: Vec<Decision>,
) -> Result<bool, Error> {
    let mut part = Vec::new();
    let mut size = 0;
    for decision in decisions {
        size += decision.enforcements.len();
        part.push(decision);
        if size >= ENFORCEMENTS_MAX {
            size = 0;
            if !write_part(context, connection, version, std::mem::take(&mut part)).await? {
                return Ok(false);
            }
        }
    }
    write_part(context, connection, version, part).await
}

/// Decisions without limits are written as they are, in one statement. The others must be admitted first.
async fn write_part(
    context: &Context,
    connection: &mut DedicatedConnection,
    version: i64,
    decisions: Vec<Decision>,
) -> Result<bool, Error> {
    let (gated, decisions): (Vec<_>, Vec<_>) = decisions.into_iter().partition(admit::is_gated);
    if !with_default_timeout(admit::write(context, version, gated)).await? {
        return Ok(false);
    }
    if decisions.is_empty() {
        return Ok(true);
    }
    let announcement = Enforcements::of(&decisions);
    failpoint::hit("t2.before_commit").await;
    let write = async |connection: &mut PgConnection| decision::write(connection, version, decisions).await;
    match connection.with_timeout(TIMEOUT, write).await? {
        Written::Stale => Ok(false),
        Written::Decided(ours) => {
            failpoint::hit("t2.after_commit").await;
            publish(context, announcement.only(&ours)).await;
            Ok(true)
        }
    }
}
