//! The documented entries over HTTP compared with the library: events one by one, webhooks, batches of events, and manual
//! executions.
//!
//! The clients run in this process, so its CPU time includes theirs. How much that is, and how many requests they could
//! send at most, is measured with an empty server in the same run.

use crate::{
    client::{Connection, EmptyServer, Prepared},
    drive::Target,
    floor::Probe,
    latency::sign_in,
    measure,
    process::Cpu,
    result::{Measure, Results},
    span::Spans,
    testbed::Testbed,
    throughput::{self, END_WITHIN, seconds},
    webhooks,
};
use anyhow::Context as _;
use attune_domain::TriggerId;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

const SUITE: &str = "http";
const CLIENTS: usize = 64;
const RATES: [u64; 2] = [10, 100];
/// Connections of a steady rate, so that a slow answer does not delay the next request.
const STEADY: usize = 16;
const BATCH: usize = 100;
const BATCH_MAX: usize = 1_000;
const ACTION: &str = "core.noop";
/// An API that is slower than this is the bottleneck, and not its clients.
const CLIENT_MARGIN: f64 = 2.0;

/// One way into Attune.
#[derive(Debug)]
struct Way {
    name: &'static str,
    request: Prepared,
    /// Each request has another `x-github-delivery`.
    is_webhook: bool,
    /// Events or executions of one request.
    items: usize,
    ledger: Ledger,
}

/// Where the result of the requests is read.
#[derive(Debug)]
enum Ledger {
    Rules(TriggerId, String),
    /// No rule: nothing runs.
    Events(TriggerId),
    Manual,
}

pub async fn run(testbed: &mut Testbed, results: &mut Results) -> anyhow::Result<()> {
    let Some(token) = sign_in(testbed).await? else {
        results.note(
            SUITE,
            "Left out: the admin's password of this database is not known here",
        );
        return Ok(());
    };
    let probe = Probe::take(testbed).await?;
    let target = Target::make(testbed, "http_library", 1, ACTION, None).await?;
    let library = throughput::calibrated(testbed, &target, testbed.seconds()).await?;
    let rate = Measure::new(SUITE, "library: events → finished executions", library.rate, "/s");
    results.add(rate.relative_to("commits/s of 1 client", probe.commits_per_second));
    results.add(Measure::new(
        SUITE,
        "library: CPU per 1,000",
        library.cpu_per_1000(),
        "s",
    ));

    let ways = ways(testbed, &token).await?;
    let address = address(testbed)?;
    let mut webhook_p50 = [None; RATES.len()];
    for way in ways.into_iter().map(Arc::new) {
        for (rate, webhook) in RATES.into_iter().zip(&mut webhook_p50) {
            // A thousand events at once are not a latency.
            if way.items > BATCH {
                break;
            }
            let spans = steady(&way, address, rate, testbed.seconds()).await?;
            testbed.until_idle(END_WITHIN).await?;
            let p50 = spans.ms(50.0);
            let name = format!("{}: request → accepted, {rate}/s", way.name);
            let compared = *webhook;
            spans.add_results(results, SUITE, &name, |label, measure| {
                let measure = measure.relative_to("1 commit", probe.commit_ms);
                match (label, compared) {
                    ("p50", Some(p50)) if way.items == 1 => measure.at_most(1.2 * p50, "≤ 1.2 × the webhook's"),
                    _ => measure,
                }
            });
            if way.is_webhook {
                *webhook = Some(p50);
            }
        }
        let empty = empty(&way, (testbed.seconds() / 5).max(Duration::from_secs(1))).await?;
        let loaded = loaded(testbed, &way, address).await?;
        add_results(results, &way, &loaded, &empty, library.rate, library.cpu_per_1000());
    }
    Ok(())
}

/// The webhook comes first: others are compared with it.
async fn ways(testbed: &Testbed, token: &str) -> anyhow::Result<Vec<Way>> {
    let bearer = format!("Bearer {token}");
    let json = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let (hook, url) = webhooks::define(testbed, token, "http_webhook").await?;
    measure::make_rules(&testbed.pool, "http_webhook", 1, hook, ACTION, None).await?;
    let (_, path) = url.split_once("/api/").context("the address is not one of the API")?;
    let body = json!({"site": "1", "temperature": 31, "message": "hi"}).to_string();
    let signature = webhooks::signature(&body)?;
    let signed = [
        ("content-type", "application/json"),
        ("x-hub-signature-256", signature.as_str()),
    ];
    let mut ways = vec![Way {
        name: "webhook",
        request: Prepared::post(&format!("/api/{path}"), &signed, body),
        is_webhook: true,
        items: 1,
        ledger: Ledger::Rules(hook, r"bench.http\_webhook\_%".to_owned()),
    }];
    for (name, place, items, rules) in [
        ("events", "http_events", 1, 1),
        ("batches of 100 events", "http_batch", BATCH, 1),
        ("batches of 1,000 events, no rule", "http_alone", BATCH_MAX, 0),
    ] {
        let target = Target::make(testbed, place, rules, ACTION, None).await?;
        let event = json!({
            "trigger_ref": target.trigger_ref, "payload": {"site": "1", "temperature": 31, "message": "hi"},
        });
        let (path, body) = match items {
            1 => ("/api/v1/events", event),
            _ => ("/api/v1/events/batch", Value::from(vec![event; items])),
        };
        let ledger = match rules {
            0 => Ledger::Events(target.trigger),
            _ => Ledger::Rules(target.trigger, target.rule_pattern),
        };
        ways.push(Way {
            name,
            request: Prepared::post(path, &json, body.to_string()),
            is_webhook: false,
            items,
            ledger,
        });
    }
    let body = json!({"action_ref": ACTION, "parameters": {}}).to_string();
    ways.push(Way {
        name: "manual executions",
        request: Prepared::post("/api/v1/executions", &json, body),
        is_webhook: false,
        items: 1,
        ledger: Ledger::Manual,
    });
    Ok(ways)
}

fn address(testbed: &Testbed) -> anyhow::Result<SocketAddr> {
    let url = testbed.api("")?;
    let address = url.trim_start_matches("http://").parse();
    address.with_context(|| format!("{url} is not the address of a socket"))
}

impl Way {
    async fn send(&self, connection: &mut Connection) -> anyhow::Result<()> {
        let delivery = if self.is_webhook {
            format!("x-github-delivery: {:032x}\r\n", rand::random::<u128>())
        } else {
            String::new()
        };
        connection.send(&self.request, &delivery).await
    }
}

/// `rate` requests a second, whether those before are answered or not.
async fn steady(way: &Arc<Way>, address: SocketAddr, rate: u64, period: Duration) -> anyhow::Result<Spans> {
    let mut connections = Vec::with_capacity(STEADY);
    for _ in 0..STEADY {
        let mut connection = Connection::open(address).await?;
        way.send(&mut connection).await?;
        connections.push(Arc::new(Mutex::new(connection)));
    }
    let count = usize::try_from(u128::from(rate) * period.as_millis() / 1000)?.max(1);
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(rate)?);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut requests = JoinSet::new();
    for connection in connections.iter().cycle().take(count) {
        ticks.tick().await;
        let (way, connection) = (Arc::clone(way), Arc::clone(connection));
        requests.spawn(async move {
            let sent = Instant::now();
            way.send(&mut *connection.lock().await).await?;
            anyhow::Ok(sent.elapsed())
        });
    }
    let mut spans = Spans::new()?;
    while let Some(answered) = requests.join_next().await {
        spans.record(answered.context("a request ended early")??);
    }
    Ok(spans)
}

/// As many requests as are answered within a period.
async fn flood(way: &Arc<Way>, address: SocketAddr, period: Duration) -> anyhow::Result<u64> {
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let way = Arc::clone(way);
        clients.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut sent = 0;
            while began.elapsed() < period {
                way.send(&mut connection).await?;
                sent += 1;
            }
            anyhow::Ok(sent)
        });
    }
    let mut sent = 0;
    while let Some(client) = clients.join_next().await {
        sent += client.context("a client ended early")??;
    }
    Ok(sent)
}

/// Requests of the clients to a server that does nothing.
struct Empty {
    per_second: f64,
    cpu_per_request: f64,
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
async fn empty(way: &Arc<Way>, period: Duration) -> anyhow::Result<Empty> {
    let server = EmptyServer::start().await?;
    let (began, cpu) = (Instant::now(), Cpu::now()?);
    let sent = flood(way, server.address, period).await? as f64;
    Ok(Empty {
        per_second: sent / began.elapsed().as_secs_f64(),
        cpu_per_request: (Cpu::now()? - cpu).own / sent,
    })
}

/// What came of a flood of requests.
struct Loaded {
    requests: f64,
    /// Events or executions.
    items: f64,
    requests_per_second: f64,
    /// Items from the first row to the last end.
    rate: f64,
    cpu: Cpu,
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
async fn loaded(testbed: &Testbed, way: &Arc<Way>, address: SocketAddr) -> anyhow::Result<Loaded> {
    // The first ones open connections.
    flood(way, address, Duration::from_millis(300)).await?;
    testbed.until_idle(END_WITHIN).await?;
    let (since, cpu) = (testbed.now().await?, Cpu::now()?);
    let began = Instant::now();
    let sent = flood(way, address, testbed.seconds()).await?;
    let took = began.elapsed().as_secs_f64();
    testbed.until_idle(END_WITHIN).await?;
    let cpu = Cpu::now()? - cpu;
    let expected = sent * u64::try_from(way.items)?;
    let (found, span) = way.ledger.read(testbed, since).await?;
    anyhow::ensure!(
        u64::try_from(found)? == expected,
        "{}: {expected} items were accepted, and {found} are finished",
        way.name
    );
    let (first, last) = span.context("nothing happened")?;
    Ok(Loaded {
        requests: sent as f64,
        items: expected as f64,
        requests_per_second: sent as f64 / took,
        rate: expected as f64 / seconds(last - first),
        cpu,
    })
}

type Instants = Option<(DateTime<Utc>, DateTime<Utc>)>;

impl Ledger {
    /// How many items are finished, and when the first began and the last ended.
    async fn read(&self, testbed: &Testbed, since: DateTime<Utc>) -> anyhow::Result<(i64, Instants)> {
        let pool = &testbed.pool;
        Ok(match self {
            Self::Rules(trigger, rules) => {
                let flow = measure::flow(pool, *trigger, rules, since).await?;
                (flow.succeeded, flow.first_received_at.zip(flow.last_finished_at))
            }
            Self::Events(trigger) => {
                let decided = measure::decided(pool, *trigger, since).await?;
                (decided.events, decided.first_received_at.zip(decided.last_decided_at))
            }
            Self::Manual => {
                let manual = measure::manual(pool, ACTION, since).await?;
                let failed = manual.executions - manual.succeeded;
                anyhow::ensure!(failed == 0, "{failed} manual executions did not succeed");
                (manual.succeeded, manual.first_created_at.zip(manual.last_finished_at))
            }
        })
    }
}

fn add_results(results: &mut Results, way: &Way, loaded: &Loaded, empty: &Empty, library: f64, library_cpu: f64) {
    let name = way.name;
    let answered = Measure::new(
        SUITE,
        format!("{name}: requests answered"),
        loaded.requests_per_second,
        "/s",
    );
    results.add(answered.relative_to("the same clients with an empty server", empty.per_second));
    if loaded.requests_per_second * CLIENT_MARGIN > empty.per_second {
        results.note(SUITE, format!("{name}: the clients may be the bottleneck"));
    }
    let clients = empty.cpu_per_request * loaded.requests;
    let without_clients = (loaded.cpu.total() - clients).max(0.0);
    let per_1000 = without_clients * 1000.0 / loaded.items;
    if let Ledger::Events(_) = way.ledger {
        let per_cpu = Measure::new(
            SUITE,
            format!("{name}: events per CPU second"),
            loaded.items / without_clients,
            "/s",
        );
        results.add(per_cpu.at_least(5_000.0, "≥ 5,000/s per core"));
        return;
    }
    let rate = Measure::new(
        SUITE,
        format!("{name}: requests → finished executions"),
        loaded.rate,
        "/s",
    );
    results.add(rate.relative_to("the library", library));
    let cpu = Measure::new(
        SUITE,
        format!("{name}: CPU per 1,000, without the clients"),
        per_1000,
        "s",
    );
    let cpu = cpu.relative_to("the library", library_cpu);
    results.add(if name == "events" {
        cpu.at_most(library_cpu / 0.8, "≤ the library / 0.8")
    } else {
        cpu
    });
}
