//! Every failpoint of `attune_common::failpoint` with a kill, and with a pause longer than all timeouts, in real services
//! under load. The failpoints of a service are swept in order: one process per kill, then one process with all pauses.
//! Afterwards all work has ended, every invariant holds, and every failpoint was really hit.
//!
//! Leases are 1 s here. A pause is twice the time until work is rescued (the lease and the delay of the reaper), so a
//! paused process wakes up after another one has taken over.

use super::support::{
    Api, Process,
    effects::{Effects, MARK},
    facts,
    load::{Load, insist},
    services::{STOP, Services},
};
use attune_common::{failpoint, store::PgPool, testing::eventually};
use serde_json::json;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const PAUSE_MS: u32 = 4_000;
const HIT: Duration = Duration::from_secs(30);
/// An executor's lease, the promised time after it (5 s), and extra time on a machine that is busy with tests.
const CLAIMED_AGAIN: Duration = Duration::from_secs(1 + 5 + 2);
/// How often the scenario of a failpoint is repeated, and how long each repetition waits for the hit.
const TRIES: usize = 6;
const AGAIN: Duration = Duration::from_secs(15);
const SOME: i64 = 10;
const TIMERS: i64 = 2;
const PACE: Duration = Duration::from_millis(500);
const SETTINGS: [(&str, &str); 3] = [
    ("ATTUNE__SENSOR__FILE_ROOTS", "/"),
    ("ATTUNE__WORKER__LEASE_SECONDS", "1"),
    ("ATTUNE__EXECUTOR__LEASE_SECONDS", "1"),
];

/// A failpoint, and the scenario that reaches it.
pub struct Point {
    pub name: &'static str,
    needs: Needs,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// The load reaches it.
    Load,
    /// A timer's definition changes.
    Edit,
    /// A file arrives in a watched directory.
    File,
    /// A worker is lost while actions run.
    LostWorker,
    /// A result whose delivery takes long, because only then the spool is used.
    SlowResult,
}

const fn at(name: &'static str) -> Point {
    Point {
        name,
        needs: Needs::Load,
    }
}

const fn with(name: &'static str, needs: Needs) -> Point {
    Point { name, needs }
}

const SENSOR: [Point; 6] = [
    at("t1.before_commit"),
    at("t1.after_commit"),
    with("t1.plan.before_commit", Needs::Edit),
    with("t1.plan.after_commit", Needs::Edit),
    with("files.before_commit", Needs::File),
    with("files.after_commit", Needs::File),
];
/// Of events that are committed with their decisions, in one process: `joint.rs` goes through them.
pub const JOINT: [Point; 3] = [at("joint.offered"), at("joint.before_commit"), at("joint.after_commit")];
const API: [Point; 4] = [
    at("ingest.before_commit"),
    at("ingest.after_commit"),
    at("event.before_commit"),
    at("event.after_commit"),
];
const EXECUTOR: [Point; 7] = [
    at("t2.claimed"),
    at("t2.before_commit"),
    at("t2.after_commit"),
    at("t2.gated.before_commit"),
    with("t5.selected", Needs::LostWorker),
    with("t5.after_commit", Needs::LostWorker),
    at("bus.publish"),
];
const WORKER: [Point; 10] = [
    at("t3.before_claim"),
    at("t3.after_commit"),
    at("run.before_fork"),
    at("run.after_exit"),
    at("t4.before_commit"),
    at("t4.after_commit"),
    at("t4.retry.before_commit"),
    at("t4.retry.after_commit"),
    with("spool.before_fsync", Needs::SlowResult),
    with("spool.after_fsync", Needs::SlowResult),
];

/// Overlapping attempts of `more.line`. A lost attempt ended when it was rescued.
const TOGETHER: &str = "
    with ran as (
        select id, attempt, started_at, finished_at as ended_at from execution where action_ref = 'more.line'
        union all
        select a.execution_id, a.attempt, a.started_at, a.ended_at
        from execution_attempt a join execution e on e.id = a.execution_id and a.attempt < e.attempt
        where e.action_ref = 'more.line'
    )
    select jsonb_agg(jsonb_build_array(a, b)) from ran a join ran b
    on (a.started_at, a.id) < (b.started_at, b.id) and a.ended_at > b.started_at";

#[test]
fn every_failpoint_is_swept() {
    let declared = BTreeSet::from(failpoint::ALL);
    let all = [&SENSOR[..], &API, &JOINT, &EXECUTOR, &WORKER];
    let swept: Vec<&str> = all.into_iter().flatten().map(|point| point.name).collect();
    assert_eq!(declared.len(), failpoint::ALL.len(), "failpoint::ALL has a duplicate");
    assert_eq!(swept.len(), declared.len(), "each failpoint is swept once");
    assert_eq!(BTreeSet::from_iter(swept), declared);
}

#[tokio::test]
async fn a_sensor_is_stopped_at_each_point() {
    sweep("sensor-1", &SENSOR).await;
}

#[tokio::test]
async fn an_api_is_stopped_at_each_point() {
    sweep("api-1", &API).await;
}

#[tokio::test]
async fn an_executor_is_stopped_at_each_point() {
    sweep("executor-1", &EXECUTOR).await;
}

#[tokio::test]
async fn a_worker_is_stopped_at_each_point() {
    sweep("worker-1", &WORKER).await;
}

async fn sweep(name: &str, points: &[Point]) {
    let mut services = Services::with(&SETTINGS).await;
    let load = Load::of(&services, TIMERS, PACE).await;
    let more = More::start(&services).await;
    load.wait_for_progress(SOME).await;
    services.take(name).kill().await;
    for point in points {
        let mut process = services.launch_armed(name, &armed(point, "abort"));
        passes(&mut services, &process, point, "abort").await;
        assert_eq!(process.ended(STOP).await, 137, "it is killed at {}", point.name);
        if name == "executor-1" {
            catch_up(&mut services, point).await;
        }
    }
    services.launch(name).await;
    load.wait_for_progress(SOME).await;

    services.take(name).kill().await;
    let pause = format!("pause:{PAUSE_MS}");
    let all: Vec<String> = points.iter().map(|point| armed(point, &pause)).collect();
    let process = services.launch_armed(name, &all.join(","));
    for point in points {
        passes(&mut services, &process, point, "pause").await;
    }
    services.keep(name, process);
    load.wait_for_progress(SOME).await;
    more.check(load).await;
    services.stop().await;
}

/// Events that a killed executor had claimed are decided by the next one after their leases expire. An event that was
/// claimed during several kills is suspected to cause them, and suspects are decided slowly, one by one.
async fn catch_up(services: &mut Services, point: &Point) {
    let pool = services.database.pool.clone();
    let claimed = "select coalesce(jsonb_agg(event_id), '[]') from event_queue where lease_until is not null";
    let claimed = facts::value(&pool, claimed).await;
    assert!(
        point.name != "t2.claimed" || claimed != json!([]),
        "it is killed with claimed events"
    );
    services.launch("executor-1").await;
    let decided = format!("not exists (select from event_queue where '{claimed}'::jsonb ? event_id::text)");
    facts::holds(&pool, "the claimed events are decided", CLAIMED_AGAIN, &decided).await;
    services.take("executor-1").terminate(STOP).await;
}

/// The setting that arms one failpoint.
fn armed(point: &Point, does: &str) -> String {
    match point.needs {
        // Reporting a result is delayed for longer than the worker waits before it spools results.
        Needs::SlowResult if does == "abort" => format!("{}=abort,t4.before_commit=pause:{PAUSE_MS}", point.name),
        _ => format!("{}={does}", point.name),
    }
}

/// Repeats the scenario of a failpoint until it is hit, because work that should be lost may have ended just before.
async fn passes(services: &mut Services, process: &Process, point: &Point, does: &str) {
    let marker = format!("failpoint {}={does}\n", point.name);
    for _ in 0..TRIES {
        // Another scenario may have hit it already.
        if process.printed().contains(&marker) {
            return;
        }
        provoke(services, point.needs).await;
        let hit = eventually("it is hit", HIT, async || {
            process.printed().contains(&marker).then_some(())
        });
        let _ = timeout(AGAIN, hit).await;
    }
    panic!("not after {TRIES} times {AGAIN:?}: {}={does} is hit", point.name);
}

async fn provoke(services: &mut Services, needs: Needs) {
    match needs {
        Needs::Load | Needs::SlowResult => {}
        Needs::Edit => {
            let edit = "update trigger set config = jsonb_set(config, '{seconds}', to_jsonb(3 - (config->>'seconds')::integer))
                        where ref = 'more.edited'";
            facts::execute(&services.database.pool, edit).await;
        }
        Needs::File => {
            let name = format!("{:016x}.csv", rand::random::<u64>());
            let file = services.folder.path().join("more/inbox").join(name);
            std::fs::write(file, "x").expect("a file can be written");
        }
        Needs::LostWorker => {
            let runs = "exists (select from execution_queue where lease_until is not null)";
            facts::holds(&services.database.pool, "something runs", HIT, runs).await;
            services.take("worker-1").kill().await;
            services.launch("worker-1").await;
        }
    }
}

/// Load for the points that the usual load does not reach: actions that may start again, that are retried, that wait for a
/// limit; longer ones; an edited timer; events submitted without an idempotency key.
struct More {
    effects: Effects,
    inbox: PathBuf,
    pool: PgPool,
    stop: CancellationToken,
    client: JoinHandle<Vec<String>>,
}

impl More {
    async fn start(services: &Services) -> Self {
        let pool = services.database.pool.clone();
        let folder = services.folder.path().join("more");
        std::fs::create_dir(&folder).expect("a folder can be made");
        let effects = Effects::new(&folder);
        let inbox = folder.join("inbox");
        std::fs::create_dir(&inbox).expect("a folder can be made");
        facts::execute(&pool, &definitions(effects.file(), &inbox)).await;
        let scanned = "exists (select from file_watch where config is not null)";
        facts::holds(&pool, "the inbox is watched", HIT, scanned).await;
        let stop = CancellationToken::new();
        let client = TaskTracker::new().spawn(submit_events(services.api.clone(), stop.clone()));
        Self {
            effects,
            inbox,
            pool,
            stop,
            client,
        }
    }

    async fn check(self, load: Load) {
        self.stop.cancel();
        let promised = self.client.await.expect("the client does not fail");
        let files = std::fs::read_dir(&self.inbox).expect("the inbox can be read").count();
        let reported = format!("(select count(*) from event where trigger_ref = 'more.inbox') >= {files}");
        facts::holds(&self.pool, "each file is reported", HIT, &reported).await;
        let marks = "select count(*) from execution where action_ref = 'load.mark'";
        // At most once: work in progress on a killed or paused worker is lost, and reported as lost.
        let lost_max = facts::number(&self.pool, marks).await / 2;
        load.check_with(lost_max, Duration::ZERO, Some(SOME)).await;

        let known = format!(
            "select count(*) from event where trigger_ref = 'more.hook' and id = any('{{{}}}'::uuid[])",
            promised.join(",")
        );
        let promised = i64::try_from(promised.len()).expect("a small number");
        assert!(promised >= SOME, "only {promised} events were submitted without a key");
        assert_eq!(
            facts::number(&self.pool, &known).await,
            promised,
            "every accepted event exists"
        );
        let all = "select count(*) from event where trigger_ref = 'more.hook'";
        assert_eq!(facts::number(&self.pool, all).await, promised, "and each only once");
        let files = std::fs::read_dir(&self.inbox).expect("the inbox can be read").count();
        let files = i64::try_from(files).expect("a small number");
        let reported = "select count(*) from event where trigger_ref = 'more.inbox'";
        assert_eq!(
            facts::number(&self.pool, reported).await,
            files,
            "each file is reported once"
        );
        self.effects.check(&self.pool, "more.%").await;
        for action in ["again", "flaky", "line", "long"] {
            let ended = "select count(*) from execution where action_ref = 'more.";
            let ended = format!("{ended}{action}'");
            let well = facts::number(&self.pool, &format!("{ended} and status = 'succeeded'")).await;
            let all = facts::number(&self.pool, &ended).await;
            assert!(all >= SOME, "more.{action} was started {all} times");
            assert_eq!(well, all, "more.{action} may start again, so it always succeeds");
        }
        assert_eq!(
            facts::value(&self.pool, TOGETHER).await,
            json!(null),
            "with one slot, no two ran at the same time"
        );
    }
}

fn definitions(file: &str, inbox: &Path) -> String {
    let inbox = json!({"path": inbox, "stable_for_seconds": 0.1});
    let parameters = json!({"file": file});
    let retry = json!({"max_attempts": 50, "backoff_seconds": 0.1, "factor": 1.0});
    let flaky = format!("{MARK}; test \"$ATTUNE_ATTEMPT\" -gt 1");
    format!(
        r#"insert into pack (ref, label) values ('more', 'More');
           insert into action (ref, pack_id, runtime_id, label, entry_point, on_lost, retry, concurrency, parameters_schema)
               select 'more.' || a.name, p.id, r.id, a.name, a.script, 'requeue', a.retry, a.concurrency,
                      '{{"properties": {{"file": {{}}}}}}'::jsonb
               from pack p, runtime r, (values
                   ('again', $s${MARK}$s$, '{retry}'::jsonb, null::jsonb),
                   ('flaky', $s${flaky}$s$, '{retry}', null),
                   ('line', $s${MARK}$s$, '{retry}', '{{"limit": 1, "overflow": "queue"}}'),
                   ('long', $s${MARK}; sleep 0.5$s$, '{retry}', null)
               ) as a (name, script, retry, concurrency)
               where p.ref = 'more' and r.ref = 'core.shell';
           insert into trigger (ref, pack_id, label, kind, config)
               select 'more.hook', id, 'Hook', 'custom', '{{}}'::jsonb from pack where ref = 'more'
               union all
               select 'more.inbox', id, 'Inbox', 'file_watch', '{inbox}'::jsonb from pack where ref = 'more'
               union all
               select 'more.' || name, id, name, 'timer', '{{"type": "interval", "seconds": 1}}'
               from pack, unnest(array['flaky', 'line', 'long', 'edited']) as name where ref = 'more';
           insert into rule (ref, pack_id, label, trigger_id, action_id, action_params)
               select t.ref, p.id, t.ref, t.id, a.id, '{parameters}'::jsonb
               from trigger t, action a, pack p
               where p.ref = 'more' and t.pack_id = p.id
                 and a.ref = case when t.ref in ('more.hook', 'more.edited', 'more.inbox') then 'more.again' else t.ref end"#
    )
}

/// Submits events until it is stopped, and retries with the same key after a bad answer.
async fn submit_events(api: Api, stop: CancellationToken) -> Vec<String> {
    let (mut promised, mut pace) = (Vec::new(), interval(PACE));
    for number in 0.. {
        if stop.is_cancelled() {
            break;
        }
        pace.tick().await;
        let body = json!({"trigger_ref": "more.hook", "payload": {}, "dedup_key": format!("more-{number}")});
        promised.push(insist(&api, None, &body).await);
    }
    promised
}
