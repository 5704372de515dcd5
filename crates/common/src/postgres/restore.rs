//! Restores a `pg_dump` into a new database, in a single transaction.

use super::{Postgres, account::new_command, error::Error};
use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
    process::Stdio,
};

/// The last line of a plain dump is near its end.
const TAIL_BYTES: i64 = 4096;
const COMPLETE: &str = "-- PostgreSQL database dump complete";

/// psql accepts a truncated dump, so the last statement checks what was restored.
const NOT_EMPTY: &str = "do $$ begin
    if to_regclass('public._sqlx_migrations') is null
        or not exists (select from pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace) then
        raise exception 'it does not hold a database of Attune';
    end if;
    if not exists (select from public._sqlx_migrations) then
        raise exception 'it holds tables without rows: dump the data, too (without --schema-only)';
    end if;
end $$";

impl Postgres {
    /// Fails for a file that is not a complete dump in the plain format of `pg_dump`.
    pub async fn restore(&self, dump: &Path) -> Result<(), Error> {
        let not_restored = |detail: String| Error::NotRestored {
            dump: dump.to_owned(),
            detail,
        };
        let statements = open(dump).map_err(not_restored)?;
        let program = self.cluster.programs.psql();
        let mut command = new_command(&program);
        command
            .args([
                "--no-psqlrc",
                "--quiet",
                "--single-transaction",
                "--set=ON_ERROR_STOP=1",
                "--file=-",
            ])
            .arg(format!("--command={NOT_EMPTY}"))
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
        Err(not_restored(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

/// Opens the dump. The error describes why it cannot be restored.
fn open(dump: &Path) -> Result<File, String> {
    let unreadable = |error: io::Error| format!("it cannot be read: {error}");
    let mut file = File::open(dump).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let mut start = Vec::new();
    file.by_ref().take(5).read_to_end(&mut start).map_err(unreadable)?;
    if start.starts_with(b"PGDMP") {
        return Err("it is in pg_dump's custom format: write it in the plain one, `pg_dump URL > FILE`".to_owned());
    }
    if start.starts_with(&[0x1f, 0x8b]) || start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) || start.starts_with(b"BZh") {
        return Err("it is compressed: decompress it first".to_owned());
    }
    let tail = TAIL_BYTES.min(i64::try_from(length).unwrap_or(i64::MAX));
    let mut end = Vec::new();
    file.seek(SeekFrom::End(-tail)).map_err(unreadable)?;
    file.read_to_end(&mut end).map_err(unreadable)?;
    if !String::from_utf8_lossy(&end).lines().any(|line| line == COMPLETE) {
        return Err(format!(
            "it is incomplete: it does not end with the line {COMPLETE:?} that pg_dump writes last"
        ));
    }
    file.rewind().map_err(unreadable)?;
    Ok(file)
}
