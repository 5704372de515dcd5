//! Keeps a supervisor running: starts it, serves it, and when it dies clears up and starts the next.
//!
//! What a supervisor cannot end because both its processes were killed falls to this process, a subreaper, and is ended
//! here. Only then its executions are reported.

use super::{
    link::Link,
    scratch::{self, Scratches},
    settings::Settings,
    supervisor::{self, Sweeper, leftovers},
};
use std::{
    fs,
    io::{self, ErrorKind},
    os::{fd::OwnedFd, unix::net::UnixStream, unix::process::CommandExt},
    process::{Child, Command},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe,
    sync::watch,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long a supervisor may take to set itself up.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// How long a supervisor may take to kill what is left. It goes on after that, but is not waited for.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// How often dead workers on this host are looked for, and zombies that fell to this process.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// The pause before another start after one that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A supervisor that has said it is ready.
pub(super) struct Supervisor {
    pub link: Arc<Link>,
    keeper: Child,
    /// Reads to its end when the keeper has ended.
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
                format!("the action supervisor ({program}) cannot be started: {error}"),
            )
        })
    }

    #[expect(clippy::disallowed_methods, reason = "the runner owns child processes")]
    async fn start_in(settings: &Settings, scratches: Scratches) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let (end, end_writer) = io::pipe()?;
        let keeper = Command::new(&settings.supervisor)
            .arg0(supervisor::SHOWN_AS)
            .arg(supervisor::KEEPER)
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
        match timeout(START_PATIENCE, supervisor.link.ready()).await {
            Ok(Ok(())) => Ok(supervisor),
            failed => {
                supervisor.end().await;
                Err(failed.map_or_else(io::Error::from, |answer| {
                    answer.err().unwrap_or(ErrorKind::Other.into())
                }))
            }
        }
    }

    /// Serves until the supervisor dies or is told to stop; either way nothing it started is left afterwards.
    async fn serve(mut self, settings: &Settings, links: &watch::Sender<Option<Arc<Link>>>, stop: &CancellationToken) {
        links.send_replace(Some(Arc::clone(&self.link)));
        let link = Arc::clone(&self.link);
        let mut byte = [0];
        tokio::select! {
            served = link.serve() => {
                if let Err(error) = served {
                    tracing::error!(%error, "cannot understand the action supervisor");
                }
            }
            // The keeper died; the attendant behind it is told to end everything.
            _ = self.keeper_end.read(&mut byte) => {}
            () = sweep_again_and_again(settings) => {}
            () = stop.cancelled() => {}
        }
        links.send_replace(None);
        self.end().await;
    }

    /// Has it kill everything, and waits for that: for both its processes. What they do not end is ended here. Executions
    /// that still wait are given up when nothing is left of them.
    async fn end(mut self) {
        self.link.close();
        let mut byte = [0];
        let gone = async {
            let _ = self.link.serve().await;
            while self.keeper_end.read(&mut byte).await.is_ok_and(|length| length > 0) {}
        };
        if timeout(END_PATIENCE, gone).await.is_err() {
            tracing::error!("the action supervisor does not end; killing it");
            // It may have ended since.
            let _ = self.keeper.kill();
        }
        // Its last descriptor is closed, or it was killed, so this waits for next to nothing.
        match self.keeper.wait() {
            Ok(status) if !status.success() => tracing::error!(%status, "the action supervisor died"),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "failed to wait for the action supervisor"),
        }
        let root = self.link.scratches.root.clone();
        let immortal = blocking(move || {
            let left = leftovers::end(&root);
            if left.is_empty()
                && let Err(error) = scratch::remove_root(&root)
            {
                tracing::warn!(%error, "failed to remove scratch directories");
            }
            left
        });
        let immortal = immortal.await.unwrap_or_default();
        if !immortal.is_empty() {
            tracing::error!(?immortal, "processes of actions survived SIGKILL");
        }
        self.link.give_up(immortal.len());
    }
}

/// Ends what dead workers of this installation left on this host. Blocks.
pub(super) fn sweep(settings: &Settings) {
    let swept = leftovers::sweep(&settings.scratch_directory, &settings.installation);
    if !swept.immortal.is_empty() {
        tracing::error!(pids = ?swept.immortal, "processes of a dead worker survived SIGKILL");
    } else if swept.roots > 0 {
        tracing::warn!(supervisors = swept.roots, "ended what a dead worker had left");
    }
}

async fn sweep_again_and_again(settings: &Settings) {
    let mut ticks = interval(SWEEP_EVERY);
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

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// Serves `first`, and a new supervisor whenever one died, until told to stop.
pub(super) async fn keep_supervised(
    settings: Settings,
    first: Supervisor,
    sweeper: Sweeper,
    links: watch::Sender<Option<Arc<Link>>>,
    stop: CancellationToken,
) {
    let mut supervisor = first;
    loop {
        supervisor.serve(&settings, &links, &stop).await;
        supervisor = match stop.run_until_cancelled(start_next(&settings)).await {
            Some(supervisor) => supervisor,
            None => return sweeper.dismiss(),
        };
    }
}

/// Tries until a supervisor runs again.
async fn start_next(settings: &Settings) -> Supervisor {
    loop {
        match Supervisor::start(settings).await {
            Ok(supervisor) => return supervisor,
            Err(error) => tracing::error!(%error, "no action can be started"),
        }
        sleep(RETRY_PAUSE).await;
    }
}
