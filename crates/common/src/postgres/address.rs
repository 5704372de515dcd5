//! How to reach a server whose socket lies in its cluster. The path of a socket may have 107 bytes at most, so a longer one
//! is reached through a symbolic link with a short name.

use super::{DATABASE, Error};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

const SOCKET_NAME: &str = ".s.PGSQL.5432";
/// 104 on some systems, with a zero at the end.
const SOCKET_PATH_BYTES_MAX: usize = 103;

/// The folder of the socket, as clients name it.
#[derive(Debug)]
pub(super) struct Address {
    folder: String,
    /// Holds the short name, when one is needed; removed on drop.
    shortcut: Option<PathBuf>,
}

impl Address {
    pub fn of(cluster: &Path) -> Result<Self, Error> {
        match cluster.to_str() {
            Some(folder) if folder.len() + 1 + SOCKET_NAME.len() <= SOCKET_PATH_BYTES_MAX => Ok(Self {
                folder: folder.to_owned(),
                shortcut: None,
            }),
            _ => Self::shortened(cluster),
        }
    }

    fn shortened(cluster: &Path) -> Result<Self, Error> {
        let home = format!("/tmp/attune-{:016x}", rand::random::<u64>());
        let folder = format!("{home}/postgres");
        let error = |source| Error::Folder {
            folder: home.clone().into(),
            source,
        };
        // Not ours to reuse if it exists: somebody else could have put it there.
        fs::DirBuilder::new().mode(0o700).create(&home).map_err(error)?;
        symlink(cluster, &folder).map_err(error)?;
        Ok(Self {
            folder,
            shortcut: Some(home.into()),
        })
    }

    pub fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.folder)
            .port(5432)
            .ssl_mode(PgSslMode::Disable)
            .username(DATABASE)
            .database(DATABASE)
    }

    pub fn url(&self) -> String {
        let mut url = format!("postgres://{DATABASE}@localhost:5432/{DATABASE}?host=");
        for byte in self.folder.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => url.push(char::from(byte)),
                // Writing to a string cannot fail.
                _ => _ = write!(url, "%{byte:02X}"),
            }
        }
        url
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        if let Some(home) = &self.shortcut {
            // A forgotten link in /tmp harms nobody.
            let _ = fs::remove_dir_all(home);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_holds_any_path() {
        let address = Address::of(Path::new("/srv/my data/é")).unwrap();
        assert_eq!(
            address.url(),
            "postgres://attune@localhost:5432/attune?host=%2Fsrv%2Fmy%20data%2F%C3%A9"
        );
        assert_eq!(address.shortcut, None);
    }

    #[test]
    fn a_long_path_is_reached_through_a_short_link() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("long".repeat(40));
        let address = Address::of(&long).unwrap();
        let home = address.shortcut.clone().unwrap();
        assert_eq!(fs::read_link(&address.folder).unwrap(), long);
        assert!(address.folder.len() + SOCKET_NAME.len() < SOCKET_PATH_BYTES_MAX);
        drop(address);
        assert!(!home.exists());
    }
}
