//! Results while the database is away.

use super::UNTIL_GO;
use crate::support::{Server, Site};
use attune_common::{
    store::{
        execution_queue::AttemptKey,
        rescue::{self, Rescue, Scope},
    },
    testing::Database,
};
use attune_domain::{ExecutionId, execution::ExecutionStatus};
use nix::sys::signal::Signal;
use std::{fs, time::Duration};

async fn running(server: &Server) -> (Site, ExecutionId) {
    let site = Site::on(Database::on(&server.postgres).await).await;
    let id = site.run("wait", UNTIL_GO, "", 1).await;
    (site, id)
}

#[tokio::test]
async fn a_result_waits_on_disk_and_is_delivered_when_the_database_is_back() {
    let server = Server::start().await;
    let (mut site, id) = running(&server).await;
    let worker = site.worker();
    site.read("pid").await;
    assert_eq!(site.spooled(), 0);
    let stopped = server.stop().await;
    site.make("go");
    site.spool_holds(1).await;
    let server = stopped.start().await;
    site.reconnect(&server).await;
    site.becomes(id, "status = 'succeeded' and attempt = 1").await;
    site.spool_holds(0).await;
    drop(worker);
}

#[tokio::test]
async fn a_worker_that_starts_delivers_what_its_predecessor_left() {
    let server = Server::start().await;
    let (mut site, id) = running(&server).await;
    let late = site
        .run("late", r#"until [ -e "$D/go" ]; do sleep 0.05; done"#, "", 1)
        .await;
    let worker = site.worker();
    site.read("pid").await;
    site.becomes(late, "status = 'running'").await;
    let stopped = server.stop().await;
    site.make("go");
    site.spool_holds(2).await;
    drop(worker);
    // A file of another database, and one that somebody damaged.
    let other = uuid::Uuid::now_v7();
    let text = format!(
        r#"{{"end": {{"held": {{"id": "{other}", "attempt": 1}}, "status": "succeeded", "result": null, "error": null, "exit_code": 0}}, "again": null}}"#
    );
    fs::write(site.file("spool").join(format!("{other}-1.json")), text).unwrap();
    fs::write(site.file("spool/broken.json"), "{").unwrap();
    let server = stopped.start().await;
    site.reconnect(&server).await;
    // One of them was given up meanwhile.
    let rescue = Rescue {
        held: AttemptKey { id: late, attempt: 1 },
        to: ExecutionStatus::Lost,
        reason: "gone".to_owned(),
    };
    site.database
        .execute("update execution_queue set lease_until = '-infinity'")
        .await;
    let found = rescue::find(&site.database.pool, Scope::Dead, Duration::ZERO, Duration::ZERO, 10)
        .await
        .unwrap();
    assert_eq!(found.len(), 2);
    let rescued = rescue::resolve(&site.database.pool, &[rescue], Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(rescued, [late]);
    let _worker = site.worker();
    site.becomes(id, "status = 'succeeded' and result ->> 'exit_code' = '0'")
        .await;
    // The one that nobody knows stays.
    site.spool_holds(1).await;
    assert!(site.is(late, "status = 'lost'").await);
    let kept = "select count(*) from execution_attempt where outcome = 'lost' and late_outcome = 'succeeded'";
    assert_eq!(site.database.count(kept).await, 1);
    assert!(site.file("spool/broken.unreadable").exists());
    drop(server);
}

#[tokio::test]
async fn a_frozen_database_is_not_waited_for() {
    let server = Server::start().await;
    let (site, id) = running(&server).await;
    let worker = site.worker();
    site.read("pid").await;
    server.signal(Signal::SIGSTOP);
    site.make("go");
    site.spool_holds(1).await;
    // Neither side hangs: the worker ends although nobody answers.
    worker.signal(Signal::SIGTERM);
    worker.ends_within(Duration::from_secs(20)).await;
    server.signal(Signal::SIGCONT);
    let _worker = site.worker();
    site.becomes(id, "status = 'succeeded' and attempt = 1").await;
    site.spool_holds(0).await;
}

#[tokio::test]
async fn a_disk_that_takes_nothing_loses_nothing() {
    let server = Server::start().await;
    let (mut site, id) = running(&server).await;
    let worker = site.worker();
    site.read("pid").await;
    fs::remove_dir(site.file("spool")).unwrap();
    site.make("spool");
    let stopped = server.stop().await;
    site.make("go");
    worker.says("results cannot be put on disk").await;
    let server = stopped.start().await;
    site.reconnect(&server).await;
    site.becomes(id, "status = 'succeeded' and attempt = 1").await;
}
