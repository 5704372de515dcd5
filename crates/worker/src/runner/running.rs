//! An action that was asked for, from the request to its answer.

use super::{
    invocation::Ties,
    link::{Answer, Link, Told},
    output::Decoders,
    scratch::Scratch,
};
use std::{sync::Arc, time::Duration};
use tokio::{runtime::Handle, sync::watch};
use tokio_util::task::TaskTracker;

/// Dropped before its end, the action is killed, and its scratch directory wiped when that is done.
pub(super) struct Running {
    pub id: u64,
    pub link: Arc<Link>,
    pub told: Option<Told>,
    pub scratch: Option<Scratch>,
    pub tracker: TaskTracker,
}

impl Running {
    /// The supervisor's answer, or none when it died.
    pub async fn answer(&mut self, ties: &mut Ties, grace: Duration) -> Option<Answer> {
        let Told {
            output,
            answer: receiver,
        } = self.told.as_mut()?;
        let mut decoders = Decoders::default();
        let Ties { stop, lease, tap } = ties;
        let (mut asked, mut killed) = (false, false);
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut *receiver => break answer,
                Some(until) = prolonged(lease) => self.link.prolong(self.id, until),
                Some(pieces) = output.recv() => decoders.pass_on(pieces, tap.as_ref()),
                () = stop.asked_at_once(), if !killed => {
                    (asked, killed) = (true, true);
                    self.link.stop(self.id, Duration::ZERO);
                }
                () = stop.asked(), if !asked => {
                    asked = true;
                    self.link.stop(self.id, grace);
                }
            }
        };
        while let Ok(pieces) = output.try_recv() {
            decoders.pass_on(pieces, tap.as_ref());
        }
        self.told = None;
        answer.ok()
    }

    pub async fn wipe(&mut self) {
        if let Some(scratch) = self.scratch.take() {
            self.link.scratches.wipe(scratch).await;
        }
    }
}

/// The next end of a lease that was renewed.
async fn prolonged(lease: &mut Option<watch::Receiver<Duration>>) -> Option<Duration> {
    let lease = lease.as_mut()?;
    lease.changed().await.ok()?;
    Some(*lease.borrow_and_update())
}

impl Drop for Running {
    fn drop(&mut self) {
        let told = self.told.take();
        if told.is_some() {
            self.link.stop(self.id, Duration::ZERO);
        }
        // Without a runtime the program is ending, and the supervisor wipes everything.
        let Some(scratch) = self.scratch.take().filter(|_| Handle::try_current().is_ok()) else {
            return;
        };
        let link = Arc::clone(&self.link);
        self.tracker.spawn(async move {
            if let Some(told) = told {
                let _ = told.answer.await;
            }
            link.scratches.wipe(scratch).await;
        });
    }
}
