//! A folder that is removed when the process that created it ends, even if that process is killed: a small shell waits for the
//! end of its input, a pipe held by this process, and removes the folder as soon as the server in it has exited.

use super::account::new_command;
use super::error::Error;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

const REMOVE_AFTER_EXIT: &str = r#"
cat >/dev/null
tries=0
while pid=$(head -n 1 "$0/postgres/postmaster.pid" 2>/dev/null) && kill -0 "$pid" && [ "$tries" -lt 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
rm -rf -- "$0" || { sleep 1; rm -rf -- "$0"; }
"#;

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    remover: Child,
}

impl Folder {
    pub fn create() -> Result<Self, Error> {
        // Directly in /tmp: the path of a socket must be short.
        let path = PathBuf::from(format!("/tmp/attune-pg-{:016x}", rand::random::<u64>()));
        let error = |source| Error::Folder {
            folder: path.clone(),
            source,
        };
        DirBuilder::new().mode(0o700).create(&path).map_err(error)?;
        let mut command = new_command("sh");
        command.args(["-c", REMOVE_AFTER_EXIT]).arg(&path).stdin(Stdio::piped());
        let remover = command.spawn().map_err(|source| Error::NotRunnable {
            program: "sh".into(),
            source,
        })?;
        Ok(Self { path, remover })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.remover.stdin.take());
        // The folder is removed even if waiting fails, only later.
        let _ = self.remover.wait();
    }
}
