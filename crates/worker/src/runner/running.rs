//! An action that was sent to the supervisor, until its end.

use super::{
    invocation::RunControl,
    link::{Answer, Link, Replies},
    output::Decoders,
    scratch::Scratch,
};
use crate::redact::Redactor;
use std::{sync::Arc, time::Duration};
use tokio::{runtime::Handle, sync::watch};
use tokio_util::task::TaskTracker;

/// If dropped before its end, the action is killed, and then its scratch directory is wiped.
pub(super) struct Running {
    pub id: u64,
    pub link: Arc<Link>,
    pub replies: Option<Replies>,
    pub scratch: Option<Scratch>,
    /// The template that it is a fork of.
    pub template: Option<u64>,
    pub tracker: TaskTracker,
    pub redactor: Option<Arc<Redactor>>,
}

impl Running {
    /// The supervisor's answer, or None if the supervisor died.
    pub async fn answer(&mut self, control: &mut RunControl, grace: Duration) -> Option<Answer> {
        let Replies {
            output,
            answer: receiver,
        } = self.replies.as_mut()?;
        let mut decoders = Decoders::new(self.redactor.as_ref());
        let RunControl { stop, lease, sink, .. } = control;
        let (mut terminated, mut killed) = (false, false);
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut *receiver => break answer,
                Some(until) = renewed(lease) => self.link.renew_lease(self.id, until),
                Some(pieces) = output.recv() => decoders.pass_on(pieces, sink.as_ref()),
                () = stop.kill_requested(), if !killed => {
                    (terminated, killed) = (true, true);
                    self.link.stop(self.id, Duration::ZERO);
                }
                () = stop.requested(), if !terminated => {
                    terminated = true;
                    self.link.stop(self.id, grace);
                }
            }
        };
        while let Ok(pieces) = output.try_recv() {
            decoders.pass_on(pieces, sink.as_ref());
        }
        self.replies = None;
        answer.ok()
    }

    pub async fn wipe(&mut self) {
        if let Some(scratch) = self.scratch.take() {
            self.link.scratches.wipe(scratch).await;
        }
        self.leave_template();
    }

    fn leave_template(&mut self) {
        if let Some(template) = self.template.take() {
            self.link.templates.leave(template);
        }
    }
}

/// The new end of the lease, when it is renewed.
async fn renewed(lease: &mut Option<watch::Receiver<Duration>>) -> Option<Duration> {
    let lease = lease.as_mut()?;
    lease.changed().await.ok()?;
    Some(*lease.borrow_and_update())
}

impl Drop for Running {
    fn drop(&mut self) {
        let replies = self.replies.take();
        if replies.is_some() {
            self.link.stop(self.id, Duration::ZERO);
        }
        // Without a runtime the program is exiting, and the supervisor wipes everything.
        let Some(scratch) = self.scratch.take().filter(|_| Handle::try_current().is_ok()) else {
            return self.leave_template();
        };
        let template = self.template.take();
        let link = Arc::clone(&self.link);
        self.tracker.spawn(async move {
            if let Some(replies) = replies {
                let _ = replies.answer.await;
            }
            link.scratches.wipe(scratch).await;
            if let Some(template) = template {
                link.templates.leave(template);
            }
        });
    }
}
