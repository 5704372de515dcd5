//! Why a database cannot be used, for whoever gave its address: where, the reason, and what to do. No password is told.

use super::{Error, PgPool, with_timeout};
use sqlx::{
    Connection as _, PgConnection,
    postgres::{PgConnectOptions, PgDatabaseError},
};
use std::time::Duration;

const ANSWERED_WITHIN: Duration = Duration::from_secs(2);
const ADDRESS: &str = "the address (database.url, ATTUNE__DATABASE__URL or --database-url)";

/// Connects. A server that is just starting is waited for as long as the pool waits.
pub async fn reach(pool: &PgPool) -> anyhow::Result<()> {
    let options = pool.connect_options();
    let error = match pool.acquire().await {
        Ok(_) => return Ok(()),
        // It tried again and again, and does not tell what was wrong.
        Err(Error::PoolTimedOut) => match with_timeout(ANSWERED_WITHIN, PgConnection::connect_with(&options)).await {
            Ok(connection) => return Ok(connection.close().await?),
            Err(error) => error,
        },
        Err(error) => error,
    };
    anyhow::bail!(told(&options, &error))
}

fn told(options: &PgConnectOptions, error: &Error) -> String {
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
            "the database at {place} cannot be reached: {reason}. Is PostgreSQL running there, and is {ADDRESS} right?"
        );
    };
    let reason = refused.message();
    match refused.downcast_ref::<PgDatabaseError>().code() {
        "28P01" | "28000" => {
            format!("the database at {place} refuses: {reason}. Give a user and a password that it knows in {ADDRESS}")
        }
        "3D000" => {
            format!("the server at {place} refuses: {reason}. Create it (`createdb`), or name another in {ADDRESS}")
        }
        _ => format!("the database at {place} refuses: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr as _;

    #[test]
    fn the_place_is_told_and_no_password() {
        let check = |url: &str, place: &str| {
            let options = PgConnectOptions::from_str(url).expect("an address");
            let error = Error::Io(std::io::ErrorKind::ConnectionRefused.into());
            let said = told(&options, &error);
            let expected = format!("the database at {place} cannot be reached: connection refused. Is ");
            assert!(said.starts_with(&expected), "{said}");
            assert!(!said.contains("hunter2"), "{said}");
        };
        check("postgres://ann:hunter2@example.org:5999/attune", "example.org:5999");
        check("postgres://ann:hunter2@example.org/attune", "example.org:5432");
        check(
            "postgres:///attune?host=/run/somewhere&password=hunter2",
            "/run/somewhere",
        );
    }
}
