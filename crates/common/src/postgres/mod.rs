//! A private PostgreSQL, run from the programs installed on the machine: the database of `attune up` and of tests.
//!
//! It listens only on a unix socket inside its own 0700 folder, requires a password, runs as an unprivileged user if this
//! process is root, and ends with the process that started it, even if that is killed. This module must not know Attune's
//! tables: it provides an empty database named `attune`, owned by a role of that name that is not a superuser.
//!
//! | file | what |
//! |---|---|
//! | `programs` | finds `postgres` and `initdb` |
//! | `account` | the user they run as, and the signal that ends them with this process |
//! | `cluster` | lock, checks and creation of the folder |
//! | `password` | the password of the cluster, readable only by the owner of the data directory |
//! | `leftover` | a server that a killed predecessor left behind |
//! | `server` | the process and the thread that owns it |
//! | `settings` | how to start a server |
//! | `address` | the path of the socket, shortened if necessary |
//! | `restore` | restores a dump into a new database |
//! | `temporary` | a folder that is removed when its process ends |

mod account;
mod address;
mod cluster;
mod error;
mod leftover;
mod log;
mod password;
mod programs;
mod restore;
mod server;
mod settings;
mod temporary;

use self::address::Address;
use self::cluster::Cluster;
use self::server::Server;
use self::temporary::Folder;
use crate::private_files;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::error::Error;
pub use self::programs::OLDEST_MAJOR;
pub use self::settings::{DATABASE, Settings};

/// Recovery after a crash reads up to `max_wal_size` of log.
const READY_TIMEOUT: Duration = Duration::from_secs(300);
/// A start that takes longer than this is reported to the user.
const REPORT_AFTER: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);
/// How often a server that is killed during its start is restarted.
const KILLED_STARTS_MAX: u32 = 3;

/// Returns an error if the data directory is not a directory or is used by another process, before anything is created.
pub fn check_free(data_dir: &Path) -> Result<(), Error> {
    cluster::check_free(data_dir)
}

/// A running server. Dropping it stops the server and waits for its exit; `stop` does the same without blocking a thread.
#[derive(Debug)]
pub struct Postgres {
    // Dropped in this order: the server ends before its lock is released and its folder is removed.
    server: Server,
    address: Address,
    cluster: Arc<Cluster>,
    settings: Settings,
    _temporary: Option<Folder>,
}

impl Postgres {
    /// Starts the server on `settings.data_dir` and returns when its database answers. `progress` receives messages for people
    /// about slow steps.
    pub async fn start(settings: &Settings, progress: impl Fn(&str)) -> Result<Self, Error> {
        Self::start_in(settings, None, progress).await
    }

    /// A server for one test. Its folder is removed with it, or with this process if that is killed. It is fast because a crash
    /// of the machine loses its data.
    pub async fn temporary() -> Result<Self, Error> {
        Self::start_temporary(false).await
    }

    /// Like `temporary`, but commits are durable and statements can be counted: for measurements.
    pub async fn temporary_durable() -> Result<Self, Error> {
        Self::start_temporary(true).await
    }

    async fn start_temporary(durable: bool) -> Result<Self, Error> {
        let folder = Folder::create()?;
        let settings = Settings {
            durable,
            counting: durable,
            ..Settings::new(folder.path())
        };
        Self::start_in(&settings, Some(folder), |_| {}).await
    }

    async fn start_in(settings: &Settings, temporary: Option<Folder>, progress: impl Fn(&str)) -> Result<Self, Error> {
        if cluster::is_absent(&settings.data_dir.join("postgres"))? {
            progress("first start: creating the database (takes a few seconds)");
        }
        let prepared = settings.clone();
        let (cluster, password) = blocking(move || {
            let cluster = Cluster::prepare(&prepared)?;
            leftover::clear(&cluster)?;
            let password = cluster.protect()?;
            Ok((cluster, password))
        })
        .await?;
        let cluster = Arc::new(cluster);
        let mut postgres = Self {
            server: spawn(&cluster, settings).await?,
            address: Address::of(&cluster.folder, Some(password))?,
            cluster,
            settings: settings.clone(),
            _temporary: temporary,
        };
        for _ in 0..KILLED_STARTS_MAX {
            match postgres.ready(&progress).await {
                Err(_) if postgres.server.killed_by().is_some() => {
                    postgres.server = spawn(&postgres.cluster, settings).await?;
                }
                ready => return ready.map(|()| postgres),
            }
        }
        postgres.ready(&progress).await?;
        Ok(postgres)
    }

    /// Restarts the server after it ended, and returns when its database answers. Its address does not change.
    pub async fn restart(&mut self) -> Result<(), Error> {
        // An earlier start that timed out may still be in progress.
        self.server.stop().await;
        self.server = spawn(&self.cluster, &self.settings).await?;
        self.ready(|_| {}).await
    }

    /// Waits until the server answers in our database. A server in recovery listens long before that.
    async fn ready(&self, progress: impl Fn(&str)) -> Result<(), Error> {
        let started = Instant::now();
        let mut reported = false;
        loop {
            let answer = tokio::time::timeout(CONNECT_TIMEOUT, self.ping()).await;
            let problem = match answer {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) if is_foreign(&error) => return Err(self.foreign(&error)),
                Ok(Err(error)) => error.to_string(),
                Err(elapsed) => elapsed.to_string(),
            };
            if self.server.has_ended() {
                return Err(self.not_started());
            }
            if started.elapsed() > READY_TIMEOUT {
                return Err(Error::NotReady {
                    seconds: READY_TIMEOUT.as_secs(),
                    log: self.cluster.log.clone(),
                    detail: problem,
                });
            }
            if started.elapsed() > REPORT_AFTER && !reported {
                progress("waiting for PostgreSQL to recover from an unclean shutdown");
                reported = true;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn ping(&self) -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect_with(&self.options()).await?;
        connection.ping().await?;
        connection.close().await
    }

    fn foreign(&self, error: &sqlx::Error) -> Error {
        let file = password::file(self.cluster.folder.parent().unwrap_or(&self.cluster.folder));
        let detail = match code(error).as_deref() {
            Some(WRONG_PASSWORD) => format!(
                "its password differs from the one in {}; remove that file, and the next start sets a new password",
                file.display()
            ),
            _ => format!("it is not a cluster that attune created ({error})"),
        };
        Error::Damaged {
            folder: self.cluster.folder.clone(),
            detail,
        }
    }

    fn not_started(&self) -> Error {
        let output = self.server.tail.text();
        let folder = self.cluster.folder.clone();
        let detail = account::readable(&self.server.reason(), &folder);
        match Error::from_output(&output) {
            Some(build) if self.server.killed_by().is_none() => build(folder, detail),
            _ => Error::NotStarted {
                folder,
                log: self.cluster.log.clone(),
                detail,
            },
        }
    }

    /// How to connect to the database `attune` as its owner.
    pub fn options(&self) -> PgConnectOptions {
        self.address.options()
    }

    /// The URL of the database, with the password.
    pub fn url(&self) -> String {
        self.address.url()
    }

    /// The URL for people and `psql`, with the file of the password instead of the password.
    pub fn shown_url(&self) -> String {
        self.address.shown_url()
    }

    /// Whether this start created the cluster.
    pub fn is_new(&self) -> bool {
        self.cluster.first_start
    }

    /// The major version of the server.
    pub fn major(&self) -> u32 {
        self.cluster.programs.major()
    }

    /// The folder of the cluster.
    pub fn folder(&self) -> &Path {
        &self.cluster.folder
    }

    /// The log file of the server.
    pub fn log(&self) -> &Path {
        &self.cluster.log
    }

    /// Resolves when the server has ended, with the reason.
    pub async fn ended(&self) -> String {
        self.server.ended().await;
        self.server.reason()
    }

    /// Stops the server, with a fast shutdown of at most 10 seconds, and then by force.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

/// Starts a server when no other server uses the cluster.
async fn spawn(cluster: &Arc<Cluster>, settings: &Settings) -> Result<Server, Error> {
    let (cluster, settings) = (Arc::clone(cluster), settings.clone());
    blocking(move || {
        leftover::clear(&cluster)?;
        // PostgreSQL refuses a folder that others can enter.
        private_files::restrict(&cluster.folder).map_err(|source| Error::Folder {
            folder: cluster.folder.clone(),
            source,
        })?;
        Server::spawn(&cluster, &settings)
    })
    .await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        // Blocking tasks are never cancelled, so it panicked.
        std::panic::resume_unwind(error.into_panic())
    })
}

/// A server run by another process of Attune.
#[derive(Debug)]
pub struct Neighbor(Address);

impl Neighbor {
    /// The server on this data directory, if it answers.
    pub async fn on(data_dir: &Path) -> Result<Option<Self>, Error> {
        let folder = data_dir.join("postgres");
        let Ok(folder) = folder.canonicalize() else {
            return Ok(None);
        };
        // A server of an older release requires none.
        let password = password::read(data_dir)?;
        let address = Address::of(&folder, password)?;
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&address.options())).await;
        let Ok(Ok(connection)) = connected else {
            return Ok(None);
        };
        // It has answered, so errors of closing do not matter.
        let _ = connection.close().await;
        Ok(Some(Self(address)))
    }

    pub fn url(&self) -> String {
        self.0.url()
    }
}

const WRONG_PASSWORD: &str = "28P01";

/// The server is up, but lacks our role (28000), its password or our database (3D000).
fn is_foreign(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| ["28000", WRONG_PASSWORD, "3D000"].contains(&code.as_ref()))
}

fn code(error: &sqlx::Error) -> Option<std::borrow::Cow<'_, str>> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code)
}
