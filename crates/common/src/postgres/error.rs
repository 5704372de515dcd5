//! Why the private PostgreSQL did not start, each with what to do about it: these texts are what a newcomer reads.

use std::io;
use std::path::PathBuf;

/// One failure, one message. Sources are chained where the operating system has more to say.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "found no PostgreSQL programs (looked for `postgres` and `initdb` on PATH and in the usual folders): install \
         PostgreSQL {oldest} or newer, for example with `apt-get install postgresql` on Debian and Ubuntu, \
         `dnf install postgresql-server` on Fedora or `brew install postgresql` on macOS"
    )]
    NoPrograms { oldest: u32 },

    #[error(
        "the folder {} holds no working PostgreSQL programs: it must hold `postgres` and `initdb` of version {oldest} \
         or newer (on Debian this is /usr/lib/postgresql/<version>/bin)", folder.display()
    )]
    BadPrograms { folder: PathBuf, oldest: u32 },

    #[error(
        "the data in {} were written by PostgreSQL {needed}, but this machine has only {found}: install PostgreSQL \
         {needed} (`apt-get install postgresql-{needed}`), or choose another data folder", folder.display()
    )]
    OtherMajor {
        folder: PathBuf,
        needed: u32,
        found: String,
    },

    #[error(
        "the data folder {} is in use by the running process {pid}: stop that one first, or choose another data folder",
        folder.display()
    )]
    Locked { folder: PathBuf, pid: String },

    #[error("{} is a file: the data directory must be a folder, which is made when it is missing", path.display())]
    NotAFolder { path: PathBuf },

    #[error("cannot use the data folder {}: it must be a folder that this user may write", folder.display())]
    Folder { folder: PathBuf, source: io::Error },

    #[error(
        "the database folder {} belongs to the user {owner}, not to {wanted}: start with the user that made it, \
         or hand it over with `chown -R {wanted} {}`", folder.display(), folder.display()
    )]
    ForeignFolder {
        folder: PathBuf,
        owner: String,
        wanted: String,
    },

    #[error(
        "the database folder {} is damaged: {detail}. Bring it back from a backup, or move it away to start afresh \
         (everything stored in it is then gone from Attune)", folder.display()
    )]
    Damaged { folder: PathBuf, detail: String },

    #[error("the disk that holds {} is full: make room there and start again", folder.display())]
    DiskFull { folder: PathBuf },

    #[error(
        "an earlier PostgreSQL (process {pid}) still works on {} and did not stop when asked: end it with \
         `kill -QUIT {pid}` and start again", folder.display()
    )]
    Leftover { folder: PathBuf, pid: String },

    #[error(
        "PostgreSQL refuses to run as root, and this machine has neither a user `postgres` nor a user `nobody`: start as an ordinary user"
    )]
    NoAccount,

    #[error("cannot run {}: it must be a program that this user may start", program.display())]
    NotRunnable { program: PathBuf, source: io::Error },

    #[error("making the database in {} failed: {detail}", folder.display())]
    NotCreated { folder: PathBuf, detail: String },

    #[error("the dump {} was not restored: {detail}", dump.display())]
    NotRestored { dump: PathBuf, detail: String },

    #[error("PostgreSQL did not start on {}: {detail} (its log is {})", folder.display(), log.display())]
    NotStarted {
        folder: PathBuf,
        log: PathBuf,
        detail: String,
    },

    #[error("PostgreSQL did not answer within {seconds} seconds: {detail} (its log is {})", log.display())]
    NotReady { seconds: u64, log: PathBuf, detail: String },
}

impl Error {
    /// Sorts what PostgreSQL's programs said into the failures that have a remedy of their own.
    pub(super) fn from_output(output: &str) -> Option<fn(PathBuf, String) -> Self> {
        const DAMAGE: [&str; 7] = [
            "could not locate a valid checkpoint record",
            "invalid checkpoint record",
            "incorrect checksum in control file",
            "global/pg_control",
            "is not a valid data directory",
            "database files are incompatible with server",
            "could not access the server configuration file",
        ];
        // A write that got only half of its bytes to the disk has the hint instead of the system's message.
        if output.contains("No space left on device") || output.contains("Check free disk space") {
            Some(|folder, _| Self::DiskFull { folder })
        } else if DAMAGE.iter().any(|text| output.contains(text)) {
            Some(|folder, detail| Self::Damaged { folder, detail })
        } else {
            None
        }
    }
}
