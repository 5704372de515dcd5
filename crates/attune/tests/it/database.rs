//! PostgreSQL is killed, frozen, cut off, out of disk space and out of connections under load: requests are answered
//! correctly and in time, nothing is lost, no running work is rescued, and afterwards everything recovers by itself.

use super::support::{
    Api, definitions,
    deployment::Deployment,
    load::Load,
    services::{LEASE, Services},
    small_disk::{self, Ballast},
    tree,
};
use attune_common::testing::{PostgresNode, Way, eventually, rabbitmq};
use reqwest::Method;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use std::time::{Duration, Instant};

const SOME: i64 = 20;
/// The maximum duration of a request in every state of the database, and how soon everything recovers by itself.
const ANSWERED: Duration = Duration::from_secs(10);
const RECOVERY: Duration = Duration::from_secs(10);
/// Extra time on a machine that is busy with tests.
const ALLOWANCE: Duration = Duration::from_secs(5);

/// The database is unavailable: a new request is refused in time, with the advice to retry.
async fn refuses(api: &Api) {
    let began = Instant::now();
    let body = json!({"trigger_ref": "load.none"});
    let request = api.request(Method::POST, "/api/v1/events").json(&body);
    let answer = request.send().await.expect("there is an answer");
    let took = began.elapsed();
    assert_eq!(answer.status(), 503, "after {took:?}");
    assert!(answer.headers().contains_key("retry-after"), "it has Retry-After");
    assert!(took < ANSWERED + ALLOWANCE, "refused after {took:?}");
}

/// The same, but the first connections may still work.
async fn soon_refuses(api: &Api) {
    let refused = async || {
        let body = json!({"trigger_ref": "load.none"});
        let answer = api.request(Method::POST, "/api/v1/events").json(&body).send().await;
        (answer.expect("there is an answer").status() == 503).then_some(())
    };
    eventually("new work is refused", ANSWERED + ALLOWANCE, refused).await;
    refuses(api).await;
}

/// Waits until work continues. Returns the time since `away`.
async fn recovers_unaided(load: &Load, away: Instant) -> Duration {
    let since = Instant::now();
    load.wait_for_progress(SOME).await;
    let took = since.elapsed();
    assert!(took < RECOVERY + ALLOWANCE, "work continued only after {took:?}");
    away.elapsed()
}

#[tokio::test]
async fn postgres_is_killed_and_frozen_under_load() {
    let broker = rabbitmq::shared().await.expect("RabbitMQ is there");
    let mut deployment = Deployment::on(&broker.url).await;
    let load = Load::start(&deployment.services).await;
    load.wait_for_progress(SOME).await;
    let held = deployment.services.api.run("core.sleep", json!({"seconds": 2})).await;
    deployment.services.api.execution_is(&held, "running", ANSWERED).await;

    let began = Instant::now();
    deployment.postgres.kill().await;
    soon_refuses(&deployment.services.api).await;
    deployment.postgres.start().await;
    let killed = recovers_unaided(&load, began).await;

    let frozen = deployment.postgres.freeze().expect("it can be frozen");
    let began = Instant::now();
    refuses(&deployment.services.api).await;
    let failing = async || {
        let answer = reqwest::get(format!("{}/health/ready", deployment.services.api.url))
            .await
            .ok()?;
        (answer.status() == 503).then_some(())
    };
    eventually("health is failing", ANSWERED, failing).await;
    let twice = async || (began.elapsed() > 2 * LEASE).then_some(());
    eventually("it was frozen for two leases", ANSWERED + ALLOWANCE, twice).await;
    drop(frozen);
    let frozen = recovers_unaided(&load, began).await;

    let ended = deployment.services.api.execution_is(&held, "succeeded", ANSWERED).await;
    assert_eq!(ended["attempt"], 1, "it was not rescued meanwhile: {ended}");
    load.check_after(0, killed + frozen).await;
    deployment.services.stop().await;
}

#[tokio::test]
async fn postgres_is_cut_off_and_out_of_connections_under_load() {
    let broker = rabbitmq::shared().await.expect("RabbitMQ is there");
    let deployment = Deployment::on(&broker.url).await;
    let load = Load::start(&deployment.services).await;
    load.wait_for_progress(SOME).await;
    let (once, again) = start_two(&deployment.services).await;

    deployment.ways(Way::Silent);
    let began = Instant::now();
    let gone = async || tree::with_command("sleep 3000.625").is_empty().then_some(());
    eventually(
        "an action that may start elsewhere dies before its lease expires",
        LEASE,
        gone,
    )
    .await;
    refuses(&deployment.services.api).await;
    let ended = async || deployment.services.folder.path().join("ended").exists().then_some(());
    eventually(
        "an action that may not start again runs to its end",
        4 * LEASE + ALLOWANCE,
        ended,
    )
    .await;
    assert!(began.elapsed() > 2 * LEASE, "it was cut for more than two leases");
    // Connections do not recover from such a cut.
    deployment.ways(Way::Closed);
    deployment.ways(Way::Open);
    let cut = recovers_unaided(&load, began).await;
    let accepted = deployment.services.api.execution_is(&once, "succeeded", ANSWERED).await;
    assert_eq!(accepted["attempt"], 1, "its result was accepted: {accepted}");
    second_attempt(&deployment.services.api, &again).await;

    let began = Instant::now();
    let others = take_all_connections(&deployment).await;
    refuses(&deployment.services.api).await;
    drop(others);
    let crowded = recovers_unaided(&load, began).await;
    load.check_after(0, cut + crowded).await;
    deployment.services.stop().await;
}

/// One action that may start once and ends after two leases, and one that may start twice and never ends.
async fn start_two(services: &Services) -> (String, String) {
    definitions::pack(&services.api).await;
    let ends = format!(
        ": > \"$folder/began\"; sleep {}; : > \"$folder/ended\"",
        3 * LEASE.as_secs()
    );
    definitions::action(&services.api, "once", &ends, json!({})).await;
    let script = r#"[ "$ATTUNE_ATTEMPT" = 2 ] || exec sleep 3000.625"#;
    definitions::action(&services.api, "again", script, json!({"on_lost": "requeue"})).await;
    let again = services.api.run("test.again", json!({})).await;
    let folder = json!({"folder": services.folder.path().to_str()});
    let once = services.api.run("test.once", folder).await;
    // An execution is `running` as soon as it is claimed, possibly before its process exists.
    let began = services.folder.path().join("began");
    let both = async || (began.exists() && !tree::with_command("sleep 3000.625").is_empty()).then_some(());
    eventually("both have begun", ANSWERED, both).await;
    (once, again)
}

async fn second_attempt(api: &Api, id: &str) {
    let ended = api.execution_is(id, "succeeded", 3 * ANSWERED).await;
    assert_eq!(ended["attempt"], 2, "it was started once more: {ended}");
}

/// Takes all connections of the server, including those of the services.
async fn take_all_connections(deployment: &Deployment) -> Vec<PgConnection> {
    let options = deployment.postgres.postgres().options().application_name("attune-test");
    let mut taken = Vec::new();
    let url = &deployment.services.api.url;
    let all = async || {
        while let Ok(connection) = PgConnection::connect_with(&options).await {
            taken.push(connection);
        }
        let first = taken.first_mut().expect("a connection");
        // A terminated client reconnects at once and must find no free connection.
        let left: i64 = sqlx::query_scalar(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity
             where backend_type = 'client backend' and application_name <> 'attune-test'",
        )
        .fetch_one(first)
        .await
        .expect("a user may end its own sessions");
        let answer = reqwest::get(format!("{url}/health/ready")).await.ok()?;
        (left == 0 && answer.status() == 503).then_some(())
    };
    eventually("the services have no connection left", 2 * ANSWERED, all).await;
    taken
}

#[tokio::test]
async fn a_full_disk_refuses_and_loses_nothing() {
    let test = "database::a_full_disk_refuses_and_loses_nothing";
    let Some(disk) = small_disk::or_run_again(test).await else {
        return;
    };
    let broker = rabbitmq::shared().await.expect("RabbitMQ is there");
    let mut deployment = Deployment::in_folder(&disk.join("data"), &broker.url).await;
    let load = Load::start(&deployment.services).await;
    load.wait_for_progress(SOME).await;

    let began = Instant::now();
    let ballast = Ballast::bytes(&disk);
    // Fills the current segment of the write-ahead log.
    let sql = "create table if not exists filling (text text); insert into filling select repeat(md5(n::text), 100) from generate_series(1, 20000) n";
    let pool = deployment.services.database.pool.clone();
    let refused = async || sqlx::raw_sql(sql).execute(&pool).await.is_err().then_some(());
    eventually("PostgreSQL is out of disk", ANSWERED + ALLOWANCE, refused).await;
    soon_refuses_or_answers(&deployment.services.api).await;
    drop(ballast);
    start_if_it_ended(&mut deployment.postgres).await;
    let full = recovers_unaided(&load, began).await;
    load.check_after(0, full).await;
    deployment.services.stop().await;
}

/// A small event may still fit on a full disk; everything else is refused with a proper error.
async fn soon_refuses_or_answers(api: &Api) {
    let refused = async || {
        let body = json!({"trigger_ref": "load.none", "payload": "x".repeat(100_000)});
        let (status, answer) = Api::send(api.request(Method::POST, "/api/v1/events").json(&body))
            .await
            .ok()?;
        assert!(matches!(status.as_u16(), 422 | 503), "{status}: {answer}");
        Some(())
    };
    eventually("there is a proper answer", ANSWERED + ALLOWANCE, refused).await;
}

/// Restarts PostgreSQL if it ended because its log did not fit on the disk.
async fn start_if_it_ended(node: &mut PostgresNode) {
    let answers = async |node: &PostgresNode| {
        let options = node.postgres().options();
        let connected = tokio::time::timeout(Duration::from_secs(1), PgConnection::connect_with(&options));
        matches!(connected.await, Ok(Ok(_)))
    };
    if !answers(node).await {
        node.stop().await;
        node.start().await;
    }
}
