//! The password of the private cluster. Its socket is in a private folder, but actions may run as the user that owns the folder,
//! so access to the socket must not be sufficient.
//!
//! The password is 256 random bits in a 0600 file next to the cluster, in the format of `PGPASSFILE`. The cluster stores a
//! SCRAM verifier with one iteration: more iterations only slow down guessing, which is hopeless for a random password, and
//! would slow down every connection.

use super::account::Account;
use super::{error::Error, settings::DATABASE};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// Every user needs the password, including the superuser. Written at each start, so that a changed file has no effect.
const ACCESS: &str = "# Written by attune at each start.\nlocal all all scram-sha-256\n";

/// Any host, port, database and user.
const PREFIX: &str = "*:*:*:*:";

pub(super) fn file(data: &Path) -> PathBuf {
    data.join("postgres-password")
}

/// The password of the cluster in this data directory, or None if it has none yet.
pub(super) fn read(data: &Path) -> Result<Option<SecretString>, Error> {
    let file = file(data);
    match fs::read_to_string(&file) {
        Ok(text) => Ok(text.trim_end().strip_prefix(PREFIX).map(SecretString::from)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Folder { folder: file, source }),
    }
}

pub(super) fn generate() -> SecretString {
    format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>()).into()
}

/// Stores a password that the cluster has accepted. Until then there is no file, so an interrupted start repeats the step.
pub(super) fn store(data: &Path, password: &SecretString) -> Result<(), Error> {
    let file = file(data);
    let new = file.with_extension("new");
    let write = || {
        remove(&new)?;
        let mut opened = create(&new)?;
        writeln!(opened, "{PREFIX}{}", password.expose_secret())?;
        opened.sync_all()?;
        fs::rename(&new, &file)
    };
    write().map_err(|source| Error::Folder { folder: file, source })
}

/// Removes the password of a cluster that no longer exists.
pub(super) fn discard(data: &Path) -> Result<(), Error> {
    let file = file(data);
    remove(&file).map_err(|source| Error::Folder { folder: file, source })
}

/// The statements for single-user mode that set the password of the roles.
pub(super) fn statements(password: &SecretString) -> String {
    let verifier = verifier(password.expose_secret().as_bytes(), &rand::random());
    ["postgres", DATABASE]
        .map(|role| format!("alter role {role} password '{verifier}'\n"))
        .concat()
}

/// Makes the server require the password on every connection.
pub(super) fn require(cluster: &Path, account: &Account) -> Result<(), Error> {
    let file = cluster.join("pg_hba.conf");
    let write = || {
        // The folder may belong to another user, so an existing file or link is replaced and not written to.
        remove(&file)?;
        let mut opened = create(&file)?;
        opened.write_all(ACCESS.as_bytes())?;
        if let Some((uid, gid)) = account.owner() {
            fchown(&opened, Some(uid), Some(gid))?;
        }
        Ok(())
    };
    write().map_err(|source| Error::Folder { folder: file, source })
}

fn create(file: &Path) -> io::Result<fs::File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// RFC 5803, as PostgreSQL stores it.
fn verifier(password: &[u8], salt: &[u8; 16]) -> String {
    // `Hi` with one iteration.
    let salted = sign(password, &[salt.as_slice(), &[0, 0, 0, 1]].concat());
    let stored_key = Sha256::digest(sign(&salted, b"Client Key"));
    let server_key = sign(&salted, b"Server Key");
    format!(
        "SCRAM-SHA-256$1:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored_key),
        STANDARD.encode(server_key)
    )
}

fn sign(key: &[u8], message: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length.
    Hmac::<Sha256>::new_from_slice(key).map_or([0; 32], |mut mac| {
        mac.update(message);
        mac.finalize().into_bytes().into()
    })
}
