//! Reads a secret: from a terminal, twice and without an echo, otherwise from the first line of standard input.

use anyhow::Context as _;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use secrecy::{ExposeSecret as _, SecretString};
use std::io::{IsTerminal as _, Read as _, Write as _, stdin};

pub fn secret(text: &str) -> anyhow::Result<SecretString> {
    if !stdin().is_terminal() {
        return line();
    }
    let silence = Silence::begin()?;
    let prompt = |text: &str| {
        eprint!("{text}");
        std::io::stderr().flush().ok();
        let answer = line();
        eprintln!();
        answer
    };
    let first = prompt(text)?;
    let again = prompt("again: ")?;
    drop(silence);
    anyhow::ensure!(
        first.expose_secret() == again.expose_secret(),
        "the two inputs differ; nothing was changed"
    );
    Ok(first)
}

/// Reads a secret once: from a terminal without an echo, otherwise a line of standard input.
pub fn one(text: &str) -> anyhow::Result<SecretString> {
    if !stdin().is_terminal() {
        return line();
    }
    let silence = Silence::begin()?;
    eprint!("{text}");
    std::io::stderr().flush().ok();
    let answer = line();
    eprintln!();
    drop(silence);
    answer
}

/// A secret of any number of lines: from a terminal one line, otherwise all of standard input without its last line break.
pub fn whole(text: &str) -> anyhow::Result<SecretString> {
    if stdin().is_terminal() {
        return secret(text);
    }
    let mut read = String::new();
    stdin()
        .read_to_string(&mut read)
        .context("failed to read standard input")?;
    let kept = read.strip_suffix('\n').unwrap_or(&read);
    Ok(kept.strip_suffix('\r').unwrap_or(kept).into())
}

fn line() -> anyhow::Result<SecretString> {
    let mut text = String::new();
    stdin().read_line(&mut text).context("failed to read standard input")?;
    Ok(text.trim_end_matches(['\n', '\r']).into())
}

/// Disables the echo of the terminal until it is dropped.
struct Silence(Termios);

impl Silence {
    fn begin() -> anyhow::Result<Self> {
        let before = tcgetattr(stdin()).context("failed to read the settings of the terminal")?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(stdin(), SetArg::TCSAFLUSH, &silent).context("failed to disable the echo of the terminal")?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A closed terminal needs no echo.
        let _ = tcsetattr(stdin(), SetArg::TCSAFLUSH, &self.0);
    }
}
