//! The user that PostgreSQL's programs run as, and how they end with this process.
//!
//! PostgreSQL does not run as root, so if this process is root it switches to the folder's owner, or to `postgres` or `nobody`.
//! That user often cannot reach the data directory (for example in /root). Therefore, as root, a shell opens the folder as
//! descriptor 9 and PostgreSQL gets the path `/proc/self/fd/9`, which requires no permission on the parent folders.
//!
//! `setpriv` drops the privileges and makes the kernel signal the program when the thread that started it ends. If `setpriv` is
//! missing (it is part of util-linux), a killed parent leaves its server behind, and the next start stops it.

use super::error::Error;
use nix::unistd::{Gid, Uid, User, geteuid};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// `PATH` of PostgreSQL's programs. They inherit nothing else of the environment.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const OPEN_FOLDER_THEN_EXEC: &str = r#"exec 9<"$0" || exit 126; exec "$@""#;
const OPENED_FOLDER: &str = "/proc/self/fd/9";

/// The user that owns the cluster and runs the server.
#[derive(Debug, Clone)]
pub(super) struct Account {
    uid: Uid,
    gid: Gid,
    /// This process is root and must switch to that user.
    drops: bool,
    /// `setpriv` is installed and supports `--pdeathsig`.
    setpriv: bool,
}

impl Account {
    /// For a new cluster: the current user, unless that is root.
    pub fn for_new() -> Result<Self, Error> {
        if !geteuid().is_root() {
            return Ok(Self::build(geteuid(), nix::unistd::getegid(), false));
        }
        let user = ["postgres", "_postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .ok_or(Error::NoAccount)?;
        Ok(Self::build(user.uid, user.gid, true))
    }

    /// For an existing cluster: its owner, if this process may act as that user.
    pub fn for_existing(cluster: &Path) -> Result<Self, Error> {
        let metadata = std::fs::metadata(cluster).map_err(|source| Error::Folder {
            folder: cluster.to_owned(),
            source,
        })?;
        let owner = Uid::from_raw(metadata.uid());
        let current = geteuid();
        if current.is_root() && !owner.is_root() {
            return Ok(Self::build(owner, Gid::from_raw(metadata.gid()), true));
        }
        let account = Self::for_new()?;
        if owner == account.uid {
            return Ok(account);
        }
        Err(Error::ForeignFolder {
            folder: cluster.to_owned(),
            owner: name_of(owner),
            expected: name_of(account.uid),
        })
    }

    fn build(uid: Uid, gid: Gid, drops: bool) -> Self {
        Self {
            uid,
            gid,
            drops,
            setpriv: setpriv_works(),
        }
    }

    /// Makes this user the owner of a new folder.
    pub fn own(&self, folder: &Path) -> std::io::Result<()> {
        if self.drops {
            std::os::unix::fs::chown(folder, Some(self.uid.as_raw()), Some(self.gid.as_raw()))?;
        }
        Ok(())
    }

    /// The owner of files that the server reads, if that is not the current user.
    pub fn owner(&self) -> Option<(u32, u32)> {
        self.drops.then(|| (self.uid.as_raw(), self.gid.as_raw()))
    }

    /// `program leading… -D <cluster>`, ready for further arguments: runs as this user, with an empty environment, in its own
    /// process group (a Ctrl-C in the terminal must reach only this process, which stops the server later), and receives the
    /// signal `death` when the thread that spawns it ends.
    pub fn command(&self, program: &Path, leading: &[&str], cluster: &Path, death: &str) -> Command {
        let mut line: Vec<OsString> = Vec::new();
        if self.setpriv {
            line.extend(["setpriv", "--pdeathsig", death].map(Into::into));
            if self.drops {
                line.push(format!("--reuid={}", self.uid).into());
                line.push(format!("--regid={}", self.gid).into());
                line.push("--clear-groups".into());
            }
        }
        let through_descriptor = self.setpriv && self.drops && Path::new("/proc/self/fd").is_dir();
        line.push(program.into());
        line.extend(leading.iter().map(Into::into));
        line.push("-D".into());
        line.push(if through_descriptor {
            OPENED_FOLDER.into()
        } else {
            cluster.into()
        });
        if through_descriptor {
            let shell: [OsString; 4] = ["sh".into(), "-c".into(), OPEN_FOLDER_THEN_EXEC.into(), cluster.into()];
            line.splice(0..0, shell);
        }
        let mut command = new_command(&line[0]);
        command.args(&line[1..]);
        if self.drops && !self.setpriv {
            command.uid(self.uid.as_raw()).gid(self.gid.as_raw());
        }
        command
    }
}

fn setpriv_works() -> bool {
    let status = new_command("setpriv").args(["--pdeathsig", "INT", "true"]).status();
    status.is_ok_and(|status| status.success())
}

/// The output of the programs, with the real path of the folder.
pub(super) fn readable(output: &str, cluster: &Path) -> String {
    output.replace(OPENED_FOLDER, &cluster.to_string_lossy())
}

/// A child process that shares nothing with this one: no environment, terminal, working directory or process group.
pub(super) fn new_command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    #[expect(
        clippy::disallowed_methods,
        reason = "this module owns the child processes of PostgreSQL"
    )]
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", SYSTEM_PATH)
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    command
}

fn name_of(uid: Uid) -> String {
    match User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    }
}
