//! The runner: turns an [`Invocation`] into a child process and tells how it [`Ended`].
//!
//! The worker does not start processes itself: it asks its [`supervisor`], so that whatever happens to the worker, what
//! an action started is ended (docs/decisions/0003-supervisor.md). An action is over when its main process has ended.
//!
//! It must not know where executions come from nor what becomes of a result.

mod environment;
mod invocation;
mod lifecycle;
mod link;
mod output;
mod refusal;
mod scratch;
mod settings;
pub mod supervisor;

pub use invocation::{Ended, Invocation, Outcome, Work};
pub use settings::Settings;

use lifecycle::{Supervisor, keep_supervised};
use link::{Answer, Link};
use nix::sys::prctl;
use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use supervisor::protocol::{Report, Start};
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long an action waits for a supervisor after one has died.
const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(15);

const SUPERVISOR_DIED: &str =
    "the worker's action supervisor died; the action and all it had started were killed with it";

/// Runs actions. Clones are the same runner.
#[derive(Clone)]
pub struct Runner {
    settings: Arc<Settings>,
    links: watch::Receiver<Option<Arc<Link>>>,
    last_id: Arc<AtomicU64>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Runner {
    /// Starts a supervisor and keeps one running, on a task of the tracker, until [`Runner::stop`].
    ///
    /// From here on other programs of the same user cannot look into this process: actions run as that user, and this
    /// process's memory and environment hold secrets.
    pub async fn start(settings: Settings, tracker: &TaskTracker) -> io::Result<Self> {
        prctl::set_dumpable(false)?;
        let first = Supervisor::start(&settings).await?;
        let (sender, links) = watch::channel(Some(Arc::clone(&first.link)));
        let stop = CancellationToken::new();
        tracker.spawn(keep_supervised(settings.clone(), first, sender, stop.clone()));
        Ok(Self {
            settings: Arc::new(settings),
            links,
            last_id: Arc::default(),
            tracker: tracker.clone(),
            stop,
        })
    }

    /// Kills at once whatever still runs. The tracker's tasks end when that is done.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Runs one action to its end.
    ///
    /// On `cancel` its processes get SIGTERM, and SIGKILL after the invocation's grace. When the returned future is
    /// dropped they get SIGKILL at once.
    pub async fn run(&self, invocation: Invocation, cancel: CancellationToken) -> Ended {
        let link = tokio::select! {
            biased;
            () = cancel.cancelled() => return Ended::unstarted(Outcome::Canceled, "canceled before it was started"),
            link = self.link() => link,
        };
        let Some(link) = link else {
            return Ended::unstarted(Outcome::Failed, "the worker has no action supervisor");
        };
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let directory = match scratch::make_one(&link.scratch, id) {
            Ok(directory) => directory,
            Err(error) => return Ended::unstarted(Outcome::Failed, error.to_string()),
        };
        match self.prepare(id, &invocation, &directory) {
            Ok(start) => self.attend(link, start, directory, &invocation, cancel).await,
            Err(error) => {
                scratch::wipe(directory).await;
                Ended::unstarted(Outcome::Failed, error)
            }
        }
    }

    /// The running supervisor's link; waits a while for the next one when there is none.
    async fn link(&self) -> Option<Arc<Link>> {
        let mut links = self.links.clone();
        let found = timeout(SUPERVISOR_PATIENCE, links.wait_for(Option::is_some)).await;
        found.ok()?.ok()?.clone()
    }

    fn prepare(&self, id: u64, invocation: &Invocation, directory: &Path) -> Result<Start, String> {
        let (program, arguments) = invocation.work.words().ok_or("the runtime names no interpreter")?;
        let program = refusal::find_program(program, &self.settings.path)?;
        let input = if invocation.parameters.is_null() {
            "{}".into()
        } else {
            invocation.parameters.to_string()
        };
        Ok(Start {
            id,
            execution: invocation.execution_id.to_string(),
            program: program.into_os_string().into_encoded_bytes(),
            arguments: arguments
                .into_iter()
                .map(|argument| argument.as_bytes().to_vec())
                .collect(),
            environment: environment::compose(&self.settings, invocation, directory),
            directory: directory.as_os_str().as_encoded_bytes().to_vec(),
            input: input.into_bytes(),
            timeout: invocation.timeout,
            grace: invocation.kill_grace,
        })
    }

    async fn attend(
        &self,
        link: Arc<Link>,
        start: Start,
        directory: PathBuf,
        invocation: &Invocation,
        cancel: CancellationToken,
    ) -> Ended {
        let mut running = Running {
            id: start.id,
            answer: Some(link.start(start)),
            link,
            directory: Some(directory),
            tracker: self.tracker.clone(),
        };
        let answer = running.answer(&cancel, invocation.kill_grace).await;
        running.wipe().await;
        match answer {
            Some(Ok(report)) => ended(*report, invocation),
            Some(Err(refusal)) => Ended::unstarted(Outcome::Failed, refusal::explain(&refusal, &invocation.work)),
            None if self.stop.is_cancelled() => Ended::unstarted(Outcome::Failed, "the worker stopped"),
            None => Ended::unstarted(Outcome::Failed, SUPERVISOR_DIED),
        }
    }
}

/// An action that was asked for. Dropped before its end, it is killed, and wiped away when that is done.
struct Running {
    id: u64,
    link: Arc<Link>,
    answer: Option<oneshot::Receiver<Answer>>,
    directory: Option<PathBuf>,
    tracker: TaskTracker,
}

impl Running {
    /// The supervisor's answer, or none when it died.
    async fn answer(&mut self, cancel: &CancellationToken, grace: Duration) -> Option<Answer> {
        let receiver = self.answer.as_mut()?;
        let answer = tokio::select! {
            answer = &mut *receiver => answer,
            () = cancel.cancelled() => {
                self.link.stop(self.id, grace);
                receiver.await
            }
        };
        self.answer = None;
        answer.ok()
    }

    async fn wipe(&mut self) {
        if let Some(directory) = self.directory.take() {
            scratch::wipe(directory).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(directory) = self.directory.take() else { return };
        let answer = self.answer.take();
        if answer.is_some() {
            self.link.stop(self.id, Duration::ZERO);
        }
        self.tracker.spawn(async move {
            if let Some(answer) = answer {
                let _ = answer.await;
            }
            scratch::wipe(directory).await;
        });
    }
}

fn ended(report: Report, invocation: &Invocation) -> Ended {
    let outcome = match report {
        Report { timed_out: true, .. } => Outcome::TimedOut,
        Report { stopped: true, .. } => Outcome::Canceled,
        Report { code: Some(0), .. } => Outcome::Succeeded,
        _ => Outcome::Failed,
    };
    Ended {
        outcome,
        exit_code: report.code,
        signal: report.signal,
        error: refusal::reason(outcome, &report, invocation.timeout),
        ran: report.ran,
        stdout: output::text(report.stdout),
        stderr: output::text(report.stderr),
    }
}
