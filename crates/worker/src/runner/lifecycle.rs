//! Keeps a supervisor running: starts it, serves it, and when it dies clears up and starts the next.

use super::{link::Link, scratch::Scratches, settings::Settings, supervisor};
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
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long a supervisor may take to set itself up.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// How long a supervisor may take to kill what is left. It goes on after that, but is not waited for.
const END_PATIENCE: Duration = Duration::from_secs(5);

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
        let scratches = Scratches::new(&settings.scratch_directory)?;
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
    async fn serve(mut self, links: &watch::Sender<Option<Arc<Link>>>, stop: &CancellationToken) {
        links.send_replace(Some(Arc::clone(&self.link)));
        let link = Arc::clone(&self.link);
        let mut byte = [0];
        tokio::select! {
            served = link.serve() => {
                if let Err(error) = served {
                    tracing::error!(%error, "the action supervisor cannot be understood");
                }
            }
            // The keeper died; the attendant behind it is told to end everything.
            _ = self.keeper_end.read(&mut byte) => {}
            () = stop.cancelled() => {}
        }
        links.send_replace(None);
        self.end().await;
    }

    /// Has it kill everything, and waits for that: for both its processes.
    async fn end(mut self) {
        self.link.close();
        let mut byte = [0];
        let gone = async {
            let _ = self.link.serve().await;
            while self.keeper_end.read(&mut byte).await.is_ok_and(|length| length > 0) {}
        };
        if timeout(END_PATIENCE, gone).await.is_err() {
            tracing::error!("the action supervisor takes long to end what it started");
            return;
        }
        // Its last descriptor is closed, so this waits for next to nothing.
        match self.keeper.wait() {
            Ok(status) if !status.success() => tracing::error!(%status, "the action supervisor died"),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "the action supervisor cannot be waited for"),
        }
    }
}

/// Serves `first`, and a new supervisor whenever one died, until told to stop.
pub(super) async fn keep_supervised(
    settings: Settings,
    first: Supervisor,
    links: watch::Sender<Option<Arc<Link>>>,
    stop: CancellationToken,
) {
    let mut supervisor = first;
    loop {
        supervisor.serve(&links, &stop).await;
        supervisor = match stop.run_until_cancelled(start_next(&settings)).await {
            Some(supervisor) => supervisor,
            None => return,
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
