//! A broker that is absent, killed or frozen, and messages from other programs. Each test has its own node.

use super::{
    Process, SOON,
    contract::{hear, see},
    drain, soon, until,
};
use attune_common::{
    bus::{Bus, Control, Feed, FeedFilter, FeedKind, RabbitmqBus, RabbitmqConfig, Wake, Wakes},
    testing::rabbitmq::{Alarm, RabbitNode, shared},
};
use lapin::{BasicProperties, Connection, ConnectionProperties, options::BasicPublishOptions};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use secrecy::{ExposeSecret, SecretString};
use std::time::{Duration, Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// After the broker answers again: 15 s is the longest time between two attempts.
const BACK: Duration = Duration::from_secs(20);

/// Counts on this thread, which is the only one of the runtime.
struct Counts {
    handle: PrometheusHandle,
    #[expect(dead_code, reason = "dropping it is its use")]
    guard: metrics::LocalRecorderGuard<'static>,
}

impl Counts {
    fn begin() -> Self {
        let recorder = Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
        Self {
            handle: recorder.handle(),
            guard: metrics::set_default_local_recorder(recorder),
        }
    }

    fn of(&self, metric: &str) -> f64 {
        let text = self.handle.render();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a number"))
    }
}

#[tokio::test]
async fn an_absent_and_then_killed_broker_stops_nothing() {
    let counts = Counts::begin();
    let mut node = RabbitNode::prepare().expect("a node");
    let process = Process::start(&node.url(), "attune");
    let bus = &process.bus;
    let (wakes, mut controls) = (bus.wakes(Wake::Events), bus.controls());
    let mut feeds = bus.feeds(FeedFilter::default());
    soon(wakes.recv()).await;
    bus.wake(Wake::Events);
    assert!(!bus.health().up);
    assert!(counts.of(r#"attune_wakes_total{result="down"}"#) >= 1.0);

    node.start().await.expect("it starts");
    for round in 0..2 {
        until("the bus is up", BACK, || bus.health().up).await;
        assert!(counts.of("attune_bus_up") > 0.0);
        assert!(
            drain(&wakes) >= 1,
            "everybody is woken after a connection is made (round {round})"
        );
        hear(&mut controls, &Control::DefinitionsChanged).await;

        bus.wake(Wake::Events);
        soon(wakes.recv()).await;
        bus.control(Control::DefinitionsChanged);
        hear(&mut controls, &Control::DefinitionsChanged).await;
        bus.feed(Feed::new(FeedKind::event_created()));
        see(&mut feeds).await;

        if round == 0 {
            node.kill().expect("it is killed");
            until("the loss is noticed", SOON, || !bus.health().up).await;
            assert!(counts.of("attune_bus_up") < 1.0);
            bus.wake(Wake::Events);
            node.start().await.expect("it starts again");
        }
    }
    process.stop().await;
}

#[tokio::test]
async fn a_frozen_broker_blocks_no_publisher() {
    let counts = Counts::begin();
    let mut node = RabbitNode::started().await.expect("a node");
    let (stays, stops) = (
        Process::start(&node.url(), "attune"),
        Process::start(&node.url(), "attune"),
    );
    let wakes = stays.bus.wakes(Wake::Events);
    stays.up().await;
    stops.up().await;
    node.freeze().expect("it is frozen");

    let mut slowest = Duration::ZERO;
    let began = Instant::now();
    while counts.of(r#"attune_wakes_total{result="full"}"#) < 1.0 {
        assert!(began.elapsed() < Duration::from_secs(60), "the channel never fills up");
        for n in 0..2_000 {
            let call = Instant::now();
            // All different, or they would be coalesced.
            stays.bus.wake(Wake::executions(format!("{}{n}", "pool".repeat(20))));
            slowest = slowest.max(call.elapsed());
        }
        tokio::task::yield_now().await;
    }
    assert!(slowest < Duration::from_millis(500), "a call took {slowest:?}");
    stops.stop().await;

    // It accepts connections and never answers.
    let newcomer = Process::start(&node.url(), "attune");
    until("it tries to connect", SOON, || broker_threads() == 2).await;
    newcomer.stop().await;
    until("abandoned connections leave no thread behind", SOON, || {
        broker_threads() == 1
    })
    .await;

    node.thaw().expect("the broker continues");
    arrives(&stays.bus, &wakes).await;
    stays.stop().await;
    node.kill().expect("it is killed");
    until("no thread is left", SOON, || broker_threads() == 0).await;
}

/// Without memory or disk space, a broker stops reading from publishers. One whose disk was replaced has no queues.
#[tokio::test]
async fn an_alarm_and_an_empty_disk_block_no_publisher() {
    let counts = Counts::begin();
    let mut node = RabbitNode::started().await.expect("a node");
    let process = Process::start(&node.url(), "attune");
    let bus = &process.bus;
    let (wakes, mut controls) = (bus.wakes(Wake::Events), bus.controls());
    process.up().await;
    for alarm in [Alarm::Memory, Alarm::Disk] {
        let unpublished = || {
            let of = |result: &str| counts.of(&format!("attune_wakes_total{{result=\"{result}\"}}"));
            of("full") + of("down")
        };
        node.alarm(alarm, true).expect("the alarm goes off");
        drain(&wakes);
        let (began, before) = (Instant::now(), unpublished());
        while unpublished() <= before {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "{alarm:?}: the channel never fills up"
            );
            for n in 0..2_000 {
                let call = Instant::now();
                bus.wake(Wake::executions(format!("{}{n}", "pool".repeat(20))));
                let took = call.elapsed();
                assert!(took < Duration::from_millis(500), "{alarm:?}: a call took {took:?}");
            }
            tokio::task::yield_now().await;
        }
        node.alarm(alarm, false).expect("the alarm is over");
        arrives(bus, &wakes).await;
    }

    node.wipe().expect("its disk is replaced");
    until("the loss is noticed", SOON, || !bus.health().up).await;
    node.start().await.expect("it starts again");
    until("the bus is up", BACK, || bus.health().up).await;
    arrives(bus, &wakes).await;
    bus.control(Control::DefinitionsChanged);
    hear(&mut controls, &Control::DefinitionsChanged).await;
    process.stop().await;
}

/// Wakes arrive again, at the latest after the longest time between two connection attempts.
async fn arrives(bus: &RabbitmqBus, wakes: &Wakes) {
    drain(wakes);
    let again = async {
        while tokio::time::timeout(Duration::from_millis(200), wakes.recv())
            .await
            .is_err()
        {
            bus.wake(Wake::Events);
        }
    };
    tokio::time::timeout(BACK, again).await.expect("wakes are back");
}

/// lapin runs a thread for each connection.
fn broker_threads() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux");
    let names = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("lapin-io-loop")).count()
}

#[tokio::test]
async fn malformed_messages_are_ignored() {
    let counts = Counts::begin();
    let broker = shared().await.expect("a broker");
    let namespace = format!("strangers.{}", std::process::id());
    let process = Process::start(&broker.url, &namespace);
    let (wakes, mut controls) = (process.bus.wakes(Wake::Events), process.bus.controls());
    let mut feeds = process.bus.feeds(FeedFilter::default());
    process.up().await;
    drain(&wakes);

    let stranger = Connection::connect(broker.url.expose_secret(), ConnectionProperties::default()).await;
    let channel = stranger
        .as_ref()
        .expect("connected")
        .create_channel()
        .await
        .expect("a channel");
    let large = format!(r#"{{"v":1,"kind":"events","more":"{}"}}"#, "x".repeat(5_000));
    let bodies = [
        "",
        "{}",
        "\u{0}",
        r#"{"v":2,"kind":"events"}"#,
        r#"{"v":1,"kind":"nonsense"}"#,
        large.as_str(),
    ];
    for (exchange, key) in [("wake", "events"), ("control", ""), ("events", "event.created")] {
        for body in bodies {
            let exchange = format!("{namespace}.{exchange}").into();
            let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
            let sent = channel
                .basic_publish(exchange, key.into(), options, body.as_bytes(), properties)
                .await;
            sent.expect("published");
        }
    }
    for metric in ["wakes", "controls", "feeds"] {
        let metric = format!(r#"attune_{metric}_total{{result="invalid"}}"#);
        until("the nonsense is counted", SOON, || counts.of(&metric) >= 6.0).await;
    }
    assert_eq!(drain(&wakes), 0, "and it wakes no subscriber");

    process.bus.wake(Wake::Events);
    soon(wakes.recv()).await;
    process.bus.control(Control::DefinitionsChanged);
    hear(&mut controls, &Control::DefinitionsChanged).await;
    process.bus.feed(Feed::new(FeedKind::event_created()));
    see(&mut feeds).await;

    // A message that cannot be routed is dropped and counted before it is sent.
    process.bus.wake(Wake::executions("#"));
    let metric = r#"attune_wakes_total{result="invalid"}"#;
    until("it is counted", SOON, || counts.of(metric) >= 7.0).await;
    process.stop().await;
}

#[tokio::test]
async fn an_encrypted_connection_trusts_only_configured_authorities() {
    let mut node = RabbitNode::prepare().expect("a node");
    let (url, ca_pem) = node.enable_tls().expect("a certificate");
    node.start().await.expect("it starts");
    let trusting = Process::with(&RabbitmqConfig {
        ca_pem: Some(ca_pem),
        ..RabbitmqConfig::new(url.clone())
    });
    let wakes = trusting.bus.wakes(Wake::Events);
    let doubting = Process::start(&url, "attune");
    until("it connects", BACK, || trusting.bus.health().up).await;
    drain(&wakes);
    trusting.bus.wake(Wake::Events);
    soon(wakes.recv()).await;
    trusting.stop().await;
    assert!(!doubting.bus.health().up, "the system does not know this authority");
    doubting.stop().await;
}

#[tokio::test]
async fn credentials_are_never_shown() {
    let start = |url: &str| {
        let config = RabbitmqConfig::new(SecretString::from(url));
        let bus = RabbitmqBus::start(&config, &TaskTracker::new(), CancellationToken::new());
        format!(
            "{config:?} {bus:?} {}",
            bus.as_ref().err().map(ToString::to_string).unwrap_or_default()
        )
    };
    for url in [
        "amqp://user:hunter2@127.0.0.1:1/%2f",
        "http://user:hunter2@host",
        "amqp://user:hunter2@host:port",
        "hunter2",
    ] {
        let shown = start(url);
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    assert!(
        start("http://host").contains("amqp://user:password@host"),
        "the error contains the expected form"
    );
}

/// A worker that shuts down releases its claims and publishes a wake.
#[tokio::test]
async fn the_last_messages_of_a_process_are_sent() {
    let broker = shared().await.expect("a broker");
    let namespace = format!("last_words.{}", std::process::id());
    let stays = Process::start(&broker.url, &namespace);
    let wakes = stays.bus.wakes(Wake::Events);
    stays.up().await;
    drain(&wakes);
    for _ in 0..10 {
        let stops = Process::start(&broker.url, &namespace);
        stops.up().await;
        stops.bus.wake(Wake::Events);
        stops.stop().await;
        soon(wakes.recv()).await;
    }
    stays.stop().await;
}
