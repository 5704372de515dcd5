//! The address of a server whose socket is in its cluster. The path of a socket is limited to 107 bytes, so a longer one is
//! reached through a symbolic link with a short name.

use super::{error::Error, password, settings::DATABASE};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::fmt::Write;
use std::fs;
use std::os::unix::{
    ffi::OsStrExt as _,
    fs::{DirBuilderExt, symlink},
};
use std::path::{Path, PathBuf};

const SOCKET_NAME: &str = ".s.PGSQL.5432";
/// 104 bytes on some systems, including the terminating zero.
const SOCKET_PATH_BYTES_MAX: usize = 103;

/// The folder of the socket, as used by clients.
#[derive(Debug)]
pub(super) struct Address {
    folder: String,
    password: Option<SecretString>,
    /// The file that contains the password.
    password_file: PathBuf,
    /// The folder of the short link, if one is needed. Removed on drop.
    shortcut: Option<PathBuf>,
}

impl Address {
    pub fn of(cluster: &Path, password: Option<SecretString>) -> Result<Self, Error> {
        let (folder, shortcut) = match cluster.to_str() {
            Some(folder) if folder.len() + 1 + SOCKET_NAME.len() <= SOCKET_PATH_BYTES_MAX => (folder.to_owned(), None),
            _ => Self::shortened(cluster)?,
        };
        Ok(Self {
            folder,
            password,
            password_file: password::file(cluster.parent().unwrap_or(cluster)),
            shortcut,
        })
    }

    fn shortened(cluster: &Path) -> Result<(String, Option<PathBuf>), Error> {
        let home = format!("/tmp/attune-{:016x}", rand::random::<u64>());
        let folder = format!("{home}/postgres");
        let error = |source| Error::Folder {
            folder: home.clone().into(),
            source,
        };
        // Must not exist: another user could have created it.
        fs::DirBuilder::new().mode(0o700).create(&home).map_err(error)?;
        symlink(cluster, &folder).map_err(error)?;
        Ok((folder, Some(home.into())))
    }

    pub fn options(&self) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass()
            .socket(&self.folder)
            .port(5432)
            .ssl_mode(PgSslMode::Disable)
            .username(DATABASE)
            .database(DATABASE);
        match &self.password {
            Some(password) => options.password(password.expose_secret()),
            None => options,
        }
    }

    /// With the password, which consists of hexadecimal digits that need no escaping.
    pub fn url(&self) -> String {
        let password = self
            .password
            .as_ref()
            .map(|password| format!(":{}", password.expose_secret()));
        let user = format!("{DATABASE}{}", password.unwrap_or_default());
        format!(
            "postgres://{user}@localhost:5432/{DATABASE}?host={}",
            escaped(self.folder.as_bytes())
        )
    }

    /// With the file of the password instead of the password.
    pub fn shown_url(&self) -> String {
        let file = escaped(self.password_file.as_os_str().as_bytes());
        let folder = escaped(self.folder.as_bytes());
        format!("postgres://{DATABASE}@localhost:5432/{DATABASE}?host={folder}&passfile={file}")
    }
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(char::from(*byte)),
            // Writing to a string cannot fail.
            _ => _ = write!(text, "%{byte:02X}"),
        }
    }
    text
}

impl Drop for Address {
    fn drop(&mut self) {
        if let Some(home) = &self.shortcut {
            // A leftover link in /tmp is harmless.
            let _ = fs::remove_dir_all(home);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_contain_any_path() {
        let address = Address::of(Path::new("/srv/my data/é"), Some("a1".into())).unwrap();
        assert_eq!(
            address.url(),
            "postgres://attune:a1@localhost:5432/attune?host=%2Fsrv%2Fmy%20data%2F%C3%A9"
        );
        assert_eq!(
            address.shown_url(),
            "postgres://attune@localhost:5432/attune?host=%2Fsrv%2Fmy%20data%2F%C3%A9&passfile=%2Fsrv%2Fmy%20data%2Fpostgres-password"
        );
        assert_eq!(address.shortcut, None);
    }

    #[test]
    fn a_long_path_is_reached_through_a_short_link() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("long".repeat(40));
        let address = Address::of(&long, None).unwrap();
        let home = address.shortcut.clone().unwrap();
        assert_eq!(fs::read_link(&address.folder).unwrap(), long);
        assert!(address.folder.len() + SOCKET_NAME.len() < SOCKET_PATH_BYTES_MAX);
        drop(address);
        assert!(!home.exists());
    }
}
