//! Finds PostgreSQL's programs. Distributions install several versions in parallel and often leave the server off PATH, so the
//! usual folders are searched too. The newest version is used unless the data needs another.

use super::account::new_command;
use super::error::Error;
use crate::config::variable;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Older servers lack features that Attune's statements use.
pub const OLDEST_MAJOR: u32 = 14;

/// Folders whose entries may contain the programs of one version: the parent, the prefix of the version's folder, and its
/// subfolder.
const USUAL: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
    ("/usr/local", "pgsql", "bin"),
];

/// The programs of one installed version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    folder: PathBuf,
    major: u32,
}

impl Programs {
    /// All usable versions, newest first: only those in `chosen`, or all on this machine.
    pub(super) fn find(chosen: Option<&Path>) -> Result<Vec<Self>, Error> {
        if let Some(folder) = chosen {
            let bad = || Error::BadPrograms {
                folder: folder.to_owned(),
                oldest: OLDEST_MAJOR,
            };
            return Ok(vec![Self::at(folder).ok_or_else(bad)?]);
        }
        let mut found: Vec<Self> = search_path()
            .into_iter()
            .chain(usual_folders())
            .filter_map(|f| Self::at(&f))
            .collect();
        found.sort_by_key(|programs| std::cmp::Reverse(programs.major));
        if found.is_empty() {
            return Err(Error::NoPrograms { oldest: OLDEST_MAJOR });
        }
        Ok(found)
    }

    fn at(folder: &Path) -> Option<Self> {
        if !folder.join("initdb").is_file() || !folder.join("postgres").is_file() {
            return None;
        }
        let mut command = new_command(folder.join("postgres"));
        let output = command.arg("--version").stdout(Stdio::piped()).output().ok()?;
        let major = major_of(&String::from_utf8_lossy(&output.stdout))?;
        (major >= OLDEST_MAJOR).then(|| Self {
            folder: folder.to_owned(),
            major,
        })
    }

    pub fn major(&self) -> u32 {
        self.major
    }

    /// Whether a library of the server is installed in one of the usual folders.
    pub(super) fn has_library(&self, name: &str) -> bool {
        let places = ["lib", "lib/postgresql", "lib64/pgsql", "lib/pgsql"];
        // The program may be a symbolic link into the installation.
        let program = self.postgres().canonicalize().unwrap_or_else(|_| self.postgres());
        let root = program.ancestors().nth(2).unwrap_or(&self.folder);
        let file = |place: &str| root.join(place).join(name).with_extension("so");
        places.into_iter().any(|place| file(place).is_file())
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    /// In the folder of the server, in the folder that the server links to, or on PATH: some distributions install it separately.
    pub(super) fn psql(&self) -> PathBuf {
        let server = self.postgres().canonicalize().unwrap_or_else(|_| self.postgres());
        let folders = [Some(self.folder.as_path()), server.parent()];
        let mut candidates = folders.into_iter().flatten().map(|folder| folder.join("psql"));
        candidates
            .find(|program| program.is_file())
            .unwrap_or_else(|| "psql".into())
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }
}

/// `postgres (PostgreSQL) 15.18 (Debian …)` or `postgres (PostgreSQL) 18beta1` → the number in front.
fn major_of(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..end].parse().ok()
}

fn search_path() -> Vec<PathBuf> {
    let path = variable("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .collect()
}

fn usual_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for (parent, prefix, inner) in USUAL {
        let Ok(entries) = std::fs::read_dir(parent) else {
            continue;
        };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                folders.push(entry.path().join(inner));
            }
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_the_leading_number() {
        let cases = [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(15)),
            ("postgres (PostgreSQL) 18beta1\n", Some(18)),
            ("postgres (PostgreSQL) 9.6.24\n", Some(9)),
            ("postgres: no such thing\n", None),
            ("", None),
        ];
        for (text, major) in cases {
            assert_eq!(major_of(text), major, "{text:?}");
        }
    }

    #[test]
    fn a_chosen_folder_without_programs_is_reported_with_its_path() {
        let error = Programs::find(Some(Path::new("/nonexistent/bin"))).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/bin"), "{error}");
    }
}
