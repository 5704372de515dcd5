//! Classifies errors of the database.

use sqlx::Error;
use std::io;

/// A violated constraint.
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

/// The value cannot be stored (`\u0000` in JSON, text that is not UTF-8): an error of the client.
pub fn is_unstorable(error: &Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("22P05" | "22021" | "22P02" | "54000" | "54001"))
}

/// The database is unavailable: the same request may succeed later.
pub fn is_unavailable(error: &Error) -> bool {
    match error {
        Error::Io(_)
        | Error::Tls(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed
        | Error::Protocol(_) => true,
        // Connection exceptions, refused users or passwords, insufficient resources, a shutdown by an operator, or a time
        // limit of a statement, an idle transaction or a lock.
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

/// A time limit of the caller or of the database has expired.
pub fn is_timeout(error: &Error) -> bool {
    match error {
        Error::Io(error) => error.kind() == io::ErrorKind::TimedOut,
        Error::Database(error) => error.code().as_deref() == Some("57014"),
        _ => false,
    }
}
