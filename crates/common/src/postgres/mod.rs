//! A private PostgreSQL, made from the programs that the machine already has: the database of `attune up` and of tests.
//!
//! It listens on a unix socket inside its own 0700 folder and nowhere else, asks for a password, runs as an unprivileged
//! user when we are root, and ends with the process that started it, also when that one is killed. This module knows nothing of Attune's tables:
//! it hands out an empty database named `attune`, owned by a role of that name which is no superuser.
//!
//! | file | what |
//! |---|---|
//! | `programs` | finds `postgres` and `initdb` |
//! | `account` | as whom they run, and the signal that ends them with us |
//! | `cluster` | lock, checks and creation of the folder |
//! | `password` | the password of the cluster, which only the owner of the data folder can read |
//! | `leftover` | a server that a killed predecessor left behind |
//! | `server` | the process and the thread that owns it |
//! | `address` | how to reach the socket, however long its path is |
//! | `restore` | a dump into a new database |
//! | `temporary` | a folder that disappears with its process |

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
mod temporary;

use self::address::Address;
use self::cluster::Cluster;
use self::server::Server;
use self::temporary::Folder;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::error::Error;
pub use self::programs::OLDEST_MAJOR;

/// The name of the database and of the role that owns it.
pub const DATABASE: &str = "attune";

/// A crash is followed by a recovery that reads up to `max_wal_size` of log.
const READY_WITHIN: Duration = Duration::from_secs(300);
const WORTH_A_WORD: Duration = Duration::from_secs(2);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);
/// How often a server that is killed while it starts is started again.
const KILLED_STARTS_MAX: u32 = 3;

/// What to start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Holds the cluster, its lock and its log; made when it is missing.
    pub data_dir: PathBuf,
    /// The folder of `postgres` and `initdb`; without it they are searched.
    pub programs: Option<PathBuf>,
    /// Commits survive a power failure. Only tests do without.
    pub durable: bool,
    /// Load what counts the cost of each statement, where these programs have it. It counts when a session asks for it.
    pub counting: bool,
}

impl Settings {
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            programs: None,
            durable: true,
            counting: false,
        }
    }
}

/// Refuses a data folder that is none, or that another process uses: named with its process, before anything is begun.
pub fn check_free(data_dir: &Path) -> Result<(), Error> {
    cluster::check_free(data_dir)
}

/// A running server. Dropping it stops the server and waits for its end; `stop` does the same without blocking a thread.
#[derive(Debug)]
pub struct Postgres {
    // Dropped in this order: the server ends before its folder disappears and its lock is released.
    server: Server,
    address: Address,
    cluster: Arc<Cluster>,
    settings: Settings,
    _temporary: Option<Folder>,
}

impl Postgres {
    /// Starts the server on `settings.data_dir` and returns when its database answers. `progress` is told, in words for
    /// people, about what takes longer than a blink.
    pub async fn start(settings: &Settings, progress: impl Fn(&str)) -> Result<Self, Error> {
        Self::start_in(settings, None, progress).await
    }

    /// A server for one test: its folder disappears with it, or with the process when that is killed. A crash of the
    /// machine loses its data, which makes it quick.
    pub async fn temporary() -> Result<Self, Error> {
        Self::start_temporary(false).await
    }

    /// Like `temporary`, but every commit reaches the disk, and statements can be counted: for measurements.
    pub async fn temporary_durable() -> Result<Self, Error> {
        Self::start_temporary(true).await
    }

    async fn start_temporary(durable: bool) -> Result<Self, Error> {
        let folder = Folder::make()?;
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

    /// Starts the server again after it ended, and returns when its database answers. Where it is reached stays the same.
    pub async fn restart(&mut self) -> Result<(), Error> {
        // A start that took too long may still be going on.
        self.server.stop().await;
        self.server = spawn(&self.cluster, &self.settings).await?;
        self.ready(|_| {}).await
    }

    /// Ready is what answers in our database, not what listens: a server in recovery listens long before.
    async fn ready(&self, progress: impl Fn(&str)) -> Result<(), Error> {
        let begun = Instant::now();
        let mut told = false;
        loop {
            let answer = tokio::time::timeout(CONNECT_WITHIN, self.ask()).await;
            let problem = match answer {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) if is_foreign(&error) => return Err(self.foreign(&error)),
                Ok(Err(error)) => error.to_string(),
                Err(elapsed) => elapsed.to_string(),
            };
            if self.server.has_ended() {
                return Err(self.not_started());
            }
            if begun.elapsed() > READY_WITHIN {
                return Err(Error::NotReady {
                    seconds: READY_WITHIN.as_secs(),
                    log: self.cluster.log.clone(),
                    detail: problem,
                });
            }
            if begun.elapsed() > WORTH_A_WORD && !told {
                progress("waiting for PostgreSQL to recover after an unclean end");
                told = true;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn ask(&self) -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect_with(&self.options()).await?;
        connection.ping().await?;
        connection.close().await
    }

    fn foreign(&self, error: &sqlx::Error) -> Error {
        let file = password::file(self.cluster.folder.parent().unwrap_or(&self.cluster.folder));
        let detail = match code(error).as_deref() {
            Some(WRONG_PASSWORD) => format!(
                "its password is not the one in {}: remove that file, and the next start sets a new password",
                file.display()
            ),
            _ => format!("it is not a cluster that attune made ({error})"),
        };
        Error::Damaged {
            folder: self.cluster.folder.clone(),
            detail,
        }
    }

    fn not_started(&self) -> Error {
        let said = self.server.tail.text();
        let folder = self.cluster.folder.clone();
        let detail = account::readable(&self.server.reason(), &folder);
        match Error::from_output(&said) {
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

    /// The same as a URL, with the password.
    pub fn url(&self) -> String {
        self.address.url()
    }

    /// The same for people and `psql`: it names the file that holds the password.
    pub fn shown_url(&self) -> String {
        self.address.shown_url()
    }

    /// Whether this start made the cluster.
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

    /// The file that holds what the server says.
    pub fn log(&self) -> &Path {
        &self.cluster.log
    }

    /// Resolves when the server is gone although nobody stopped it, with its last words.
    pub async fn ended(&self) -> String {
        self.server.ended().await;
        self.server.reason()
    }

    /// Stops the server: at most 10 seconds for an orderly end, after that without asking.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

/// Starts a server once no other works on the cluster.
async fn spawn(cluster: &Arc<Cluster>, settings: &Settings) -> Result<Server, Error> {
    let (cluster, settings) = (Arc::clone(cluster), settings.clone());
    blocking(move || {
        leftover::clear(&cluster)?;
        Server::spawn(&cluster, &settings)
    })
    .await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        // It can only have panicked, and nothing here knows better than its caller what to do then.
        std::panic::resume_unwind(error.into_panic())
    })
}

/// A server that another process of Attune runs.
#[derive(Debug)]
pub struct Neighbor(Address);

impl Neighbor {
    /// The server on this data directory, when it answers.
    pub async fn on(data_dir: &Path) -> Result<Option<Self>, Error> {
        let folder = data_dir.join("postgres");
        let Ok(folder) = folder.canonicalize() else {
            return Ok(None);
        };
        // A server of an older release asks for none.
        let password = password::read(data_dir)?;
        let address = Address::of(&folder, password)?;
        let connected = tokio::time::timeout(CONNECT_WITHIN, PgConnection::connect_with(&address.options())).await;
        let Ok(Ok(connection)) = connected else {
            return Ok(None);
        };
        // It has answered; how the connection ends does not matter.
        let _ = connection.close().await;
        Ok(Some(Self(address)))
    }

    pub fn url(&self) -> String {
        self.0.url()
    }
}

const WRONG_PASSWORD: &str = "28P01";

/// The server is up, but our role (28000), its password or our database (3D000) is not in it.
fn is_foreign(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| ["28000", WRONG_PASSWORD, "3D000"].contains(&code.as_ref()))
}

fn code(error: &sqlx::Error) -> Option<std::borrow::Cow<'_, str>> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code)
}
