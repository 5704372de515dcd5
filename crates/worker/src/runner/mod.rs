//! The runner: runs an [`Invocation`] as a child process and returns how it [`Ended`].
//!
//! The worker does not start processes itself: its [`supervisor`] does, so that everything an action started is killed even
//! if the worker dies (docs/decisions/0003-supervisor.md). An action ends when its main process exits.
//!
//! The runner must not know where executions come from or what happens to a result.

mod environment;
mod invocation;
pub mod isolation;
mod lifecycle;
mod link;
mod messages;
mod output;
mod running;
mod scratch;
pub(crate) mod settings;
pub mod supervisor;
mod templates;

pub use invocation::{Command, Ended, Invocation, Outcome, OutputSink, RunControl, SecretFile, Stop, Template};
pub use settings::Settings;
pub use supervisor::protocol::Channel;

use crate::redact::Redactor;
use attune_common::store::execution_queue::Lifetime;
use attune_domain::{ExecutionId, resources::Resources};
use lifecycle::{Supervisor, keep_supervised, start_sweeper, sweep};
use link::Link;
use nix::sys::prctl;
use running::Running;
use scratch::Scratch;
use serde_json::Value;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use supervisor::protocol::{Report, Start, StartError, TEMPLATE_FAILED, TEMPLATE_UNSUITABLE};
use templates::{Entered, Seat};
use tokio::{sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

/// How long an action waits for the next supervisor after one has died.
const SUPERVISOR_TIMEOUT: Duration = Duration::from_secs(15);

/// The most bytes of an action's standard input, or of its script.
const INPUT_MAX: usize = 16 << 20;

const SUPERVISOR_DIED: &str = "the worker's action supervisor died; the action and all its processes were killed";

/// Runs actions. Clones refer to the same runner.
#[derive(Clone)]
pub struct Runner {
    settings: Arc<Settings>,
    links: watch::Receiver<Option<Arc<Link>>>,
    has_sweeper: Arc<AtomicBool>,
    last_id: Arc<AtomicU64>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Runner {
    /// Kills what dead workers left behind, starts a supervisor, and restarts it whenever it dies, on a task of the tracker,
    /// until [`Runner::stop`].
    ///
    /// From here on other programs of the same user cannot inspect this process: actions run as that user, and this process
    /// has secrets in its memory and environment. It also becomes a subreaper: orphans of its supervisor become its children.
    pub async fn start(settings: Settings, tracker: &TaskTracker) -> io::Result<Self> {
        prctl::set_dumpable(false)?;
        clean_up_after_predecessors(&settings).await;
        let first = Supervisor::start(&settings).await?;
        let sweeper = start_sweeper(&settings).await?;
        let has_sweeper = Arc::new(AtomicBool::new(true));
        let (sender, links) = watch::channel(Some(Arc::clone(&first.link)));
        let stop = CancellationToken::new();
        let keep = keep_supervised(
            settings.clone(),
            first,
            sweeper,
            Arc::clone(&has_sweeper),
            sender,
            stop.clone(),
        );
        tracker.spawn(keep);
        Ok(Self {
            settings: Arc::new(settings),
            links,
            has_sweeper,
            last_id: Arc::default(),
            tracker: tracker.clone(),
            stop,
        })
    }

    /// False while a sweeper that died could not be replaced: if this process and its supervisor were killed now, actions would
    /// keep running.
    pub fn has_sweeper(&self) -> bool {
        self.has_sweeper.load(Ordering::Relaxed)
    }

    /// Kills everything that still runs. The tracker's tasks end when that is done.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Runs one action to its end.
    ///
    /// [`Stop::terminate`] sends SIGTERM to its processes, and SIGKILL after the grace period. Dropping the returned future
    /// sends SIGKILL. So does the end of the lease, even if this process is frozen.
    pub async fn run(&self, mut invocation: Invocation, control: impl Into<RunControl>) -> Ended {
        let mut control = control.into();
        loop {
            let link = tokio::select! {
                biased;
                () = control.stop.requested() => {
                    invocation.wipe();
                    return Ended::not_started(Outcome::Canceled, "canceled before it started");
                }
                link = self.link() => link,
            };
            let Some(link) = link else {
                invocation.wipe();
                return Ended::not_started(Outcome::Failed, "the worker has no action supervisor");
            };
            match self.begin(&link, &invocation, &mut control) {
                Ok(running) => {
                    // A template that does not run it leaves it to the next round.
                    if running.template.is_none() {
                        invocation.wipe();
                    }
                    // Without an end, its template did not run it, and nothing has been started.
                    if let Some(ended) = self.attend(running, &invocation, &mut control).await {
                        invocation.wipe();
                        return ended;
                    }
                }
                // The supervisor died before it got the request, so the next one can run the action.
                Err(_) if link.is_dead() => {}
                Err(error) => return Ended::not_started(Outcome::Failed, error),
            }
        }
    }

    /// The link to the running supervisor. Waits for the next one if it has died.
    async fn link(&self) -> Option<Arc<Link>> {
        let mut links = self.links.clone();
        let alive = |link: &Option<Arc<Link>>| link.as_ref().is_some_and(|link| !link.is_dead());
        let found = timeout(SUPERVISOR_TIMEOUT, links.wait_for(alive)).await;
        found.ok()?.ok()?.clone()
    }

    fn begin(&self, link: &Arc<Link>, invocation: &Invocation, control: &mut RunControl) -> Result<Running, String> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let seat = self.seat(link, invocation);
        let scratch = match &seat {
            Some(seat) => link.scratches.take_shared(seat.user),
            None => link.scratches.take(),
        };
        let template = seat.map(|seat| seat.template);
        let scratch = scratch.map_err(|error| {
            if let Some(template) = template {
                link.templates.leave(template);
            }
            error.to_string()
        })?;
        let start = scratch
            .store_secrets(&invocation.files)
            .map_err(|error| format!("failed to write the files of secrets: {error}"))
            .and_then(|()| self.prepare(id, invocation, &scratch));
        let lease = control.lease.as_mut().map(|lease| *lease.borrow_and_update());
        let mut running = Running {
            id,
            link: Arc::clone(link),
            replies: None,
            scratch: Some(scratch),
            template,
            tracker: self.tracker.clone(),
            redactor: invocation.redactor.clone(),
        };
        let start = Start {
            lease,
            holds_slot: control.holds_slot,
            template,
            ..start?
        };
        running.replies = Some(link.start(start).ok_or(SUPERVISOR_DIED)?);
        Ok(running)
    }

    /// A template that this action can run in. Opens one if the action runs often enough.
    fn seat(&self, link: &Link, invocation: &Invocation) -> Option<Seat> {
        let template = invocation.template.as_ref()?;
        if self.settings.templates_max == 0 {
            return None;
        }
        match link.templates.enter(&template.key, self.settings.templates_max) {
            Entered::Seat(seat) => return Some(seat),
            Entered::Cold => return None,
            Entered::Open => {}
        }
        let scratch = link.scratches.take().ok()?;
        let of_none = Invocation {
            execution_id: ExecutionId(Uuid::nil()),
            attempt: invocation.attempt,
            command: template.command.clone(),
            template: None,
            pack_dir: invocation.pack_dir.clone(),
            environment: Vec::new(),
            parameters: Value::Null,
            files: Vec::new(),
            redactor: None,
            variables: Vec::new(),
            resources: Resources::default(),
            timeout: invocation.timeout,
            kill_grace: invocation.kill_grace,
        };
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let start = self.prepare(id, &of_none, &scratch);
        let seat = link.templates.open(&template.key, id, scratch);
        match start {
            Ok(start) => link.open(start),
            Err(_) => link.templates.closed(id),
        }
        Some(seat)
    }

    fn prepare(&self, id: u64, invocation: &Invocation, scratch: &Scratch) -> Result<Start, String> {
        let directory = &scratch.path;
        let (program, arguments) = invocation.command.argv().ok_or("the runtime has no interpreter")?;
        let program = messages::find_program(program, &self.settings.path)?;
        let input = match &invocation.parameters {
            Value::Null => "{}".into(),
            parameters => parameters.to_string(),
        };
        if input.len() > INPUT_MAX || arguments.iter().any(|argument| argument.len() > INPUT_MAX) {
            return Err(messages::TOO_LARGE.into());
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
            holds_slot: false,
            user: scratch.user,
            limits: self
                .settings
                .bounds
                .limits_for(&invocation.resources, invocation.timeout)?,
            template: None,
        })
    }

    /// None if its template could not run it.
    async fn attend(&self, mut running: Running, invocation: &Invocation, control: &mut RunControl) -> Option<Ended> {
        let template = running.template;
        let answer = running.answer(control, invocation.kill_grace).await;
        running.wipe().await;
        Some(match answer {
            Some(Err(StartError {
                number: Some(number @ (TEMPLATE_FAILED | TEMPLATE_UNSUITABLE)),
                text,
            })) => {
                let key = invocation
                    .template
                    .as_ref()
                    .map_or("", |template| template.key.as_str());
                let forever = number == TEMPLATE_UNSUITABLE;
                running.link.templates.failed(key, template, forever);
                tracing::info!(execution_id = %invocation.execution_id, reason = text, "an action runs without its template");
                return None;
            }
            Some(Ok(report)) => ended(redacted(*report, invocation.redactor.as_deref()), invocation),
            Some(Err(error)) => {
                Ended::not_started(Outcome::Failed, messages::start_failed(&error, &invocation.command))
            }
            None if self.stop.is_cancelled() => Ended::not_started(Outcome::Failed, "the worker stopped"),
            None => Ended::not_started(Outcome::Failed, died(running.link.unkillable())),
        })
    }
}

/// Kills what dead workers of the same installation left on this host. Must run before their executions are resolved.
pub async fn clean_up_after_predecessors(settings: &Settings) {
    let settings = settings.clone();
    if let Err(error) = tokio::task::spawn_blocking(move || sweep(&settings)).await {
        tracing::error!(%error, "failed to clean up after dead workers");
    }
}

fn died(unkillable: usize) -> String {
    match unkillable {
        0 => SUPERVISOR_DIED.into(),
        count => {
            format!("the worker's action supervisor died; {count} processes of its actions could not be killed")
        }
    }
}

fn redacted(mut report: Report, redactor: Option<&Redactor>) -> Report {
    if let Some(redactor) = redactor {
        report.stdout = output::redact(report.stdout, redactor);
        report.stderr = output::redact(report.stderr, redactor);
    }
    report
}

fn outcome(report: &Report) -> Outcome {
    match report {
        Report { timed_out: true, .. } => Outcome::TimedOut,
        Report { stopped: true, .. } => Outcome::Canceled,
        Report { code: Some(0), .. } => Outcome::Succeeded,
        _ => Outcome::Failed,
    }
}

fn ended(report: Report, invocation: &Invocation) -> Ended {
    let outcome = outcome(&report);
    Ended {
        outcome,
        exit_code: report.code,
        signal: report.signal,
        error: messages::ended(outcome, &report, invocation.timeout),
        ran: report.ran,
        life: (!report.began.is_zero()).then_some(Lifetime {
            began: report.began,
            ended: report.ended,
        }),
        result: output::result(&report.result, invocation.redactor.as_deref()),
        stdout_flaw: output::flaw(&report.stdout),
        stdout: output::text(report.stdout),
        stderr: output::text(report.stderr),
    }
}
