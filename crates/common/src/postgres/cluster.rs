//! The data directory: locked by one process, checked before use, and created completely or not at all.
//!
//! ```text
//! DIR/attune.lock      locked (flock) by the process that uses the folder; contains its pid
//! DIR/postgres/        the cluster, including its socket
//! DIR/postgres-password  the password of the cluster, in the format of PGPASSFILE
//! DIR/postgres.new/    a cluster being created; leftovers are removed at the next start
//! DIR/postgres.log     the log of the server, at most 4 MiB; the previous 4 MiB in postgres.log.1
//! ```

use super::account::{Account, readable};
use super::programs::Programs;
use super::{
    error::Error,
    log, password,
    settings::{DATABASE, Settings},
};
use secrecy::SecretString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A cluster that a server can be started on.
#[derive(Debug)]
pub(super) struct Cluster {
    pub folder: PathBuf,
    pub log: PathBuf,
    pub account: Account,
    pub programs: Programs,
    pub first_start: bool,
    /// Released by the operating system when this process ends, however that happens.
    _lock: File,
}

impl Cluster {
    /// Blocks for seconds if the cluster must be created.
    pub fn prepare(settings: &Settings) -> Result<Self, Error> {
        let data = open_folder(&settings.data_dir)?;
        let lock = lock(&data)?;
        let found = Programs::find(settings.programs.as_deref())?;
        let folder = data.join("postgres");
        let first_start = is_absent(&folder)?;
        let (programs, account) = if first_start {
            let account = Account::for_new()?;
            // Left over from another cluster.
            password::discard(&data)?;
            create(&folder, &found[0], &account, settings.durable)?;
            (found[0].clone(), account)
        } else {
            let programs = matching(&folder, found)?;
            (programs, Account::for_existing(&folder)?)
        };
        Ok(Self {
            log: data.join("postgres.log"),
            folder,
            account,
            programs,
            first_start,
            _lock: lock,
        })
    }

    /// Ensures that every connection requires a password, and returns it. No server may be running on the cluster.
    pub fn protect(&self) -> Result<SecretString, Error> {
        let data = self.folder.parent().unwrap_or(&self.folder);
        let password = if let Some(password) = password::read(data)? {
            password
        } else {
            let password = password::generate();
            let statements = password::statements(&password);
            run_statements(&self.folder, &self.programs, &self.account, &statements)?;
            password::store(data, &password)?;
            password
        };
        password::require(&self.folder, &self.account)?;
        Ok(password)
    }
}

/// Whether the next start must create the cluster.
pub(super) fn is_absent(cluster: &Path) -> Result<bool, Error> {
    match fs::read_dir(cluster) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(folder_error(cluster)(source)),
    }
}

fn folder_error(folder: &Path) -> impl Fn(io::Error) -> Error {
    move |source| match source.kind() {
        io::ErrorKind::StorageFull => Error::DiskFull {
            folder: folder.to_owned(),
        },
        _ => Error::Folder {
            folder: folder.to_owned(),
            source,
        },
    }
}

fn open_folder(folder: &Path) -> Result<PathBuf, Error> {
    // Private, because it contains Attune's secrets.
    let created = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    created
        .and_then(|()| folder.canonicalize())
        .map_err(folder_error(folder))
}

/// Returns an error if another process has locked the folder. The caller must still lock it to use it.
pub(super) fn check_free(data: &Path) -> Result<(), Error> {
    if data.exists() && !data.is_dir() {
        return Err(Error::NotAFolder { path: data.to_owned() });
    }
    if data.join("attune.lock").exists() {
        lock(data)?;
    }
    Ok(())
}

fn lock(data: &Path) -> Result<File, Error> {
    let error = folder_error(data);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(data.join("attune.lock")).map_err(&error)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid).map_err(&error)?;
            return Err(Error::Locked {
                folder: data.to_owned(),
                pid: pid.trim().to_owned(),
            });
        }
        Err(TryLockError::Error(source)) => return Err(error(source)),
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(error)?;
    Ok(file)
}

/// The programs of the version that created the cluster: another major version cannot read it.
fn matching(folder: &Path, found: Vec<Programs>) -> Result<Programs, Error> {
    let damaged = |detail: &str| Error::Damaged {
        folder: folder.to_owned(),
        detail: detail.to_owned(),
    };
    let version = match fs::read_to_string(folder.join("PG_VERSION")) {
        Ok(version) => version,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(damaged("its file PG_VERSION is missing"));
        }
        Err(source) => return Err(folder_error(folder)(source)),
    };
    let needed = version.trim();
    let needed = needed
        .parse::<u32>()
        .map_err(|_| damaged("its file PG_VERSION contains no version number"))?;
    let majors: Vec<String> = found.iter().map(|programs| programs.major().to_string()).collect();
    let matching = found.into_iter().find(|programs| programs.major() == needed);
    matching.ok_or_else(|| Error::OtherMajor {
        folder: folder.to_owned(),
        needed,
        found: majors.join(", "),
    })
}

/// Creates the cluster in a temporary folder and renames it when it is complete, so that an interrupted start leaves nothing
/// that looks like a cluster.
fn create(folder: &Path, programs: &Programs, account: &Account, durable: bool) -> Result<(), Error> {
    let raw = folder.with_extension("new");
    let error = folder_error(&raw);
    remove(&raw).map_err(&error)?;
    DirBuilder::new().mode(0o700).create(&raw).map_err(&error)?;
    account.own(&raw).map_err(&error)?;
    let created = init(&raw, programs, account, durable).and_then(|()| create_database(&raw, programs, account));
    if let Err(failure) = created {
        // Frees the space on a full disk. If this fails too, the next start removes it.
        let _ = remove(&raw);
        return Err(failure);
    }
    fs::rename(&raw, folder).map_err(&error)?;
    if durable {
        let parent = folder.parent().unwrap_or(folder);
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(error)?;
    }
    Ok(())
}

/// Retries while a killed `initdb` may still be writing into the folder.
fn remove(folder: &Path) -> io::Result<()> {
    for _ in 0..20 {
        match fs::remove_dir_all(folder) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            Err(error) => return Err(error),
        }
    }
    fs::remove_dir_all(folder)
}

/// Text is UTF-8 and sorts by code point, the same on every machine. Upper and lower case cover all of Unicode if the system has
/// that locale.
fn init(raw: &Path, programs: &Programs, account: &Account, durable: bool) -> Result<(), Error> {
    let run_initdb = |ctype: &str| {
        let mut command = account.command(&programs.initdb(), &[], raw, "TERM");
        command.args(["--username=postgres", "--auth=trust", "--data-checksums"]);
        command
            .args(["--encoding=UTF8", "--locale=C"])
            .arg(format!("--lc-ctype={ctype}"));
        if !durable {
            command.arg("--no-sync");
        }
        run(command, &programs.initdb(), None)
    };
    let mut output = run_initdb("C.UTF-8")?;
    if text(&output).contains("invalid locale") {
        output = run_initdb("C")?;
    }
    if !output.status.success() {
        return Err(failure(raw, &text(&output)));
    }
    Ok(())
}

/// The role `attune` owns the database but is not a superuser.
fn create_database(raw: &Path, programs: &Programs, account: &Account) -> Result<(), Error> {
    let statements = format!("create role {DATABASE} login createdb\ncreate database {DATABASE} owner {DATABASE}\n");
    run_statements(raw, programs, account, &statements)
}

/// Single-user mode needs neither a socket nor a running server. It continues after an error, so its output is checked.
fn run_statements(cluster: &Path, programs: &Programs, account: &Account, statements: &str) -> Result<(), Error> {
    let mut command = account.command(&programs.postgres(), &["--single"], cluster, "TERM");
    command.arg("postgres");
    let output = run(command, &programs.postgres(), Some(statements))?;
    let printed = text(&output);
    if !output.status.success() || printed.contains("ERROR:") {
        return Err(failure(cluster, &printed));
    }
    Ok(())
}

fn run(mut command: Command, program: &Path, input: Option<&str>) -> Result<Output, Error> {
    let not_runnable = |source| Error::NotRunnable {
        program: program.to_owned(),
        source,
    };
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if input.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().map_err(not_runnable)?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        // A program that exits early reports the reason on its standard error.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output().map_err(not_runnable)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn failure(folder: &Path, output: &str) -> Error {
    let detail = readable(&log::reason(output), folder);
    let folder = folder.to_owned();
    match Error::from_output(output) {
        Some(build) => build(folder, detail),
        None => Error::NotCreated { folder, detail },
    }
}
