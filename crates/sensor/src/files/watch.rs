//! Watches the files of one trigger.
//!
//! It claims the position, loads the known files, compares them with a scan, and then checks what the kernel reports. `commit`
//! writes what has changed. After any error, everything in memory is loaded again.

use super::{
    LEASE, Limits,
    hints::Hints,
    scan::{self, Entry, Failure, Found, Root},
    scans::Scans,
};
use attune_common::{
    service::Context,
    store::{
        self,
        file_watch::{self, Observer, Position, Watched},
        with_default_timeout,
    },
    sync,
};
use attune_domain::file_watch::{Change, Existing, FileWatchConfig, Tracker};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

const RETRY: Duration = Duration::from_secs(1);
/// After a scan that found too many files.
const RETRY_SCAN: Duration = Duration::from_secs(30);
/// How long notifications are collected before the files are checked, so that a burst shares checks and transactions.
const COLLECT: Duration = Duration::from_millis(10);

/// What the supervisor sees.
#[derive(Debug, Default)]
pub struct State {
    /// The position belongs to this watch.
    pub is_held: bool,
    /// It reads the directory.
    pub busy_since: Option<Instant>,
    pub files: usize,
    pub error: Option<String>,
    /// What works less well than configured.
    pub note: Option<String>,
}

pub struct Watch {
    pub context: Context,
    pub observer: Observer,
    pub limits: Arc<Limits>,
    pub watched: Watched,
    pub config: Arc<FileWatchConfig>,
    pub position: Position,
    pub state: Arc<Mutex<State>>,
    pub lost: CancellationToken,
    pub started: Instant,
}

/// Why watching ends.
pub enum End {
    /// The directory cannot be watched.
    Problem(Failure),
    Database(store::Error),
    /// Another sensor watches, or the trigger was disabled.
    Lost,
    /// The directory was replaced, so the notifications are those of another one.
    Replaced,
}

impl From<store::Error> for End {
    fn from(error: store::Error) -> Self {
        Self::Database(error)
    }
}

impl Watch {
    /// Watches until `stop`, and then leaves the position to other sensors.
    pub async fn run(self, stop: CancellationToken) {
        let stopping = self.context.stopping().clone();
        let rounds = async {
            loop {
                let end = self.observe().await;
                tokio::time::sleep(self.conclude(end).await).await;
            }
        };
        tokio::select! {
            () = rounds => {}
            () = stop.cancelled() => {}
            () = stopping.cancelled() => {}
            () = self.lost.cancelled() => {}
        }
        if sync::lock(&self.state).is_held {
            let release = file_watch::release(&self.context.pool, &self.position, self.observer.sensor, None);
            if let Err(error) = with_default_timeout(release).await {
                tracing::debug!(%error, "failed to release a file watch; its lease expires");
            }
        }
    }

    /// Reports why watching ended. Returns how long to wait before the next try.
    async fn conclude(&self, end: Result<(), End>) -> Duration {
        let was_held = {
            let mut state = sync::lock(&self.state);
            state.busy_since = None;
            std::mem::take(&mut state.is_held)
        };
        let (failure, reported) = match end {
            Ok(()) | Err(End::Lost) => (None, Ok(true)),
            Err(End::Replaced) => return Duration::ZERO,
            Err(End::Database(error)) => (None, Err(error)),
            Err(End::Problem(failure)) => {
                let reported = self.report(was_held, &failure).await;
                (Some(failure), reported)
            }
        };
        if let Err(error) = &reported {
            tracing::warn!(%error, trigger_ref = %self.watched.trigger_ref, "failed to write a file watch; retrying");
        }
        let retry = match &failure {
            Some(Failure::TooMany(_)) => RETRY_SCAN,
            _ => RETRY,
        };
        // It does not matter that this sensor cannot watch if another one does.
        let error = failure
            .filter(|_| reported.is_ok_and(|is_unwatched| is_unwatched))
            .map(|failure| failure.to_string());
        let mut state = sync::lock(&self.state);
        if let Some(error) = error.as_ref().filter(|error| state.error.as_ref() != Some(error)) {
            tracing::warn!(trigger_ref = %self.watched.trigger_ref, error, "failed to watch files; retrying");
        }
        state.error = error;
        state.note = None;
        state.files = 0;
        retry
    }

    /// Writes the error of the trigger. Returns whether no sensor watches.
    async fn report(&self, was_held: bool, failure: &Failure) -> Result<bool, store::Error> {
        let (pool, sensor) = (&self.context.pool, self.observer.sensor);
        let text = match self.position.host.as_str() {
            "" => failure.to_string(),
            host => format!("{failure} (host {host})"),
        };
        if was_held {
            let release = file_watch::release(pool, &self.position, sensor, Some(&text));
            return with_default_timeout(release).await.map(|()| true);
        }
        let report = file_watch::report_error(pool, &self.position, &self.observer, &text);
        with_default_timeout(report).await
    }

    /// Watches until something prevents it. Returns `Ok` if another sensor watches.
    async fn observe(&self) -> Result<(), End> {
        let root = self.open().await?;
        let claim = file_watch::claim(&self.context.pool, &self.position, &self.observer, LEASE);
        if !with_default_timeout(claim).await? {
            return Ok(());
        }
        sync::lock(&self.state).is_held = true;
        // Before the first scan, so that nothing happens unnoticed in between.
        let hints = self.hints().await;
        let mut tracker = self.first_scan(&root).await?;
        self.follow(&root, &hints, &mut tracker).await
    }

    async fn open(&self) -> Result<Root, End> {
        let (config, limits) = (Arc::clone(&self.config), Arc::clone(&self.limits));
        self.blocking(move || scan::open(&config, &limits))
            .await?
            .map_err(End::Problem)
    }

    /// Without notifications, scans alone find changes.
    async fn hints(&self) -> Hints {
        if !self.config.notify {
            return Hints::none();
        }
        let config = Arc::clone(&self.config);
        let start = move || Hints::start(Path::new(&config.path), config.recursive, config.follow_symlinks);
        let problem = match self.blocking(start).await {
            Ok(Ok(hints)) => return hints,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the check failed".to_owned(),
        };
        let seconds = self.config.rescan.as_secs();
        let note = format!("no notifications ({problem}); changes are found every {seconds} s");
        tracing::warn!(trigger_ref = %self.watched.trigger_ref, problem, "failed to subscribe to changes of files; scanning instead");
        sync::lock(&self.state).note = Some(note);
        Hints::none()
    }

    /// Loads the known files and compares them with the directory. What is not in the position yet is recorded or reported, as
    /// configured; what has changed since the last scan is reported.
    async fn first_scan(&self, root: &Root) -> Result<Tracker, End> {
        let (before, known) = with_default_timeout(file_watch::load(&self.context.pool, &self.position)).await?;
        let before = before.and_then(|config| FileWatchConfig::parse(&config).ok());
        let before = before
            .filter(|before| before.path == self.config.path && before.follow_symlinks == self.config.follow_symlinks);
        let mut tracker = Tracker::new(known);
        let forget = file_watch::forget_other_scopes(&self.context.pool, &self.position);
        with_default_timeout(forget).await?;
        if before.is_none() && self.config.existing == Existing::Report {
            // From now on, what is found is reported, also after a crash.
            self.scanned().await?;
        }
        let uncovered = tracker.not_covered(&self.config);
        let now = self.now();
        let forgotten = uncovered.into_iter().filter_map(|path| tracker.record(path, None, now));
        let forgotten: Vec<Change> = forgotten.collect();
        self.write(&mut tracker, &forgotten).await?;

        metrics::counter!("attune_file_rescans_total", "reason" => "start").increment(1);
        let found = self.scan(root, &mut tracker).await?;
        let now = self.now();
        let is_new = |path: &str| {
            let is_covered = before.as_ref().is_some_and(|before| before.covers(path));
            self.config.existing == Existing::Ignore && !is_covered
        };
        let mut recorded = Vec::new();
        let changed = found.changed.into_iter().map(|(path, version)| (path, Some(version)));
        for (path, found) in changed.chain(found.missing.into_iter().map(|path| (path, None))) {
            if is_new(&path) {
                recorded.extend(tracker.record(path, found, now));
            } else {
                tracker.observe(path, found, now);
            }
        }
        self.write(&mut tracker, &recorded).await?;
        self.scanned().await?;
        Ok(tracker)
    }

    async fn follow(&self, root: &Root, hints: &Hints, tracker: &mut Tracker) -> Result<(), End> {
        let mut scans = Scans::after(Instant::now(), self.config.rescan);
        loop {
            let changes = tracker.changes(&self.config);
            self.write(tracker, &changes).await?;
            {
                let mut state = sync::lock(&self.state);
                state.error = None;
                state.files = tracker.files();
            }
            let check_at = tracker.next_check(&self.config).map(|at| self.started + at);
            let wake_at = check_at.map_or(scans.next_at, |at| at.min(scans.next_at));
            tokio::select! {
                () = hints.arrive() => {}
                () = tokio::time::sleep_until(wake_at.into()) => {}
            }
            // Also bounds how often a pending file is checked.
            tokio::time::sleep(COLLECT).await;
            let collected = hints.take();
            if collected.is_over {
                return Err(End::Replaced);
            }
            if collected.everything || self.check(collected.paths, tracker).await? {
                scans.request();
            }
            if Instant::now() >= scans.next_at {
                let began_at = Instant::now();
                let found = self.scan(root, tracker).await?;
                self.observe_all(found, tracker);
                if scans.end(began_at, self.config.rescan) {
                    metrics::counter!("attune_file_rescans_total", "reason" => "period").increment(1);
                    self.scanned().await?;
                }
            }
        }
    }

    fn observe_all(&self, found: Found, tracker: &mut Tracker) {
        let now = self.now();
        let changed: HashSet<String> = found.changed.iter().map(|(path, _)| path.clone()).collect();
        for path in tracker.pending_new().into_iter().filter(|path| !changed.contains(path)) {
            tracker.observe(path, None, now);
        }
        for (path, version) in found.changed {
            tracker.observe(path, Some(version), now);
        }
        for path in found.missing {
            tracker.observe(path, None, now);
        }
    }

    /// Checks the files that notifications name, and those that are pending. Returns whether a scan is needed: a folder appeared,
    /// or one with known files disappeared.
    async fn check(&self, paths: HashSet<PathBuf>, tracker: &mut Tracker) -> Result<bool, End> {
        let mut needs_scan = false;
        let mut names: HashSet<String> = tracker.due(&self.config, self.now()).into_iter().collect();
        for path in paths {
            match scan::relative(&self.config, &path) {
                Some(name) if self.config.recursive || !name.contains('/') => drop(names.insert(name)),
                _ => {}
            }
        }
        if names.is_empty() {
            return Ok(false);
        }
        let (config, limits) = (Arc::clone(&self.config), Arc::clone(&self.limits));
        let entries = self
            .blocking(move || {
                let entry = |name: String| {
                    let entry = scan::entry(&config, &limits, &name);
                    (name, entry)
                };
                names.into_iter().map(entry).collect::<Vec<_>>()
            })
            .await?;
        let now = self.now();
        for (name, entry) in entries {
            let found = match entry {
                Entry::File(version) => Some(version),
                Entry::Folder => {
                    needs_scan |= self.config.recursive && !self.config.excludes(&name);
                    None
                }
                Entry::Nothing => None,
                Entry::Unknown => continue,
            };
            needs_scan |= found.is_none() && self.config.recursive && tracker.has_below(&name);
            if self.config.covers(&name) {
                tracker.observe(name, found, now);
            }
        }
        Ok(needs_scan)
    }

    async fn scan(&self, root: &Root, tracker: &mut Tracker) -> Result<Found, End> {
        let (config, limits) = (Arc::clone(&self.config), Arc::clone(&self.limits));
        let mut own = std::mem::take(tracker);
        let (own, found) = self
            .blocking(move || {
                let found = scan::walk(&config, &limits, &mut own);
                (own, found)
            })
            .await?;
        *tracker = own;
        let found = found.map_err(End::Problem)?;
        if found.root != *root {
            return Err(End::Replaced);
        }
        let unreadable = found.unreadable.first().map(|path| {
            format!(
                "failed to read {path} and {} more; files there count as unchanged",
                found.unreadable.len() - 1
            )
        });
        if unreadable.is_some() {
            sync::lock(&self.state).note = unreadable;
        }
        Ok(found)
    }

    async fn scanned(&self) -> Result<(), End> {
        let scanned = file_watch::scanned(
            &self.context.pool,
            &self.position,
            self.observer.sensor,
            &self.watched.config,
        );
        with_default_timeout(scanned).await.map_err(End::from)
    }

    /// Runs something that reads the directory. The supervisor notices if that hangs.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, End> {
        sync::lock(&self.state).busy_since = Some(Instant::now());
        let done = tokio::task::spawn_blocking(work).await;
        sync::lock(&self.state).busy_since = None;
        done.map_err(|error| End::Problem(Failure::Unavailable(format!("failed to read the directory: {error}"))))
    }

    /// By a clock that never goes back.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }
}
