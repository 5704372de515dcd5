//! An action that was asked for, from the request to its answer.

use super::{
    invocation::Stop,
    link::{Answer, Link},
    scratch::Scratch,
};
use std::{sync::Arc, time::Duration};
use tokio::{runtime::Handle, sync::oneshot};
use tokio_util::task::TaskTracker;

/// Dropped before its end, the action is killed, and its scratch directory wiped when that is done.
pub(super) struct Running {
    pub id: u64,
    pub link: Arc<Link>,
    pub answer: Option<oneshot::Receiver<Answer>>,
    pub scratch: Option<Scratch>,
    pub tracker: TaskTracker,
}

impl Running {
    /// The supervisor's answer, or none when it died.
    pub async fn answer(&mut self, stop: &Stop, grace: Duration) -> Option<Answer> {
        let receiver = self.answer.as_mut()?;
        let (mut asked, mut killed) = (false, false);
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut *receiver => break answer,
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
        self.answer = None;
        answer.ok()
    }

    pub async fn wipe(&mut self) {
        if let Some(scratch) = self.scratch.take() {
            self.link.scratches.wipe(scratch).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let answer = self.answer.take();
        if answer.is_some() {
            self.link.stop(self.id, Duration::ZERO);
        }
        // Without a runtime the program is ending, and the supervisor wipes everything.
        let Some(scratch) = self.scratch.take().filter(|_| Handle::try_current().is_ok()) else {
            return;
        };
        let link = Arc::clone(&self.link);
        self.tracker.spawn(async move {
            if let Some(answer) = answer {
                let _ = answer.await;
            }
            link.scratches.wipe(scratch).await;
        });
    }
}
