//! The runner: turns an [`Invocation`] into a child process and tells how it [`Ended`].
//!
//! The worker does not start processes itself: it asks its [`supervisor`], so that whatever happens to the worker, what
//! an action started is ended (docs/decisions/0003-supervisor.md). An action is over when its main process has ended.
//!
//! It must not know where executions come from nor what becomes of a result.

mod environment;
mod invocation;
pub mod isolation;
mod lifecycle;
mod link;
mod output;
mod refusal;
mod running;
mod scratch;
mod settings;
pub mod supervisor;

pub use invocation::{Ended, Invocation, Outcome, Stop, Tap, Ties, Work};
pub use settings::Settings;
pub use supervisor::protocol::Channel;

use attune_common::store::execution_queue::Life;
use lifecycle::{Supervisor, keep_supervised, sweep};
use link::Link;
use nix::sys::prctl;
use running::Running;
use scratch::Scratch;
use serde_json::Value;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use supervisor::{
    Sweeper,
    protocol::{Report, Start},
};
use tokio::{sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long an action waits for a supervisor after one has died.
const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(15);

/// What goes to an action on standard input, or as its script.
const INPUT_MAX: usize = 16 << 20;

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
    /// Ends what dead workers left, starts a supervisor and keeps one running, on a task of the tracker, until
    /// [`Runner::stop`].
    ///
    /// From here on other programs of the same user cannot look into this process: actions run as that user, and this
    /// process's memory and environment hold secrets. And this process is a subreaper: what its supervisor cannot end falls
    /// to it.
    pub async fn start(settings: Settings, tracker: &TaskTracker) -> io::Result<Self> {
        prctl::set_dumpable(false)?;
        clear_up_after_predecessors(&settings).await;
        let first = Supervisor::start(&settings).await?;
        let sweeper = start_sweeper(&settings).await?;
        prctl::set_child_subreaper(true)?;
        let (sender, links) = watch::channel(Some(Arc::clone(&first.link)));
        let stop = CancellationToken::new();
        tracker.spawn(keep_supervised(settings.clone(), first, sweeper, sender, stop.clone()));
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
    /// Stopped softly, its processes get SIGTERM, and SIGKILL after the invocation's grace. When the returned future is
    /// dropped they get SIGKILL at once; also at the end of its lease, even when this process does not move any more.
    pub async fn run(&self, invocation: Invocation, ties: impl Into<Ties>) -> Ended {
        let mut ties = ties.into();
        loop {
            let link = tokio::select! {
                biased;
                () = ties.stop.asked() => return Ended::unstarted(Outcome::Canceled, "canceled before it was started"),
                link = self.link() => link,
            };
            let Some(link) = link else {
                return Ended::unstarted(Outcome::Failed, "the worker has no action supervisor");
            };
            match self.begin(&link, &invocation, &mut ties) {
                Ok(running) => return self.attend(running, &invocation, &mut ties).await,
                // The supervisor died before it was asked, so the next one can be.
                Err(_) if link.is_dead() => {}
                Err(error) => return Ended::unstarted(Outcome::Failed, error),
            }
        }
    }

    /// The running supervisor's link; waits a while for the next one when there is none.
    async fn link(&self) -> Option<Arc<Link>> {
        let mut links = self.links.clone();
        let alive = |link: &Option<Arc<Link>>| link.as_ref().is_some_and(|link| !link.is_dead());
        let found = timeout(SUPERVISOR_PATIENCE, links.wait_for(alive)).await;
        found.ok()?.ok()?.clone()
    }

    fn begin(&self, link: &Arc<Link>, invocation: &Invocation, ties: &mut Ties) -> Result<Running, String> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let scratch = link.scratches.take().map_err(|error| error.to_string())?;
        let start = self.prepare(id, invocation, &scratch);
        let lease = ties.lease.as_mut().map(|lease| *lease.borrow_and_update());
        let mut running = Running {
            id,
            link: Arc::clone(link),
            told: None,
            scratch: Some(scratch),
            tracker: self.tracker.clone(),
        };
        running.told = Some(link.start(Start { lease, ..start? }).ok_or(SUPERVISOR_DIED)?);
        Ok(running)
    }

    fn prepare(&self, id: u64, invocation: &Invocation, scratch: &Scratch) -> Result<Start, String> {
        let directory = &scratch.path;
        let (program, arguments) = invocation.work.words().ok_or("the runtime names no interpreter")?;
        let program = refusal::find_program(program, &self.settings.path)?;
        let input = match &invocation.parameters {
            Value::Null => "{}".into(),
            parameters => parameters.to_string(),
        };
        if input.len() > INPUT_MAX || arguments.iter().any(|argument| argument.len() > INPUT_MAX) {
            return Err(refusal::TOO_LARGE.into());
        }
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
            lease: None,
            user: scratch.user,
            limits: self.settings.bounds.of(&invocation.resources, invocation.timeout)?,
        })
    }

    async fn attend(&self, mut running: Running, invocation: &Invocation, ties: &mut Ties) -> Ended {
        let answer = running.answer(ties, invocation.kill_grace).await;
        running.wipe().await;
        match answer {
            Some(Ok(report)) => ended(*report, invocation),
            Some(Err(refusal)) => Ended::unstarted(Outcome::Failed, refusal::explain(&refusal, &invocation.work)),
            None if self.stop.is_cancelled() => Ended::unstarted(Outcome::Failed, "the worker stopped"),
            None => Ended::unstarted(Outcome::Failed, died(running.link.immortal())),
        }
    }
}

/// Ends what dead workers of the same installation left on this host, before anything says that it is gone.
pub async fn clear_up_after_predecessors(settings: &Settings) {
    let settings = settings.clone();
    if let Err(error) = tokio::task::spawn_blocking(move || sweep(&settings)).await {
        tracing::error!(%error, "failed to look for what dead workers left");
    }
}

async fn start_sweeper(settings: &Settings) -> io::Result<Sweeper> {
    let settings = settings.clone();
    let started = tokio::task::spawn_blocking(move || {
        // The sweeper must not become a child of this process, which a runner before this one may have made a subreaper.
        prctl::set_child_subreaper(false)?;
        Sweeper::start(
            &settings.supervisor,
            &settings.scratch_directory,
            &settings.installation,
        )
    });
    started.await?
}

fn died(immortal: usize) -> String {
    match immortal {
        0 => SUPERVISOR_DIED.into(),
        count => {
            format!("the worker's action supervisor died; {count} processes that it had started could not be killed")
        }
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
        life: (!report.began.is_zero()).then_some(Life {
            began: report.began,
            over: report.over,
        }),
        stdout_flaw: output::flaw(&report.stdout),
        stdout: output::text(report.stdout),
        stderr: output::text(report.stderr),
    }
}
