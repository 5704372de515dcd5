//! Shared memory and other objects that outlive the processes of a user: files in memory, and the segments, semaphores and
//! queues of System V. The next action with the same user could read them.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::PathBuf,
    process::{Command, Stdio},
};

const FOLDERS: [&str; 2] = ["/dev/shm", "/dev/mqueue"];

/// In `/proc/sysvipc`: the list, its column of ids, and the option of `ipcrm` that removes one.
const SYSTEM_V: [(&str, &str, &str); 3] = [("shm", "shmid", "-m"), ("sem", "semid", "-s"), ("msg", "msqid", "-q")];

/// The objects of some users.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SharedObjects {
    files: Vec<PathBuf>,
    /// The option of `ipcrm`, and the id.
    system_v: Vec<(&'static str, String)>,
}

impl SharedObjects {
    pub fn of(users: &BTreeSet<u32>) -> Self {
        if users.is_empty() {
            return Self::default();
        }
        let entries = FOLDERS.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
        let files = entries.filter_map(|entry| {
            let entry = entry.ok()?;
            users.contains(&entry.metadata().ok()?.uid()).then(|| entry.path())
        });
        let system_v = SYSTEM_V.iter().flat_map(|(list, column, option)| {
            let table = fs::read_to_string(format!("/proc/sysvipc/{list}")).unwrap_or_default();
            ids_in(&table, column, users).into_iter().map(move |id| (*option, id))
        });
        Self {
            files: files.collect(),
            system_v: system_v.collect(),
        }
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Removes them. Blocks.
    #[expect(
        clippy::disallowed_methods,
        reason = "the runner owns child processes, and there is no safe system call"
    )]
    pub fn remove(self) -> io::Result<()> {
        for path in self.files {
            let removed = if path.is_dir() && !path.is_symlink() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            match removed {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display())));
                }
                _ => {}
            }
        }
        for (option, id) in self.system_v {
            let status = Command::new("ipcrm")
                .args([option, &id])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()?;
            if !status.success() {
                return Err(io::Error::other(format!("ipcrm {option} {id}: {status}")));
            }
        }
        Ok(())
    }
}

/// The ids of the objects that one of these users owns or created, in a table whose first line names its columns.
fn ids_in(table: &str, column: &str, users: &BTreeSet<u32>) -> Vec<String> {
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let Some(names) = lines.next() else { return Vec::new() };
    let place = |name| names.iter().position(|found| *found == name);
    let (Some(id), owners) = (place(column), [place("uid"), place("cuid")]) else {
        return Vec::new();
    };
    let is_owned = |line: &Vec<&str>| {
        let mut owners = owners
            .iter()
            .flatten()
            .filter_map(|place| line.get(*place)?.parse::<u32>().ok());
        owners.any(|owner| users.contains(&owner))
    };
    let owned = lines.filter(is_owned);
    owned
        .filter_map(|line| line.get(id).map(|id| (*id).to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_found_by_owner_and_creator() {
        let table = "key shmid perms size cpid lpid nattch uid gid cuid cgid\n\
                     10 9 600 56 1 2 0 70000 104 101 104\n\
                     11 8 600 56 1 2 0 101 104 70001 104\n\
                     12 7 600 56 1 2 0 101 104 101 104\n";
        let users = BTreeSet::from([70_000, 70_001]);
        assert_eq!(ids_in(table, "shmid", &users), ["9", "8"]);
        assert_eq!(ids_in("", "shmid", &users), [""; 0]);
        assert_eq!(ids_in(table, "semid", &users), [""; 0]);
    }
}
