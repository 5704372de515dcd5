//! Restores a `pg_dump` into a new database, in a single transaction.

use super::{Postgres, account::new_command, error::Error};
use std::{fs::File, path::Path, process::Stdio};

impl Postgres {
    pub async fn restore(&self, dump: &Path) -> Result<(), Error> {
        let unreadable = |source| Error::NotRestored {
            dump: dump.to_owned(),
            detail: format!("failed to read it: {source}"),
        };
        let statements = File::open(dump).map_err(unreadable)?;
        let program = self.cluster.programs.psql();
        let mut command = new_command(&program);
        command
            .args([
                "--no-psqlrc",
                "--quiet",
                "--single-transaction",
                "--set=ON_ERROR_STOP=1",
            ])
            .arg(format!("--dbname={}", self.url()))
            .stdin(statements)
            .stderr(Stdio::piped());
        let ran = tokio::task::spawn_blocking(move || command.output()).await;
        let output = ran
            .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
            .map_err(|source| Error::NotRunnable { program, source })?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::NotRestored {
            dump: dump.to_owned(),
            detail: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}
