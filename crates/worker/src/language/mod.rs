//! Languages whose actions are functions: Python and JavaScript.
//!
//! The worker passes a small program of its own to the interpreter. It loads the action, calls its function `run` with the
//! parameters, and writes what that returns to descriptor 3.

use crate::runner::{Command, Ended, Outcome, Template};
use attune_common::hex;
use attune_domain::definition::RuntimeKind;
use sha2::{Digest as _, Sha256};

const BOOTSTRAP_PYTHON: &str = include_str!("bootstrap.py");
const HELPER_PYTHON: &str = include_str!("attune.py");
const BOOTSTRAP_NODE: &str = include_str!("bootstrap.mjs");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Python,
    Node,
}

impl Language {
    pub fn of(kind: RuntimeKind) -> Option<Self> {
        match kind {
            RuntimeKind::Python => Some(Self::Python),
            RuntimeKind::Node => Some(Self::Node),
            RuntimeKind::Process | RuntimeKind::Native => None,
        }
    }

    /// The program and the arguments in front of an action's source or file. `command` is the runtime's own, if it has one. `entry` is
    /// `text` or `file`.
    pub fn interpreter(self, command: &[String], entry: &str) -> Vec<String> {
        let (default, arguments): (_, &[&str]) = match self {
            Self::Python => ("python3", &["-I", "-c", BOOTSTRAP_PYTHON, HELPER_PYTHON]),
            Self::Node => (
                "node",
                &["--enable-source-maps", "--input-type=module", "-e", BOOTSTRAP_NODE],
            ),
        };
        let mut all = command.to_vec();
        if all.is_empty() {
            all.push(default.to_owned());
        }
        let arguments = arguments.iter().chain([&entry]);
        all.extend(arguments.map(|argument| (*argument).to_owned()));
        all
    }

    /// A process that loads the program once for many runs, if the language permits that.
    pub fn template(self, command: &Command) -> Option<Template> {
        let Command::Script { interpreter, text } = command else {
            return None;
        };
        let (program, arguments) = interpreter.split_first().filter(|_| self == Self::Python)?;
        let mut arguments = arguments.to_vec();
        arguments.extend([text.clone(), "serve".to_owned()]);
        let mut hash = Sha256::new();
        for part in [program].into_iter().chain(&arguments) {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        Some(Template {
            key: hex::encode(&hash.finalize()),
            command: Command::Program {
                program: program.clone(),
                arguments,
            },
        })
    }

    /// Replaces the error of a failed attempt with the exception, which is more useful than the exit code.
    pub fn explain(self, ended: &mut Ended) {
        if ended.outcome != Outcome::Failed || ended.exit_code != Some(1) {
            return;
        }
        let mut lines = ended.stderr.lines().map(str::trim_end).filter(|line| !line.is_empty());
        let exception = match self {
            Self::Python => lines.next_back(),
            // Node shows the message above the stack.
            Self::Node => lines.find(|line| {
                let name = line.split(':').next().unwrap_or_default();
                name.ends_with("Error") && !name.contains(char::is_whitespace)
            }),
        };
        if let Some(exception) = exception {
            ended.error = Some(exception.chars().take(EXCEPTION_CHARS_MAX).collect());
        }
    }
}

const EXCEPTION_CHARS_MAX: usize = 1000;
