//! Why the private PostgreSQL did not start, and what to do about it. New users read these messages.

use std::io;
use std::path::PathBuf;

/// Each failure has its own message. The source is the error of the operating system, if there is one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "no PostgreSQL programs found (`postgres` and `initdb`, on PATH or in the usual folders); install \
         PostgreSQL {oldest} or newer, for example with `apt-get install postgresql` on Debian and Ubuntu, \
         `dnf install postgresql-server` on Fedora or `brew install postgresql` on macOS"
    )]
    NoPrograms { oldest: u32 },

    #[error(
        "no working PostgreSQL programs in {}; the directory must contain `postgres` and `initdb` of version {oldest} \
         or newer (on Debian this is /usr/lib/postgresql/<version>/bin)", folder.display()
    )]
    BadPrograms { folder: PathBuf, oldest: u32 },

    #[error(
        "the data in {} was written by PostgreSQL {needed}, but this machine has only {found}; install PostgreSQL \
         {needed} (`apt-get install postgresql-{needed}`), or choose another data directory", folder.display()
    )]
    OtherMajor {
        folder: PathBuf,
        needed: u32,
        found: String,
    },

    #[error(
        "the data directory {} is in use by the running process {pid}; stop that process, or choose another data directory",
        folder.display()
    )]
    Locked { folder: PathBuf, pid: String },

    #[error("{} is a file; the data directory must be a directory (created if missing)", path.display())]
    NotAFolder { path: PathBuf },

    #[error("failed to use the data directory {}; it must be writable for this user", folder.display())]
    Folder { folder: PathBuf, source: io::Error },

    #[error(
        "the database directory {} belongs to the user {owner}, not to {expected}; start as the user that created it, \
         or change its owner with `chown -R {expected} {}`", folder.display(), folder.display()
    )]
    ForeignFolder {
        folder: PathBuf,
        owner: String,
        expected: String,
    },

    #[error(
        "the database directory {} is damaged: {detail}. Restore it from a backup, or move it away to start with an empty \
         database", folder.display()
    )]
    Damaged { folder: PathBuf, detail: String },

    #[error("the disk of {} is full; free some space and start again", folder.display())]
    DiskFull { folder: PathBuf },

    #[error(
        "an earlier PostgreSQL (process {pid}) still uses {} and did not stop; end it with `kill -QUIT {pid}` and start \
         again", folder.display()
    )]
    Leftover { folder: PathBuf, pid: String },

    #[error(
        "PostgreSQL does not run as root, and this machine has neither a user `postgres` nor a user `nobody`; start as an ordinary user"
    )]
    NoAccount,

    #[error("failed to run {}; it must be a program that this user can execute", program.display())]
    NotRunnable { program: PathBuf, source: io::Error },

    #[error("failed to create the database in {}: {detail}", folder.display())]
    NotCreated { folder: PathBuf, detail: String },

    #[error("failed to restore the dump {}: {detail}", dump.display())]
    NotRestored { dump: PathBuf, detail: String },

    #[error("failed to start PostgreSQL on {}: {detail} (see its log {})", folder.display(), log.display())]
    NotStarted {
        folder: PathBuf,
        log: PathBuf,
        detail: String,
    },

    #[error("PostgreSQL did not answer within {seconds} seconds: {detail} (see its log {})", log.display())]
    NotReady { seconds: u64, log: PathBuf, detail: String },
}

impl Error {
    /// Recognizes failures with a specific remedy in the output of PostgreSQL's programs.
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
        // A partial write produces the hint instead of the system's message.
        if output.contains("No space left on device") || output.contains("Check free disk space") {
            Some(|folder, _| Self::DiskFull { folder })
        } else if DAMAGE.iter().any(|text| output.contains(text)) {
            Some(|folder, detail| Self::Damaged { folder, detail })
        } else {
            None
        }
    }
}
