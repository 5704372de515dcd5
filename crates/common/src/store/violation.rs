//! What the database refused, in terms that a client may be told.

use super::Error;
use std::io;

/// A named constraint said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub kind: ViolationKind,
    pub constraint: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViolationKind {
    Unique,
    ForeignKey,
    Check,
}

pub fn violation(error: &Error) -> Option<Violation> {
    let error = error.as_database_error()?;
    let kind = match error.code().as_deref() {
        Some("23505") => ViolationKind::Unique,
        Some("23503") => ViolationKind::ForeignKey,
        Some("23514") => ViolationKind::Check,
        _ => return None,
    };
    Some(Violation {
        kind,
        constraint: error.constraint().unwrap_or_default().to_owned(),
    })
}

/// The value itself cannot be stored (`\u0000` in JSON, text that is not UTF-8): the client's fault, not the database's.
pub fn is_unstorable(error: &Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("22P05" | "22021" | "22P02" | "54000" | "54001"))
}

/// The database cannot be asked now: the same request may succeed later.
pub fn is_unavailable(error: &Error) -> bool {
    match error {
        Error::Io(_)
        | Error::Tls(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed
        | Error::Protocol(_) => true,
        // Connection exceptions, a name or a password that is not let in, out of resources, shut down by an operator,
        // cancelled by a time limit: of a statement, of a transaction that idles, of a wait for a lock.
        Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            ["08", "28", "53", "57", "58"]
                .iter()
                .any(|class| code.starts_with(class))
                || ["3D000", "25P03", "55P03"].contains(&&*code)
        }
        _ => false,
    }
}

/// It took too long, for whoever asked or by a time limit of the database: that one statement, or everything.
pub fn is_timeout(error: &Error) -> bool {
    match error {
        Error::Io(error) => error.kind() == io::ErrorKind::TimedOut,
        Error::Database(error) => error.code().as_deref() == Some("57014"),
        _ => false,
    }
}
