//! Pooled and dedicated connections when the network fails or a caller is cancelled.

use attune_common::{
    postgres::{Postgres, Settings},
    store::{DedicatedConnection, PgConnection, PgPool, Transaction, db, with_timeout},
    testing::{Database, Proxy, Target, Way, eventually},
};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(200);

/// A pool of one connection, over a proxy.
async fn through_proxy(database: &Database) -> (PgPool, Proxy) {
    let server = database.pool.connect_options();
    let target = match server.get_socket() {
        Some(folder) => Target::Unix(folder.join(format!(".s.PGSQL.{}", server.get_port()))),
        None => Target::Tcp(server.get_port()),
    };
    let proxy = Proxy::to(target).await.expect("a port is free");
    let (user, port, name) = (server.get_username(), proxy.port(), server.get_database().unwrap());
    let url = format!("postgres://{user}@127.0.0.1:{port}/{name}");
    let pool = db::pool(&url.into(), "attune-test", 1).expect("the address is well formed");
    db::now(&pool).await.expect("the proxy forwards");
    let is_idle = async || (pool.num_idle() == 1).then_some(());
    eventually("the connection is back in the pool", WITHIN, is_idle).await;
    (pool, proxy)
}

/// TCP notices a pulled cable only after minutes.
#[tokio::test]
async fn a_timed_out_statement_frees_its_connection() {
    let database = Database::new().await;
    let (pool, proxy) = through_proxy(&database).await;
    proxy.set(Way::Silent);
    let timed_out = with_timeout(SHORT, db::now(&pool)).await;
    assert!(timed_out.is_err() && pool.size() == 1);
    let is_closed = async || (pool.size() == 0).then_some(());
    eventually("the connection is closed", WITHIN, is_closed).await;
    proxy.set(Way::Open);
    db::now(&pool).await.expect("a new connection");
    pool.close().await;
    database.close().await;
}

/// Otherwise later statements on the same connection seem to succeed and are rolled back.
#[tokio::test]
async fn a_transaction_dropped_before_it_began_affects_no_other() {
    let database = Database::new().await;
    sqlx::raw_sql("create table written (n integer)")
        .execute(&database.pool)
        .await
        .expect("a table");
    let (pool, proxy) = through_proxy(&database).await;
    proxy.set(Way::Silent);
    let timed_out = tokio::time::timeout(SHORT, Transaction::begin(&pool)).await;
    assert!(timed_out.is_err(), "the server has not answered");
    // Now it receives the query.
    proxy.set(Way::Open);
    sqlx::raw_sql("insert into written values (1)")
        .execute(&pool)
        .await
        .expect("a row");
    let found: i64 = sqlx::query_scalar("select count(*) from written")
        .fetch_one(&database.pool)
        .await
        .expect("a number");
    assert_eq!(found, 1, "a committed row is visible to other sessions");
    pool.close().await;
    database.close().await;
}

/// The server process of a dedicated connection.
async fn server_process(connection: &mut DedicatedConnection, limit: Duration) -> Option<i32> {
    let query = async |connection: &mut PgConnection| {
        sqlx::query_scalar("select pg_backend_pid()")
            .fetch_one(connection)
            .await
    };
    connection.with_timeout(limit, query).await.ok()
}

#[tokio::test]
async fn a_dedicated_connection_is_reused_unless_it_timed_out() {
    let database = Database::new().await;
    let (pool, proxy) = through_proxy(&database).await;
    let mut dedicated = DedicatedConnection::for_pool(&pool);
    let first = server_process(&mut dedicated, WITHIN).await.expect("an answer");
    let refused = async |connection: &mut PgConnection| sqlx::query("select 1 / 0").execute(connection).await;
    assert!(dedicated.with_timeout(WITHIN, refused).await.is_err());
    assert_eq!(
        server_process(&mut dedicated, WITHIN).await,
        Some(first),
        "an error of the database is an answer"
    );
    proxy.set(Way::Silent);
    assert_eq!(server_process(&mut dedicated, SHORT).await, None);
    proxy.set(Way::Open);
    let next = server_process(&mut dedicated, WITHIN)
        .await
        .expect("another connection");
    assert_ne!(next, first, "an answer may still be on its proxy there");
    dedicated.close().await;
    pool.close().await;
    database.close().await;
}

#[tokio::test]
async fn a_dedicated_connection_waits_for_a_starting_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings::new(folder.path());
    let start = async || Postgres::start(&settings, |_| {}).await.expect("PostgreSQL starts");
    let postgres = start().await;
    let pool = db::pool(&postgres.url().into(), "attune-test", 1).expect("the address is well formed");
    let mut dedicated = DedicatedConnection::for_pool(&pool);
    assert!(server_process(&mut dedicated, WITHIN).await.is_some());
    postgres.stop().await;
    // The connection is lost while idle: the first query notices that.
    assert_eq!(server_process(&mut dedicated, SHORT).await, None);
    let (answered, postgres) = tokio::join!(server_process(&mut dedicated, WITHIN), start());
    assert!(answered.is_some(), "the query runs as soon as the server is available");
    dedicated.close().await;
    postgres.stop().await;
}
