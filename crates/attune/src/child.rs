//! The programs of the user that commands start: a pager and an editor.

use anyhow::{Context as _, ensure};
use std::{
    io::{ErrorKind, Write as _},
    path::Path,
    process::{Command, Stdio},
};

/// A command line of the user, which the shell splits into words.
#[expect(clippy::disallowed_methods, reason = "starts what the user configured")]
fn shell(line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]);
    command
}

/// Writes the text to the standard input of a program. An error means that the program did not start.
pub fn pipe(program: &str, text: &str) -> anyhow::Result<()> {
    let mut child = shell(&format!("exec {program}"))
        .stdin(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start {program}"))?;
    let written = child
        .stdin
        .take()
        .map_or(Ok(()), |mut input| input.write_all(text.as_bytes()));
    let status = child.wait()?;
    match written {
        // The user left the pager.
        Err(error) if error.kind() == ErrorKind::BrokenPipe && status.success() => Ok(()),
        written => {
            ensure!(status.success(), "{program} failed");
            Ok(written?)
        }
    }
}

/// Opens a file in the editor, and returns when that has ended.
pub fn edit(editor: &str, file: &Path) -> anyhow::Result<()> {
    let status = shell(&format!("{editor} \"$0\""))
        .arg(file)
        .status()
        .with_context(|| format!("failed to start the editor {editor}"))?;
    ensure!(status.success(), "the editor {editor} failed; nothing was changed");
    Ok(())
}
