//! Keeps a supervisor running: starts it, serves it, and when it dies cleans up and starts the next.
//!
//! If both processes of a supervisor were killed, the processes of its actions become children of this process, a subreaper,
//! and are killed here. Only then are their executions reported.

use super::{
    link::Link,
    scratch::{self, Scratches},
    settings::Settings,
    supervisor::{Sweeper, leftovers, role},
};
use nix::sys::prctl;
use std::{
    fs,
    io::{self, ErrorKind},
    os::{fd::OwnedFd, unix::net::UnixStream, unix::process::CommandExt},
    process::{Child, Command},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe,
    sync::watch,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long a supervisor may take to become ready.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a supervisor may take to kill its actions before it is killed itself.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the supervisor must show that it is not frozen, and after how many unanswered pings it is killed. A loaded
/// machine does not delay an answer for that long.
const PING_INTERVAL: Duration = Duration::from_secs(1);
const UNANSWERED_MAX: u32 = 8;

/// The pause after a failed start.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A supervisor that is ready.
pub(super) struct Supervisor {
    pub link: Arc<Link>,
    keeper: Child,
    /// Reaches its end when the keeper has exited.
    keeper_end: pipe::Receiver,
}

impl Supervisor {
    pub async fn start(settings: &Settings) -> io::Result<Self> {
        let scratches = Scratches::new(&settings.scratch_directory, &settings.installation, settings.users())?;
        let root = scratches.root.clone();
        let started = Self::start_in(settings, scratches).await;
        if started.is_err() {
            let _ = fs::remove_dir_all(root);
        }
        started.map_err(|error| {
            let program = settings.supervisor.display();
            io::Error::new(
                error.kind(),
                format!("failed to start the action supervisor ({program}): {error}"),
            )
        })
    }

    #[expect(clippy::disallowed_methods, reason = "the runner owns child processes")]
    async fn start_in(settings: &Settings, scratches: Scratches) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let (end, end_writer) = io::pipe()?;
        let keeper = Command::new(&settings.supervisor)
            .arg0(role::SHOWN_AS)
            .arg(role::KEEPER)
            .arg(&scratches.root)
            .arg(serde_json::to_string(&settings.plan())?)
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .stdout(end_writer)
            .spawn()?;
        ours.set_nonblocking(true)?;
        let supervisor = Self {
            link: Arc::new(Link::new(tokio::net::UnixStream::from_std(ours)?, scratches)),
            keeper,
            keeper_end: pipe::Receiver::from_owned_fd(end.into())?,
        };
        match timeout(START_TIMEOUT, supervisor.link.ready()).await {
            Ok(Ok(())) => Ok(supervisor),
            failed => {
                supervisor.end().await;
                Err(failed.map_or_else(io::Error::from, |answer| {
                    answer.err().unwrap_or(ErrorKind::Other.into())
                }))
            }
        }
    }

    /// Serves until the supervisor dies or `stop` is cancelled. Afterwards nothing that it started is left.
    async fn serve(mut self, settings: &Settings, links: &watch::Sender<Option<Arc<Link>>>, stop: &CancellationToken) {
        links.send_replace(Some(Arc::clone(&self.link)));
        let link = Arc::clone(&self.link);
        let mut byte = [0];
        tokio::select! {
            served = link.serve() => {
                if let Err(error) = served {
                    tracing::error!(%error, "lost the connection to the action supervisor");
                }
            }
            // The keeper died: closing the link makes the attendant kill everything.
            _ = self.keeper_end.read(&mut byte) => {}
            () = until_frozen(&link) => tracing::error!("the action supervisor does not answer; killing it and its actions"),
            () = sweep_loop(settings) => {}
            () = stop.cancelled() => {}
        }
        links.send_replace(None);
        self.end().await;
    }

    /// Makes both its processes kill everything, and waits for them. Kills here what they leave, and then fails the executions
    /// that still wait for an answer.
    async fn end(mut self) {
        self.link.close();
        let mut byte = [0];
        let gone = async {
            let _ = self.link.serve().await;
            while self.keeper_end.read(&mut byte).await.is_ok_and(|length| length > 0) {}
        };
        if timeout(END_TIMEOUT, gone).await.is_err() {
            tracing::error!("the action supervisor did not exit in time; killing it");
            // It may have exited since.
            let _ = self.keeper.kill();
        }
        // Its last descriptor is closed, or it was killed, so this returns almost at once.
        match self.keeper.wait() {
            Ok(status) if !status.success() => tracing::error!(%status, "the action supervisor died"),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "failed to wait for the action supervisor"),
        }
        let root = self.link.scratches.root.clone();
        let unkillable = blocking(move || {
            let left = leftovers::kill(&root);
            if left.is_empty()
                && let Err(error) = scratch::remove_root(&root)
            {
                tracing::warn!(%error, "failed to remove scratch directories");
            }
            left
        });
        let unkillable = unkillable.await.unwrap_or_default();
        if !unkillable.is_empty() {
            tracing::error!(?unkillable, "processes of actions survived SIGKILL");
        }
        for scratch in self.link.templates.all() {
            self.link.scratches.wipe(scratch).await;
        }
        self.link.fail_waiters(unkillable.len());
    }
}

/// Kills what dead workers of this installation left on this host. Blocks.
pub(super) fn sweep(settings: &Settings) {
    let swept = leftovers::sweep(&settings.scratch_directory, &settings.installation);
    if !swept.unkillable.is_empty() {
        tracing::error!(pids = ?swept.unkillable, "processes of a dead worker survived SIGKILL");
    } else if swept.roots > 0 {
        tracing::warn!(supervisors = swept.roots, "killed what a dead worker had left behind");
    }
}

async fn sweep_loop(settings: &Settings) {
    let mut ticks = interval(settings.sweep_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let settings = settings.clone();
        let _ = blocking(move || {
            leftovers::reap_adopted();
            sweep(&settings);
        })
        .await;
    }
}

/// Returns when the supervisor has left too many pings unanswered. Pings are counted, not seconds: if this process was
/// suspended as well, the supervisor gets the same number of chances.
async fn until_frozen(link: &Link) {
    let mut ticks = interval(PING_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if link.ping() >= UNANSWERED_MAX {
            return;
        }
        link.tidy_templates().await;
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// Serves `first`, and a new supervisor whenever one dies, until `stop` is cancelled. Meanwhile replaces a sweeper that dies.
pub(super) async fn keep_supervised(
    settings: Settings,
    first: Supervisor,
    mut sweeper: Sweeper,
    has_sweeper: Arc<AtomicBool>,
    links: watch::Sender<Option<Arc<Link>>>,
    stop: CancellationToken,
) {
    let serving = async {
        let mut supervisor = first;
        loop {
            supervisor.serve(&settings, &links, &stop).await;
            match stop.run_until_cancelled(start_next(&settings)).await {
                Some(next) => supervisor = next,
                None => return,
            }
        }
    };
    tokio::select! {
        () = serving => {}
        () = keep_sweeper(&settings, &mut sweeper, &has_sweeper, links.subscribe()) => {}
    }
    sweeper.dismiss();
}

/// Replaces the sweeper whenever it dies, but not while what a dead supervisor left is being killed: [`start_sweeper`] must not
/// keep those processes from becoming children of this one.
async fn keep_sweeper(
    settings: &Settings,
    sweeper: &mut Sweeper,
    has_sweeper: &AtomicBool,
    mut links: watch::Receiver<Option<Arc<Link>>>,
) {
    loop {
        sweeper.exited().await;
        has_sweeper.store(false, Ordering::Relaxed);
        tracing::warn!("the action sweeper died; starting another");
        *sweeper = loop {
            // The supervisor may have been killed in the same instant.
            sleep(RETRY_PAUSE).await;
            let _ = links.wait_for(Option::is_some).await;
            match start_sweeper(settings).await {
                Ok(next) => break next,
                Err(error) => tracing::error!(%error, "failed to start an action sweeper; retrying"),
            }
        };
        has_sweeper.store(true, Ordering::Relaxed);
    }
}

/// Starts a sweeper, and makes this process a subreaper afterwards: until then the sweeper would become its child. If keeper and
/// attendant die in this moment, their actions become children of `init`, and the sweep finds them as if the worker were dead.
pub(super) async fn start_sweeper(settings: &Settings) -> io::Result<Sweeper> {
    let settings = settings.clone();
    let started = tokio::task::spawn_blocking(move || {
        prctl::set_child_subreaper(false)?;
        let sweeper = Sweeper::start(
            &settings.supervisor,
            &settings.scratch_directory,
            &settings.installation,
        );
        prctl::set_child_subreaper(true)?;
        sweeper
    });
    started.await?
}

/// Retries until a supervisor runs again.
async fn start_next(settings: &Settings) -> Supervisor {
    loop {
        match Supervisor::start(settings).await {
            Ok(supervisor) => return supervisor,
            Err(error) => tracing::error!(%error, "failed to start an action supervisor; retrying"),
        }
        sleep(RETRY_PAUSE).await;
    }
}
