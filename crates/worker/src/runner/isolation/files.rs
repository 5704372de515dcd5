//! Landlock: the domain of an action that runs as the worker's own user.
//!
//! A domain applies to the thread that enters it and to the processes that the thread starts. Each action gets its own domain,
//! so it can neither signal nor inspect another action. A thread that lives for a single start enters it.

use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    os::fd::AsFd,
    path::{Path, PathBuf},
    thread,
};

pub(super) const FILES: &str = "files";
pub(super) const FILES_AND_SIGNALS: &str = "files_and_signals";

/// The newest ABI this program supports. On an older kernel, newer restrictions do not apply.
const SUPPORTED: ABI = ABI::V6;

/// Programs and the files they need, on all common systems. Missing paths are ignored.
pub(super) const READABLE: [&str; 20] = [
    "/bin",
    "/etc",
    "/gnu/store",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/opt",
    "/proc",
    "/run/NetworkManager",
    "/run/current-system",
    "/run/resolvconf",
    "/run/systemd/resolve",
    "/sbin",
    "/snap",
    "/sys",
    "/usr",
    "/var/lib/ca-certificates",
    "/var/lib/snapd",
];

/// Devices that store nothing.
const DEVICES: [&str; 6] = [
    "/dev/full",
    "/dev/null",
    "/dev/random",
    "/dev/tty",
    "/dev/urandom",
    "/dev/zero",
];

/// The files that actions in a Landlock domain may access, apart from their scratch directories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    pub readable: Vec<PathBuf>,
    pub writable: Vec<PathBuf>,
    /// Not accessible, even inside a readable or writable folder.
    pub hidden: Vec<PathBuf>,
    /// The folder of unpacked packs, which is readable even inside a hidden folder.
    pub packs: Option<PathBuf>,
}

/// Opened once. Every action's domain consists of these and of its scratch directory.
#[derive(Debug)]
pub(crate) struct Files {
    readable: Vec<PathFd>,
    writable: Vec<PathFd>,
    devices: Vec<PathFd>,
}

impl Files {
    /// `programs` may be executed wherever they are. In `scratches`, each action can access its own directory.
    pub fn open(access: &Access, programs: &[PathBuf], scratches: &Path) -> Self {
        let hidden = access.hidden.iter().map(PathBuf::as_path).chain([scratches]);
        let hidden: Vec<PathBuf> = hidden.filter_map(resolve).collect();
        let open = |paths: &[PathBuf]| {
            let mut opened = Vec::new();
            for path in paths {
                opened.extend(without(path, &hidden).iter().filter_map(|path| PathFd::new(path).ok()));
            }
            opened
        };
        let mut readable = open(&access.readable);
        let named = programs.iter().chain(&access.packs);
        readable.extend(named.filter_map(|path| PathFd::new(path).ok()));
        Self {
            readable,
            writable: open(&access.writable),
            devices: DEVICES.iter().filter_map(|device| PathFd::new(device).ok()).collect(),
        }
    }

    /// Runs `start` on a thread in a domain that can access `scratch` and what is permitted to all actions.
    pub fn enclose<T: Send>(&self, scratch: &Path, start: impl FnOnce() -> T + Send) -> io::Result<T> {
        let enter = || -> io::Result<T> {
            self.enter(scratch)?;
            Ok(start())
        };
        thread::scope(|scope| {
            let thread = thread::Builder::new()
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, enter)?;
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the thread that starts an action panicked")))
        })
    }

    fn enter(&self, scratch: &Path) -> io::Result<()> {
        let scratch = PathFd::new(scratch).map_err(io::Error::other)?;
        self.restrict(&scratch).map_err(io::Error::other)
    }

    fn restrict(&self, scratch: &PathFd) -> Result<(), RulesetError> {
        let (read, all) = (AccessFs::from_read(SUPPORTED), AccessFs::from_all(SUPPORTED));
        ruleset()?
            .create()?
            .add_rules(rules(&self.readable, read))?
            .add_rules(rules(&self.writable, all))?
            .add_rules(rules(&self.devices, AccessFs::from_file(SUPPORTED)))?
            .add_rule(PathBeneath::new(scratch, all))?
            .restrict_self()?;
        Ok(())
    }
}

const STACK_BYTES: usize = 128 << 10;

fn rules(
    paths: &[PathFd],
    access: landlock::BitFlags<AccessFs>,
) -> impl Iterator<Item = Result<PathBeneath<std::os::fd::BorrowedFd<'_>>, RulesetError>> {
    paths.iter().map(move |path| Ok(PathBeneath::new(path.as_fd(), access)))
}

fn ruleset() -> Result<Ruleset, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(SUPPORTED))?
        .scope(Scope::from_all(SUPPORTED))
}

/// What Landlock protects on this kernel, tested on a thread that exits at once.
pub(super) fn supported() -> Option<&'static str> {
    let test = || {
        ruleset()
            .and_then(Ruleset::create)
            .and_then(RulesetCreated::restrict_self)
    };
    let status = thread::spawn(test).join().ok()?.ok()?;
    match status.landlock {
        LandlockStatus::Available { effective_abi, .. } if effective_abi >= ABI::V6 => Some(FILES_AND_SIGNALS),
        LandlockStatus::Available { .. } => Some(FILES),
        _ => None,
    }
}

/// The path without symbolic links. Its last component may be missing.
fn resolve(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    match path.canonicalize() {
        Ok(real) => Some(real),
        Err(_) => Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?)),
    }
}

/// The path, or, if it contains a hidden path, everything else that it contains now.
fn without(path: &Path, hidden: &[PathBuf]) -> Vec<PathBuf> {
    let Ok(path) = path.canonicalize() else {
        return Vec::new();
    };
    if hidden.iter().any(|hidden| path.starts_with(hidden)) {
        return Vec::new();
    }
    if !hidden.iter().any(|hidden| hidden.starts_with(&path)) {
        return vec![path];
    }
    let entries = fs::read_dir(&path).into_iter().flatten().flatten();
    entries.flat_map(|entry| without(&entry.path(), hidden)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn hidden_paths_are_left_out_wherever_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for directory in ["a/secret/deep", "a/open", "b"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        fs::write(root.join("a/file"), "").unwrap();
        // Symbolic links to it.
        symlink(root.join("a/secret"), root.join("a/link")).unwrap();
        symlink(root.join("a/secret/deep"), root.join("b/link")).unwrap();
        let hidden = [root.join("a/secret")];
        let mut found = without(&root, &hidden);
        found.sort();
        assert_eq!(found, [root.join("a/file"), root.join("a/open"), root.join("b")]);
        assert_eq!(without(&root.join("b"), &hidden), [root.join("b")]);
        assert!(without(&root.join("a/secret/deep"), &hidden).is_empty());
        assert!(without(&root.join("a/link"), &hidden).is_empty());
        assert!(without(&root.join("missing"), &hidden).is_empty());
    }
}
