//! Verbs with arguments of their own.

mod access;
mod events;
mod executions;
mod others;
mod rules;
mod timers;

pub use others::pool_rows;
pub use timers::schedule;

use super::{Call, table::Own};
use crate::cmd::session::Session;

pub async fn run(session: &Session, call: &Call, own: Own) -> anyhow::Result<()> {
    match own {
        Own::RuleTest => rules::test(session, call).await,
        Own::TimerCreate => timers::create(session, call).await,
        Own::TimerNext => timers::next(session, call).await,
        Own::Fire => events::fire(session, call).await,
        Own::EventSend => events::send(session, call).await,
        Own::WebhookSend => events::request(session, call).await,
        Own::WebhookRotateSecret => others::rotate_secret(session, call).await,
        Own::ExecutionRerun => executions::rerun(session, call).await,
        Own::ExecutionWait => executions::wait(session, call).await,
        Own::ActionSchema => others::schema(session, call).await,
        Own::QueueDiscard => others::discard(session, call).await,
        Own::PoolList => others::pools(session).await,
        Own::UserAdd => access::add(session, call).await,
        Own::UserPasswd => access::password(session, call).await,
        Own::UserChange(what) => access::change(session, call, what).await,
        Own::TokenCreate => access::create_token(session, call).await,
        Own::TokenRevoke => access::revoke_token(session, call).await,
    }
}
