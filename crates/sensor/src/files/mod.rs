//! File watches: files become events.
//!
//! `file_seen` in the database is the position, a scan of the directory is the truth, and the kernel's notifications only
//! cause checks. The supervisor in this file starts a watch for each enabled trigger that this host watches, renews their
//! leases, and reports to health; so a directory that hangs affects no other watch.

mod commit;
mod hints;
mod scan;
mod scans;
mod watch;

use attune_common::{
    bus::{Control, Controls},
    health,
    service::{Context, host, jittered},
    store::{
        Error,
        file_watch::{self, Observer, Position, Watched},
        with_default_timeout,
    },
    sync,
};
use attune_domain::{TriggerId, TriggerRef, file_watch::FileWatchConfig};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use watch::{State, Watch};

const POLL_PERIOD: Duration = Duration::from_millis(800);
/// After this time without a renewal, another sensor takes over.
const LEASE: Duration = Duration::from_secs(10);
const RENEW_PERIOD: Duration = Duration::from_secs(2);
/// A directory that takes longer to read is given to another sensor.
const BUSY_MAX: Duration = Duration::from_secs(60);
/// The most errors that health lists.
const ERRORS_MAX: usize = 10;

/// What a sensor may watch.
#[derive(Debug)]
struct Limits {
    roots: Vec<PathBuf>,
    files_max: usize,
}

/// Watches files until the process stops.
pub async fn run(context: Context) {
    run_on(context, host()).await;
}

/// The same on a host with this name.
pub async fn run_on(context: Context, host: String) {
    let mut watches = FileWatches {
        observer: Observer {
            sensor: context.instance,
            host,
        },
        limits: Arc::new(Limits {
            roots: context.config.sensor.file_roots.clone().unwrap_or_default(),
            files_max: context.config.sensor.files_max,
        }),
        controls: context.bus.controls(),
        running: HashMap::new(),
        corrupt: Vec::new(),
        renewed_at: None,
        context,
    };
    watches.run().await;
}

struct FileWatches {
    context: Context,
    observer: Observer,
    limits: Arc<Limits>,
    controls: Controls,
    running: HashMap<TriggerId, Running>,
    /// Triggers whose configuration was broken by SQL, with the error.
    corrupt: Vec<(TriggerRef, String)>,
    renewed_at: Option<Instant>,
}

/// A watch in its task.
struct Running {
    trigger_ref: TriggerRef,
    config: Value,
    position: Position,
    state: Arc<Mutex<State>>,
    lost: CancellationToken,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl FileWatches {
    async fn run(&mut self) {
        let stopping = self.context.stopping().clone();
        while !stopping.is_cancelled() {
            let polled = self.poll().await;
            self.report(polled.as_ref().err());
            if let Err(error) = &polled {
                tracing::warn!(%error, "failed to query file watches; retrying");
            }
            tokio::select! {
                () = stopping.cancelled() => {}
                () = self.changed() => {}
                () = tokio::time::sleep(jittered(POLL_PERIOD)) => {}
            }
        }
        for (_, running) in self.running.drain() {
            running.stop.cancel();
            let _ = running.task.await;
        }
    }

    /// Waits until definitions change.
    async fn changed(&mut self) {
        while !matches!(self.controls.recv().await, Control::DefinitionsChanged) {}
    }

    /// Starts and stops watches, and renews the leases.
    async fn poll(&mut self) -> Result<(), Error> {
        let watched = with_default_timeout(file_watch::list(&self.context.pool)).await?;
        self.running.retain(|_, running| !running.task.is_finished());
        let watched: HashMap<TriggerId, Watched> = watched.into_iter().map(|watched| (watched.id, watched)).collect();
        for (id, running) in &self.running {
            if watched.get(id).is_none_or(|now| now.config != running.config) {
                running.stop.cancel();
            }
        }
        self.corrupt.clear();
        for (id, watched) in watched {
            if !self.running.contains_key(&id) {
                self.start(watched).await?;
            }
        }
        self.renew().await
    }

    async fn start(&mut self, watched: Watched) -> Result<(), Error> {
        let config = match FileWatchConfig::parse(&watched.config) {
            Ok(config) => config,
            Err(errors) => {
                let position = Position {
                    trigger: watched.id,
                    host: String::new(),
                };
                let error = errors.under("config").to_string();
                self.corrupt.push((watched.trigger_ref, error.clone()));
                let report = file_watch::report_error(&self.context.pool, &position, &self.observer, &error);
                return with_default_timeout(report).await.map(drop);
            }
        };
        let Some(scope) = config.hosts.scope(&self.observer.host) else {
            return Ok(());
        };
        let position = Position {
            trigger: watched.id,
            host: scope.to_owned(),
        };
        let (state, stop, lost) = (Arc::default(), CancellationToken::new(), CancellationToken::new());
        let watch = Watch {
            context: self.context.clone(),
            observer: self.observer.clone(),
            limits: Arc::clone(&self.limits),
            watched: watched.clone(),
            config: Arc::new(config),
            position: position.clone(),
            state: Arc::clone(&state),
            lost: lost.clone(),
            started: Instant::now(),
        };
        let task = self.context.tracker().spawn(watch.run(stop.clone()));
        let running = Running {
            trigger_ref: watched.trigger_ref,
            config: watched.config,
            position,
            state,
            lost,
            stop,
            task,
        };
        self.running.insert(watched.id, running);
        Ok(())
    }

    /// Renews the leases of all watches at once. A watch that hangs, or has lost its lease, ends; a new one starts at the next
    /// poll.
    async fn renew(&mut self) -> Result<(), Error> {
        if self.renewed_at.is_some_and(|at| at.elapsed() < RENEW_PERIOD) {
            return Ok(());
        }
        let is_held = |running: &&Running| {
            let state = sync::lock(&running.state);
            let hangs = state.busy_since.is_some_and(|since| since.elapsed() > BUSY_MAX);
            if state.is_held && hangs {
                running.lost.cancel();
            }
            state.is_held && !hangs
        };
        let held: Vec<&Running> = self.running.values().filter(is_held).collect();
        self.renewed_at = Some(Instant::now());
        if held.is_empty() {
            return Ok(());
        }
        let positions: Vec<Position> = held.iter().map(|running| running.position.clone()).collect();
        let renewal = file_watch::renew(&self.context.pool, &positions, self.observer.sensor, LEASE);
        let renewed = with_default_timeout(renewal).await?;
        for running in held {
            if !renewed.contains(&running.position) {
                running.lost.cancel();
            }
        }
        Ok(())
    }

    fn report(&self, error: Option<&Error>) {
        let (mut watching, mut waiting, mut files) = (0_u32, 0_u32, 0_usize);
        let error_of = |of: &TriggerRef, error: &String| json!({"trigger_ref": of, "error": error});
        let mut errors: Vec<Value> = self.corrupt.iter().map(|(of, error)| error_of(of, error)).collect();
        let mut notes = Vec::new();
        for running in self.running.values() {
            let state = sync::lock(&running.state);
            match (state.is_held, &state.error) {
                (_, Some(error)) => errors.push(error_of(&running.trigger_ref, error)),
                (true, None) => watching += 1,
                (false, None) => waiting += 1,
            }
            if let Some(note) = &state.note {
                notes.push(json!({"trigger_ref": running.trigger_ref, "note": note}));
            }
            files += state.files;
        }
        for (state, count) in [
            ("watching", f64::from(watching)),
            ("waiting", f64::from(waiting)),
            ("error", f64::from(u32::try_from(errors.len()).unwrap_or(u32::MAX))),
        ] {
            metrics::gauge!("attune_file_watches", "state" => state).set(count);
        }
        #[expect(clippy::cast_precision_loss, reason = "a gauge of a count")]
        metrics::gauge!("attune_watched_files").set(files as f64);
        let status = match (error, errors.is_empty()) {
            (Some(_), _) => health::Status::Failing,
            (None, false) => health::Status::Degraded,
            (None, true) => health::Status::Ok,
        };
        let mut detail = json!({"watching": watching, "waiting": waiting, "in_error": errors.len(), "files": files});
        if error.is_some() {
            detail["error"] = json!("the database does not respond");
        }
        for (name, mut list) in [("errors", errors), ("notes", notes)] {
            list.truncate(ERRORS_MAX);
            if !list.is_empty() {
                detail[name] = Value::Array(list);
            }
        }
        self.context.health.report("files", status, detail);
    }
}
