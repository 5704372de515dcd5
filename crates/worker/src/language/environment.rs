//! Environments: the packages that the Python actions of a pack need.
//!
//! An environment belongs to a list of requirements, a version of Python and a platform, and never changes. Packs with the same
//! list share it, as do workers with the same folder. It is built like an action runs, isolated and in a scratch directory, and
//! then moved to its place: what a package executes while it is installed can reach no other environment.

use super::hex;
use crate::{
    conclude::RunResult,
    runner::{Command, Ended, Invocation, Outcome, RunControl, Runner, Stop},
};
use attune_common::{config::WorkerPython, sync};
use attune_domain::output;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const BUILD: &str = include_str!("environment.sh");
const PROBE: &str = "import json, sys, sysconfig\n\
    print(json.dumps({'program': sys.executable, 'version': sys.version, 'platform': sysconfig.get_platform()}))";
/// The files of a pack that list its requirements. `requirements.txt` comes first if there is no lock.
const LISTS: [&str; 3] = ["uv.lock", "pyproject.toml", "requirements.txt"];
const BUILD_TIMEOUT: Duration = Duration::from_secs(900);
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause after the first failed build of an environment. It doubles with each failure.
const PAUSE: Duration = Duration::from_secs(30);
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// How often a lock of another worker is tried.
const LOCK_INTERVAL: Duration = Duration::from_millis(200);
const REASON_CHARS_MAX: usize = 500;

/// The environments of one worker.
pub struct Environments {
    root: PathBuf,
    settings: WorkerPython,
    interpreters: Mutex<HashMap<String, Arc<Interpreter>>>,
    builds: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Builds>>>>,
}

/// An interpreter as it describes itself. A shim names the program that it stands for.
#[derive(Debug, Deserialize)]
struct Interpreter {
    program: String,
    version: String,
    platform: String,
}

/// The failures of one environment since its last success.
#[derive(Debug, Default)]
struct Builds {
    failures: u32,
    failed: Option<(Instant, String)>,
}

/// The action that needs an environment.
pub struct Need<'a> {
    /// What its process would get, for the user and the limits of the build.
    pub invocation: &'a Invocation,
    pub pack: &'a str,
    pub pack_dir: &'a Path,
    /// The interpreter of its runtime.
    pub program: &'a str,
    pub stop: &'a Stop,
}

impl Environments {
    pub fn open(root: PathBuf, settings: WorkerPython) -> io::Result<Self> {
        fs::create_dir_all(&root)?;
        Ok(Self {
            root,
            settings,
            interpreters: Mutex::default(),
            builds: Mutex::default(),
        })
    }

    /// The interpreter for an action of a pack: that of its environment, or its runtime's if it needs no packages.
    /// `before_build` is called if the environment has to be built or waited for.
    pub async fn interpreter(
        &self,
        runner: &Runner,
        need: Need<'_>,
        before_build: impl AsyncFnOnce(Duration),
    ) -> Result<String, RunResult> {
        let Some(lists) = lists(need.pack_dir).map_err(|error| failed(&need, &error.to_string()))? else {
            return Ok(need.program.to_owned());
        };
        let interpreter = self.probed(runner, &need).await?;
        let key = key(&lists, &interpreter);
        let place = self.root.join(&key);
        let python = place.join("bin/python").to_string_lossy().into_owned();
        if is_built(&place) {
            return Ok(python);
        }
        before_build(BUILD_TIMEOUT).await;
        let builds = Arc::clone(sync::lock(&self.builds).entry(key.clone()).or_default());
        let mut builds = builds.lock().await;
        if let Some((at, reason)) = &builds.failed {
            let pause = PAUSE_MAX.min(PAUSE * 2_u32.saturating_pow(builds.failures.min(10) - 1));
            let left = pause.saturating_sub(at.elapsed());
            if !left.is_zero() {
                let reason = format!(
                    "{reason}; it is built again in {} s at the earliest",
                    left.as_secs() + 1
                );
                return Err(failed(&need, &reason));
            }
        }
        let built = self.build(runner, &need, &interpreter, &key, &place).await;
        *builds = match &built {
            Err(Some(reason)) => Builds {
                failures: builds.failures + 1,
                failed: Some((Instant::now(), reason.clone())),
            },
            _ => Builds::default(),
        };
        match built {
            Ok(()) => Ok(python),
            Err(Some(reason)) => Err(failed(&need, &reason)),
            Err(None) => Err(RunResult::stopped_before_start()),
        }
    }

    /// Builds it, unless another worker has done so. The error is the reason, or None if the execution was stopped.
    async fn build(
        &self,
        runner: &Runner,
        need: &Need<'_>,
        interpreter: &Interpreter,
        key: &str,
        place: &Path,
    ) -> Result<(), Option<String>> {
        let lock = File::create(self.root.join(format!("{key}.lock"))).map_err(|error| Some(error.to_string()))?;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(Some(error.to_string())),
                Err(TryLockError::WouldBlock) => {}
            }
            tokio::select! {
                () = need.stop.requested() => return Err(None),
                () = tokio::time::sleep(LOCK_INTERVAL) => {}
            }
        }
        if is_built(place) {
            return Ok(());
        }
        tracing::info!(pack = need.pack, environment = key, "building an environment");
        let started = Instant::now();
        let ended = runner
            .run(self.invocation(need, interpreter, place), control(need.stop))
            .await;
        match ended.outcome {
            Outcome::Succeeded => {
                let seconds = started.elapsed().as_secs_f64();
                tracing::info!(pack = need.pack, environment = key, seconds, "built an environment");
                Ok(())
            }
            Outcome::Canceled => Err(None),
            Outcome::TimedOut | Outcome::Failed => {
                let reason = reason(&ended);
                tracing::warn!(
                    pack = need.pack,
                    environment = key,
                    reason,
                    "failed to build an environment"
                );
                Err(Some(reason))
            }
        }
    }

    fn invocation(&self, need: &Need<'_>, interpreter: &Interpreter, place: &Path) -> Invocation {
        let mut environment = vec![
            ("ATTUNE_PYTHON".to_owned(), interpreter.program.clone()),
            (
                "ATTUNE_PACK_DIR".to_owned(),
                need.pack_dir.to_string_lossy().into_owned(),
            ),
        ];
        let mut set = |name: &str, value: &str| environment.push((name.to_owned(), value.to_owned()));
        if let Some(index) = &self.settings.index_url {
            set("UV_DEFAULT_INDEX", index);
            set("PIP_INDEX_URL", index);
        }
        if let Some(file) = &self.settings.ca_file {
            let file = file.to_string_lossy();
            set("SSL_CERT_FILE", &file);
            set("PIP_CERT", &file);
        }
        if self.settings.no_build {
            set("UV_NO_BUILD", "1");
            set("PIP_ONLY_BINARY", ":all:");
        }
        Invocation {
            command: Command::Script {
                interpreter: vec!["/bin/sh".to_owned(), "-c".to_owned()],
                text: BUILD.to_owned(),
            },
            environment,
            parameters: Value::Null,
            variables: Vec::new(),
            timeout: BUILD_TIMEOUT,
            keep: Some(("env", place.to_owned())),
            template: None,
            ..need.invocation.clone()
        }
    }

    /// Starts the interpreter once to learn its version and where it really is.
    async fn probed(&self, runner: &Runner, need: &Need<'_>) -> Result<Arc<Interpreter>, RunResult> {
        if let Some(known) = sync::lock(&self.interpreters).get(need.program) {
            return Ok(Arc::clone(known));
        }
        let probe = Invocation {
            command: Command::Script {
                interpreter: vec![need.program.to_owned(), "-I".to_owned(), "-c".to_owned()],
                text: PROBE.to_owned(),
            },
            parameters: Value::Null,
            variables: Vec::new(),
            timeout: PROBE_TIMEOUT,
            template: None,
            ..need.invocation.clone()
        };
        let ended = runner.run(probe, control(need.stop)).await;
        match ended.outcome {
            Outcome::Succeeded => {}
            Outcome::Canceled => return Err(RunResult::stopped_before_start()),
            Outcome::Failed | Outcome::TimedOut => {
                let reason = format!("the interpreter {}: {}", need.program, reason(&ended));
                return Err(failed(need, &reason));
            }
        }
        let found: Interpreter =
            serde_json::from_str(&ended.stdout).map_err(|error| failed(need, &error.to_string()))?;
        let found = Arc::new(found);
        sync::lock(&self.interpreters).insert(need.program.to_owned(), Arc::clone(&found));
        Ok(found)
    }
}

fn failed(need: &Need<'_>, reason: &str) -> RunResult {
    RunResult::failed(format!("environment of {}: {reason}", need.pack))
}

fn control(stop: &Stop) -> RunControl {
    RunControl::from(stop.clone())
}

/// Complete, because it is moved here as a whole.
fn is_built(place: &Path) -> bool {
    place.join("pyvenv.cfg").exists()
}

/// The name and the content of a list that determines packages.
type List = (&'static str, Vec<u8>);

/// None if the pack has none.
fn lists(pack_dir: &Path) -> io::Result<Option<Vec<List>>> {
    let mut found = Vec::new();
    for name in LISTS {
        match fs::read(pack_dir.join(name)) {
            Ok(content) => found.push((name, content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok((!found.is_empty()).then_some(found))
}

fn key(lists: &[List], interpreter: &Interpreter) -> String {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    };
    for (name, content) in lists {
        add(name.as_bytes());
        add(content);
    }
    for part in [&interpreter.program, &interpreter.version, &interpreter.platform] {
        add(part.as_bytes());
    }
    hex(&hash.finalize())
}

/// The last line that the build wrote.
fn reason(ended: &Ended) -> String {
    let last = output::end_of(&ended.stderr).or_else(|| output::end_of(&ended.stdout));
    let last = last.and_then(|end| end.lines().next_back()).map(str::trim);
    match (last, &ended.error) {
        (Some(line), _) if !line.is_empty() => line.chars().take(REASON_CHARS_MAX).collect(),
        (_, error) => error.clone().unwrap_or_default(),
    }
}
