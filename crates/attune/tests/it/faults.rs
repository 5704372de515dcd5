//! Services are stopped, killed and started under load; the broker goes down and comes back. Afterwards every invariant
//! holds, nothing was lost, nothing ran twice, and the planned amount of work was done.

use super::support::{
    Api, definitions, facts,
    load::Load,
    services::{STOP, Services},
    tree,
};
use attune_common::testing::{
    Frozen, Proxy, Target, Way, eventually,
    rabbitmq::{self, Alarm, RabbitNode},
};
use nix::sys::signal::Signal;
use serde_json::json;
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// This many further executions count as progress after a service came back.
const SOME: i64 = 20;
/// Extra time on a machine that is busy with tests.
const ALLOWANCE_MS: i64 = 1_000;
/// How soon wakes work after RabbitMQ is reachable again, including a reconnect that came too early.
const WAKES_BACK: Duration = Duration::from_secs(15);
const MEASUREMENT: Duration = Duration::from_secs(3);
/// By polling alone, 9 of 10 events wait for 800 ms or more; with wakes, for 10 ms.
const BY_WAKES_MS: i64 = 400;
const KILLED_FOR: Duration = Duration::from_secs(60);
const TIMERS: i64 = 200;

#[tokio::test]
async fn each_service_is_stopped_and_started_under_load() {
    let mut services = Services::start().await;
    let load = Load::start(&services).await;
    load.wait_for_progress(SOME).await;
    let [short, long] = [2.5, 3000.5].map(|seconds| services.api.run("core.sleep", json!({"seconds": seconds})));
    let (short, long) = tokio::join!(short, long);
    for id in [&short, &long] {
        services.api.execution_is(id, "running", Duration::from_secs(10)).await;
    }
    for name in ["sensor-1", "executor-1", "worker-1", "api-1"] {
        services.take(name).terminate(STOP).await;
        services.launch(name).await;
        load.wait_for_progress(SOME).await;
    }
    // A stopping worker waits for its actions, and after the grace period reports the rest as lost.
    assert_eq!(services.api.execution(&short).await["status"], "succeeded");
    let stopped = services.api.execution(&long).await;
    assert_eq!(
        (&stopped["status"], &stopped["error"]),
        (&json!("lost"), &json!("worker_stopped"))
    );
    load.check(0).await;
    services.stop().await;
}

#[tokio::test]
async fn two_instances_of_each_service_survive_kills_without_duplicates() {
    let mut services = Services::start().await;
    for name in ["sensor-2", "executor-2", "worker-2"] {
        services.launch(name).await;
    }
    let load = Load::start(&services).await;
    load.wait_for_progress(SOME).await;
    let lost = kill_a_worker(&mut services).await;
    load.wait_for_progress(SOME).await;
    for name in ["sensor-1", "executor-1", "api-1"] {
        services.take(name).kill().await;
        if name == "api-1" {
            services.launch(name).await;
        }
        load.wait_for_progress(SOME).await;
        if name != "api-1" {
            services.launch(name).await;
        }
    }
    let running = services.api.get(&format!("/api/v1/executions/{lost}")).await;
    assert_eq!(running["status"], "lost", "{running}");
    let late = load.latest_tick_ms().await;
    assert!(late < 2_000 + ALLOWANCE_MS, "another sensor took over, {late} ms late");
    // The number of actions that one worker runs at once.
    load.check(16).await;
    services.stop().await;
}

/// The worker that runs a long action is killed: the action is gone within 2 s, and its execution is resolved.
async fn kill_a_worker(services: &mut Services) -> String {
    let id = services.api.run("core.sleep", json!({"seconds": 3000.25})).await;
    let running = services.api.execution_is(&id, "running", Duration::from_secs(10)).await;
    let name = runs(services, "sleep 3000.25").await;
    let children = tree::descendants(services.process(name).pid());
    assert!(running["worker"].is_string(), "it names its worker: {running}");
    services.take(name).kill().await;
    let gone = async || children.iter().all(|pid| !tree::exists(*pid)).then_some(());
    eventually("its actions are gone", Duration::from_secs(2), gone).await;
    services.api.execution_is(&id, "lost", Duration::from_secs(15)).await;
    services.launch(name).await;
    id
}

#[tokio::test]
async fn services_survive_outages_of_rabbitmq_under_load() {
    let mut broker = RabbitNode::started().await.expect("RabbitMQ starts");
    let way = Proxy::to(Target::Tcp(broker.port())).await.expect("a port is free");
    let services = Services::on(&rabbitmq::url(way.port())).await;
    let load = Load::start(&services).await;
    load.wait_for_progress(SOME).await;
    broker.kill().expect("the broker can be killed");
    let degraded = async || (services.api.get("/health").await["bus"]["up"] == false).then_some(());
    eventually("health reports that the bus is down", Duration::from_secs(15), degraded).await;
    polling_is_enough(&load, "killed").await;
    // It returns with an empty disk.
    broker.wipe().expect("its disk is replaced");
    broker.start().await.expect("RabbitMQ starts again");
    wakes_are_back(&load).await;
    let connected = async || (services.api.get("/health").await["bus"]["up"] == true).then_some(());
    eventually("health reports that the bus is up", Duration::from_secs(15), connected).await;
    // Out of memory or disk, it reads from no client.
    for alarm in [Alarm::Memory, Alarm::Disk] {
        broker.alarm(alarm, true).expect("the alarm goes off");
        polling_is_enough(&load, &format!("{alarm:?}")).await;
        broker.alarm(alarm, false).expect("the alarm is over");
        wakes_are_back(&load).await;
    }
    way.set(Way::Silent);
    polling_is_enough(&load, "cut off").await;
    // Connections do not recover from such a cut.
    way.set(Way::Closed);
    eventually("health reports that the bus is down", Duration::from_secs(15), degraded).await;
    way.set(Way::Open);
    wakes_are_back(&load).await;
    broker.freeze().expect("the broker can be frozen");
    requests_do_not_wait(&services.api).await;
    polling_is_enough(&load, "frozen").await;
    broker.thaw().expect("the broker can be thawed");
    wakes_are_back(&load).await;
    load.check(0).await;
    services.stop().await;
}

/// The dispatch time by polling alone; `like` is the state of RabbitMQ.
async fn polling_is_enough(load: &Load, like: &str) {
    let since = load.now().await;
    load.wait_for_progress(3 * SOME).await;
    let dispatch = load.dispatch_ms(&since).await;
    assert!(
        dispatch < 1_500 + ALLOWANCE_MS,
        "{like}, p99 of dispatch: {dispatch} ms"
    );
}

/// Requests are answered without the broker.
async fn requests_do_not_wait(api: &Api) {
    definitions::pack(api).await;
    let hook = json!({"ref": "test.hook", "label": "Hook", "kind": "custom"});
    api.post("/api/v1/triggers", hook).await;
    let mut took = Vec::new();
    for _ in 0..100 {
        let began = Instant::now();
        api.post("/api/v1/events", json!({"trigger_ref": "test.hook"})).await;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    assert!(
        took[50] < Duration::from_millis(100),
        "half of the answers took {:?} or longer",
        took[50]
    );
    assert!(took[99] < Duration::from_secs(1), "an answer took {:?}", took[99]);
}

/// Executions start faster than polling alone allows.
async fn wakes_are_back(load: &Load) {
    let quick = async || {
        let since = load.now().await;
        load.wait_for_progress(2 * SOME).await;
        (load.reaction_ms(&since).await < BY_WAKES_MS).then_some(())
    };
    eventually("wakes are back", WAKES_BACK + MEASUREMENT, quick).await;
}

#[tokio::test]
async fn thawed_services_do_no_harm() {
    let mut services = Services::start().await;
    let load = Load::start(&services).await;
    load.wait_for_progress(SOME).await;
    let once = services.api.run("core.sleep", json!({"seconds": 3000.75})).await;
    definitions::pack(&services.api).await;
    let late = run_writing(&services, "late", "fail").await;
    let again = run_writing(&services, "again", "requeue").await;
    for id in [&once, &late, &again] {
        services.api.execution_is(id, "running", Duration::from_secs(10)).await;
    }
    for name in ["sensor-2", "executor-2", "worker-2"] {
        services.launch(name).await;
    }
    let frozen = ["sensor-1", "executor-1", "worker-1"];
    for name in frozen {
        services.process(name).signal(Signal::SIGSTOP);
    }
    // Longer than a lease: the work of the frozen worker is rescued, and the others continue.
    services.api.execution_is(&once, "lost", Duration::from_secs(20)).await;
    load.wait_for_progress(SOME).await;
    let second = async || {
        let execution = services.api.execution(&again).await;
        (execution["status"] == "running" && execution["attempt"] == 2).then_some(())
    };
    eventually("the second attempt runs", Duration::from_secs(10), second).await;
    let wrote = |name: &str| services.folder.path().join(name).exists();
    // Its supervisor, which is not frozen, has seen it end.
    let ended = async || {
        let pid = std::fs::read_to_string(services.folder.path().join("late-1")).ok()?;
        let gone = pid.ends_with('\n') && !Path::new("/proc").join(pid.trim()).exists();
        gone.then_some(())
    };
    eventually(
        "the action that may start once ends unobserved",
        Duration::from_secs(15),
        ended,
    )
    .await;
    for name in frozen {
        services.process(name).signal(Signal::SIGCONT);
    }
    let gone = async || tree::with_command("sleep 3000.75").is_empty().then_some(());
    eventually("the action of the lost lease is killed", Duration::from_secs(10), gone).await;
    services
        .api
        .execution_is(&again, "succeeded", Duration::from_secs(20))
        .await;
    assert!(
        wrote("again-2") && !wrote("again-1"),
        "the first attempt ended before the second began"
    );
    late_result_is_fenced(&services, &late).await;
    frozen_api_fails_its_health_check(&services).await;
    let ended = services.api.execution(&once).await;
    assert_eq!(ended["status"], "lost", "its late end changes nothing: {ended}");
    load.check(32).await;
    services.stop().await;
}

/// An action that writes a file with its pid when an attempt ends, after twice a lease.
async fn run_writing(services: &Services, name: &str, on_lost: &str) -> String {
    let script = format!(r#"sleep 6; echo $$ > "$folder/{name}-$ATTUNE_ATTEMPT"; echo done"#);
    definitions::action(&services.api, name, &script, json!({"on_lost": on_lost})).await;
    let folder = json!({"folder": services.folder.path().to_str()});
    services.api.run(&format!("test.{name}"), folder).await
}

/// A frozen API does not answer health checks, a thawed one does.
async fn frozen_api_fails_its_health_check(services: &Services) {
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2));
    let http = http.build().expect("a client can be made");
    let url = format!("{}/health/live", services.api.url);
    let frozen = Frozen::all(&[services.process("api-1").pid()]).expect("a process can be stopped");
    let answer = http.get(&url).send().await;
    assert!(
        answer.is_err_and(|error| error.is_timeout()),
        "a frozen api has no health"
    );
    drop(frozen);
    let well = async || http.get(&url).send().await.ok()?.status().is_success().then_some(());
    eventually("the api answers again", Duration::from_secs(5), well).await;
}

async fn late_result_is_fenced(services: &Services, id: &str) {
    let kept = format!(
        "exists (select from execution_attempt where execution_id = '{id}' and attempt = 1 and late_outcome = 'succeeded')"
    );
    let pool = &services.database.pool;
    facts::holds(
        pool,
        "the late result is stored with the attempt",
        Duration::from_secs(10),
        &kept,
    )
    .await;
    let ended = services.api.execution(id).await;
    assert_eq!(
        (&ended["status"], &ended["result"]),
        (&json!("lost"), &json!(null)),
        "the late result is not accepted: {ended}"
    );
}

#[tokio::test]
async fn two_sensors_survive_repeated_kills() {
    let mut services = Services::start().await;
    services.launch("sensor-2").await;
    let pool = services.database.pool.clone();
    let timers = format!(
        r#"insert into pack (ref, label) values ('load', 'Load');
           insert into trigger (ref, pack_id, label, kind, config)
           select 'load.timer_' || n, id, 'Timer', 'timer', '{{"type": "interval", "seconds": 1}}'
           from pack, generate_series(1, {TIMERS}) n where ref = 'load'"#
    );
    facts::execute(&pool, &timers).await;
    let events = "select count(*) from event where trigger_ref like 'load.timer%'";
    let (began, mut kills) = (Instant::now(), 0);
    while began.elapsed() < KILLED_FOR {
        for name in ["sensor-1", "sensor-2"] {
            services.take(name).kill().await;
            kills += 1;
            let more = format!("({events}) >= {}", facts::number(&pool, events).await + TIMERS);
            facts::holds(&pool, "the other sensor continues", Duration::from_secs(10), &more).await;
            services.launch(name).await;
        }
    }
    let seconds = i64::try_from(began.elapsed().as_secs()).expect("a small number");
    facts::drain(&pool, Duration::from_secs(30)).await;
    facts::assert_invariants(&pool).await;
    let ticks = facts::number(&pool, events).await;
    assert!(
        ticks * 10 >= TIMERS * seconds * 9,
        "{ticks} ticks in {seconds} s are too few"
    );
    assert!(kills >= 10, "{kills} kills are too few");
    let gaps = facts::number(&pool, "select count(*) from timer_gap").await;
    assert_eq!(gaps, 0, "nothing was missed");
    let late = "select max((payload->>'late_ms')::bigint) from event where trigger_ref like 'load.timer%'";
    let late = facts::number(&pool, late).await;
    assert!(late < 2_000 + ALLOWANCE_MS, "another sensor took over, {late} ms late");
    services.stop().await;
}

/// The worker that runs this command.
async fn runs(services: &Services, command: &str) -> &'static str {
    let poll = async || {
        let of_action = tree::with_command(command);
        let mine = |name: &&str| {
            tree::descendants(services.process(name).pid())
                .iter()
                .any(|pid| of_action.contains(pid))
        };
        ["worker-1", "worker-2"].into_iter().find(mine)
    };
    eventually("a worker runs the action", Duration::from_secs(5), poll).await
}
