//! What can be done with timers: start, stop, count.
//!
//! The durable row of a timer is the truth, not this process. So these functions work while any number of sensors run, and
//! while none does. `Scheduler` fires the timers.

use attune_common::{
    bus::Control,
    service::Context,
    store::{
        Error,
        timer::{self, Counts},
        with_default_timeout,
    },
};
use attune_domain::TriggerId;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone)]
pub struct TimerManager {
    context: Context,
    stop: CancellationToken,
}

impl TimerManager {
    pub fn new(context: &Context) -> Self {
        Self {
            context: context.clone(),
            stop: CancellationToken::new(),
        }
    }

    /// Arms a stopped timer, as if its trigger had just been enabled. Returns whether it was stopped.
    pub async fn start_timer(&self, trigger: TriggerId) -> Result<bool, Error> {
        let started = timer::arm(&self.context.pool, trigger).await?;
        self.context.bus.control(Control::DefinitionsChanged);
        Ok(started)
    }

    /// Disarms a timer until it is started again, or its trigger is edited or enabled. Returns whether it was armed.
    pub async fn stop_timer(&self, trigger: TriggerId) -> Result<bool, Error> {
        let stopped = timer::disarm(&self.context.pool, trigger).await?;
        self.context.bus.control(Control::DefinitionsChanged);
        Ok(stopped)
    }

    /// Stops the scheduler of this process. The timers remain armed, and other sensors fire them.
    pub fn stop_all(&self) {
        self.stop.cancel();
    }

    /// How many timers there are, in each state. `active` is the number of armed ones.
    pub async fn timer_count(&self) -> Result<Counts, Error> {
        with_default_timeout(timer::counts(&self.context.pool)).await
    }

    /// Cancelled by [`Self::stop_all`].
    pub(crate) fn stopped(&self) -> &CancellationToken {
        &self.stop
    }
}
