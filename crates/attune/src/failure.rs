//! Why a command did not succeed: the exit code, and what a person reads about it.

use attune_client::{Error, Problem};
use attune_common::service::error_chain;
use std::{
    error,
    fmt::{self, Write as _},
    io,
};

/// `attune help exit-codes` describes them.
pub mod code {
    pub const NO: u8 = 1;
    pub const USAGE: u8 = 2;
    pub const NOT_SIGNED_IN: u8 = 3;
    pub const NOT_FOUND: u8 = 4;
    pub const CONFLICT: u8 = 5;
    pub const INVALID: u8 = 6;
    pub const UNREACHABLE: u8 = 7;
    pub const OVERLOADED: u8 = 8;
    pub const DIFFERENT: u8 = 9;
    pub const TIME_LIMIT: u8 = 124;
    pub const INTERRUPTED: u8 = 130;
}

#[derive(Debug)]
pub struct Failure {
    /// The exit code of the program.
    pub code: u8,
    /// Empty if the command has printed everything.
    message: String,
}

impl Failure {
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The answer is no, and the command has printed why.
    pub fn silent(code: u8) -> Self {
        Self::new(code, "")
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(code::USAGE, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl error::Error for Failure {}

/// The exit code of an error, if it determines one.
pub fn code_of(error: &anyhow::Error) -> Option<u8> {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return Some(failure.code);
    }
    match error.downcast_ref::<Error>()? {
        Error::Setup(_) => Some(code::USAGE),
        Error::Unreachable { .. } | Error::Unexpected(_) => Some(code::UNREACHABLE),
        Error::Refused(problem) => Some(code_of_status(problem)),
    }
}

fn code_of_status(problem: &Problem) -> u8 {
    match problem.status {
        401 | 403 => code::NOT_SIGNED_IN,
        404 => code::NOT_FOUND,
        409 | 412 => code::CONFLICT,
        429 => code::OVERLOADED,
        503 if problem.name() == "overloaded" => code::OVERLOADED,
        400..=499 => code::INVALID,
        _ => code::UNREACHABLE,
    }
}

/// Whether the reader of standard output has gone.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// What the program prints on standard error: one line for what failed, one for the reason, the fields, and what to do.
pub fn described(error: &anyhow::Error, verbose: bool) -> Option<String> {
    if error.downcast_ref::<Failure>().is_some_and(|it| it.message.is_empty()) {
        return None;
    }
    let mut text = error_chain(error);
    let Some(client) = error.downcast_ref::<Error>() else {
        return Some(text);
    };
    if let Some(problem) = client.problem() {
        let width = problem
            .errors
            .iter()
            .map(|field| field.path.len())
            .max()
            .unwrap_or_default();
        // Writing to a string does not fail.
        for field in &problem.errors {
            let _ = write!(text, "\n  {:width$}  {}", field.path, field.message);
        }
        for other in &problem.conflicts {
            let _ = write!(text, "\n  {other}");
        }
    }
    if let Some(hint) = hint(client) {
        let _ = write!(text, "\n  {hint}");
    }
    if let Some(problem) = client
        .problem()
        .filter(|problem| verbose && !problem.instance.is_empty())
    {
        let _ = write!(text, "\n  request id {}", problem.instance);
    }
    Some(text)
}

fn hint(error: &Error) -> Option<&'static str> {
    match error {
        Error::Unreachable { .. } => {
            Some("start it with `attune up`, or set --url or ATTUNE_API_URL to the address of the API")
        }
        Error::Refused(problem) => match problem.status {
            401 => Some("sign in with `attune login URL`, or set ATTUNE_API_TOKEN to a token of this server"),
            403 => Some("`attune whoami` shows your role"),
            412 => Some("read the object again, and repeat the change"),
            429 | 503 => Some("the server is busy; repeat the command later"),
            _ => None,
        },
        Error::Setup(_) | Error::Unexpected(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_exit_code() {
        let check = |status: u16, kind: &str, expected: u8| {
            let problem = Problem {
                status,
                kind: format!("urn:attune:problem:{kind}"),
                ..Problem::default()
            };
            let error = anyhow::Error::new(Error::Refused(Box::new(problem))).context("the rule was not saved");
            assert_eq!(code_of(&error), Some(expected), "{status} {kind}");
        };
        check(401, "unauthorized", 3);
        check(403, "forbidden", 3);
        check(404, "not_found", 4);
        check(409, "in_use", 5);
        check(412, "changed", 5);
        check(422, "invalid", 6);
        check(413, "too_large", 6);
        check(429, "rate_limited", 8);
        check(503, "overloaded", 8);
        check(503, "unavailable", 7);
        check(500, "internal", 7);
    }
}
