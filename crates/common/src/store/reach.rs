//! Why a database is unreachable, for the person who configured it: the address without the password, the reason, and what to
//! do.

use super::timeout::with_timeout;
use sqlx::{
    Connection as _, Error, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgDatabaseError},
};
use std::time::Duration;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
const ADDRESS: &str = "the address (database.url, ATTUNE__DATABASE__URL or --database-url)";

/// Connects once. Waits for a starting server as long as the pool does.
pub async fn reach(pool: &PgPool) -> anyhow::Result<()> {
    let options = pool.connect_options();
    let error = match pool.acquire().await {
        Ok(_) => return Ok(()),
        // The pool retried and does not report the reason.
        Err(Error::PoolTimedOut) => match with_timeout(ANSWER_TIMEOUT, PgConnection::connect_with(&options)).await {
            Ok(connection) => return Ok(connection.close().await?),
            Err(error) => error,
        },
        Err(error) => error,
    };
    anyhow::bail!(explain(&options, &error))
}

fn explain(options: &PgConnectOptions, error: &Error) -> String {
    let place = match options.get_socket() {
        Some(folder) => folder.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    let Some(refused) = error.as_database_error() else {
        let reason = match error {
            Error::Io(error) => error.to_string(),
            error => error.to_string(),
        };
        return format!(
            "failed to connect to the database at {place}: {reason}. Check that PostgreSQL is running there, and {ADDRESS}"
        );
    };
    let reason = refused.message();
    match refused.downcast_ref::<PgDatabaseError>().code() {
        "28P01" | "28000" => {
            format!("the database at {place} refused the connection: {reason}. Check user and password in {ADDRESS}")
        }
        "3D000" => {
            format!(
                "the server at {place} refused the connection: {reason}. Create the database (`createdb`), or correct {ADDRESS}"
            )
        }
        _ => format!("the database at {place} refused the connection: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr as _;

    #[test]
    fn the_message_contains_the_address_and_no_password() {
        let check = |url: &str, place: &str| {
            let options = PgConnectOptions::from_str(url).expect("an address");
            let error = Error::Io(std::io::ErrorKind::ConnectionRefused.into());
            let message = explain(&options, &error);
            let expected = format!("failed to connect to the database at {place}: connection refused. Check ");
            assert!(message.starts_with(&expected), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        };
        check("postgres://ann:hunter2@example.org:5999/attune", "example.org:5999");
        check("postgres://ann:hunter2@example.org/attune", "example.org:5432");
        check(
            "postgres:///attune?host=/run/somewhere&password=hunter2",
            "/run/somewhere",
        );
    }
}
