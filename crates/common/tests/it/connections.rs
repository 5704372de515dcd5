//! Connections of a pool, when the way to the server is lost.

use attune_common::{
    store::{db, within},
    testing::{Database, Proxy, Target, Way, eventually},
};
use std::time::Duration;

/// A cable that is pulled tells nobody: TCP would notice after minutes.
#[tokio::test]
async fn a_statement_that_was_given_up_gives_its_place_back() {
    let database = Database::new().await;
    let server = database.pool.connect_options();
    let target = match server.get_socket() {
        Some(folder) => Target::Unix(folder.join(format!(".s.PGSQL.{}", server.get_port()))),
        None => Target::Tcp(server.get_port()),
    };
    let proxy = Proxy::to(target).await.expect("a port is free");
    let (user, port, name) = (server.get_username(), proxy.port(), server.get_database().unwrap());
    let url = format!("postgres://{user}@127.0.0.1:{port}/{name}");
    let pool = db::pool(&url.into(), "attune-test", 1).expect("the address is well formed");
    db::now(&pool).await.expect("the way is open");
    let look = async || (pool.num_idle() == 1).then_some(());
    eventually("the connection is back in the pool", Duration::from_secs(10), look).await;
    proxy.set(Way::Silent);
    let given_up = within(Duration::from_millis(200), db::now(&pool)).await;
    assert!(given_up.is_err() && pool.size() == 1);
    let look = async || (pool.size() == 0).then_some(());
    eventually("its place is free", Duration::from_secs(10), look).await;
    proxy.set(Way::Open);
    db::now(&pool).await.expect("a new connection");
    pool.close().await;
    database.close().await;
}
