//! Asks for a secret: in a terminal twice and without an echo, otherwise the first line of standard input.

use anyhow::Context as _;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use secrecy::{ExposeSecret as _, SecretString};
use std::io::{IsTerminal as _, Write as _, stdin};

pub fn secret(question: &str) -> anyhow::Result<SecretString> {
    if !stdin().is_terminal() {
        return line();
    }
    let silence = Silence::begin()?;
    let ask = |question: &str| {
        eprint!("{question}");
        std::io::stderr().flush().ok();
        let answer = line();
        eprintln!();
        answer
    };
    let first = ask(question)?;
    let again = ask("again: ")?;
    drop(silence);
    anyhow::ensure!(
        first.expose_secret() == again.expose_secret(),
        "the two are not the same: nothing was changed"
    );
    Ok(first)
}

fn line() -> anyhow::Result<SecretString> {
    let mut text = String::new();
    stdin().read_line(&mut text).context("standard input cannot be read")?;
    Ok(text.trim_end_matches(['\n', '\r']).into())
}

/// What is typed is not shown until this is dropped.
struct Silence(Termios);

impl Silence {
    fn begin() -> anyhow::Result<Self> {
        let before = tcgetattr(stdin()).context("the terminal cannot be asked")?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(stdin(), SetArg::TCSAFLUSH, &silent).context("the terminal cannot be silenced")?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing anyway.
        let _ = tcsetattr(stdin(), SetArg::TCSAFLUSH, &self.0);
    }
}
