//! Webhooks over HTTP, signed like GitHub: how many per second are answered, and how long each takes, with 16 and 64
//! clients that each send the next when the last one is answered. Every answer comes after a commit, so the floor is the
//! durable commits of as many clients.

use crate::{
    floor,
    latency::sign_in,
    measure,
    result::{Measure, Results},
    span::Spans,
    testbed::Testbed,
};
use anyhow::Context as _;
use attune_domain::TriggerId;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Client;
use serde_json::{Value, json};
use sha2::Sha256;
use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

const SUITE: &str = "webhooks";
const CLIENTS: [usize; 2] = [16, 64];
const SECRET: &str = "a secret of the benchmark";
const WITHIN: Duration = Duration::from_secs(300);

/// A request that is sent again and again, each time as another delivery.
#[derive(Debug)]
struct Delivery {
    client: Client,
    url: String,
    body: String,
    signature: String,
}

impl Delivery {
    fn new(client: Client, url: String) -> anyhow::Result<Self> {
        // A typical size of a payload.
        let body =
            json!({"action": "opened", "number": 7, "repository": {"full_name": "acme/shop"}, "note": "x".repeat(400)});
        let body = body.to_string();
        Ok(Self {
            client,
            url,
            signature: signature(&body)?,
            body,
        })
    }

    async fn send(&self) -> anyhow::Result<()> {
        let request = self
            .client
            .post(&self.url)
            .header("content-type", "application/json")
            .header("x-github-delivery", format!("{:032x}", rand::random::<u128>()))
            .header("x-hub-signature-256", &self.signature);
        let answer = request.body(self.body.clone()).send().await?;
        let status = answer.status();
        // Read to its end, so that the connection is used again.
        let text = answer.text().await?;
        anyhow::ensure!(status == 202, "a webhook was answered with {status}: {text}");
        Ok(())
    }
}

/// Signs a body like GitHub.
pub fn signature(body: &str) -> anyhow::Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).context("a key of any length is good")?;
    mac.update(body.as_bytes());
    let mut signed = "sha256=".to_owned();
    for byte in mac.finalize().into_bytes() {
        write!(signed, "{byte:02x}")?;
    }
    Ok(signed)
}

pub async fn run(testbed: &mut Testbed, results: &mut Results) -> anyhow::Result<()> {
    let Some(token) = sign_in(testbed).await? else {
        results.note(
            SUITE,
            "Left out: the admin's password of this database is not known here",
        );
        return Ok(());
    };
    let (trigger, url) = define(testbed, &token, "webhooks").await?;
    // The first ones open connections.
    flood(
        &Arc::new(Delivery::new(testbed.client.clone(), url.clone())?),
        16,
        Duration::from_secs(1),
    )
    .await?;
    for clients in CLIENTS {
        let commits =
            floor::commits_per_second(testbed, clients, (testbed.seconds() / 3).max(Duration::from_secs(3))).await?;
        let delivery = Arc::new(Delivery::new(testbed.client.clone(), url.clone())?);
        testbed.until_idle(WITHIN).await?;
        let since = testbed.now().await?;
        let began = Instant::now();
        let spans = flood(&delivery, clients, testbed.seconds()).await?;
        let took = began.elapsed();
        testbed.until_idle(WITHIN).await?;
        let came = measure::decided(&testbed.pool, trigger, since).await?.events;
        anyhow::ensure!(
            u64::try_from(came)? == spans.len(),
            "{} webhooks were answered, and {came} events are there",
            spans.len()
        );
        add_results(results, clients, &spans, took, commits);
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a count far below 2^52")]
fn add_results(results: &mut Results, clients: usize, spans: &Spans, took: Duration, commits: f64) {
    let rate = spans.len() as f64 / took.as_secs_f64();
    let rate = Measure::new(SUITE, format!("{clients} clients: webhooks answered"), rate, "/s");
    results.add(
        rate.samples(spans.len())
            .relative_to(format!("commits/s of {clients} clients"), commits),
    );
    let name = format!("{clients} clients: request → answer");
    // What a commit takes when as many commit at once.
    let commit_ms = clients as f64 / commits * 1000.0;
    spans.add_results(results, SUITE, &name, |_, measure| {
        measure.relative_to(format!("a commit among {clients} clients"), commit_ms)
    });
}

/// A trigger of its own, with the address that it has now.
pub async fn define(testbed: &Testbed, token: &str, name: &str) -> anyhow::Result<(TriggerId, String)> {
    let config = json!({"verify": "github", "secret": SECRET, "requests_per_second": 0});
    let body = json!({"ref": format!("bench.{name}"), "label": "Webhooks", "kind": "webhook", "config": config});
    let request = testbed
        .client
        .post(testbed.api("/api/v1/triggers")?)
        .bearer_auth(token)
        .json(&body);
    let answer: Value = request.send().await?.error_for_status()?.json().await?;
    let id = answer["data"]["id"].as_i64().context("the trigger has no id")?;
    let url = answer["data"]["webhook_url"]
        .as_str()
        .context("the trigger has no address")?;
    let (_, path) = url.split_once("/api/").context("the address is not one of the API")?;
    Ok((TriggerId(id), testbed.api(&format!("/api/{path}"))?))
}

/// This many clients, each with one request at a time.
async fn flood(delivery: &Arc<Delivery>, clients: usize, period: Duration) -> anyhow::Result<Spans> {
    let began = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..clients {
        let delivery = Arc::clone(delivery);
        running.spawn(async move {
            let mut spans = Vec::new();
            while began.elapsed() < period {
                let sent = Instant::now();
                delivery.send().await?;
                spans.push(sent.elapsed());
            }
            anyhow::Ok(spans)
        });
    }
    let mut all = Spans::new()?;
    while let Some(done) = running.join_next().await {
        done.context("a client ended early")??
            .into_iter()
            .for_each(|span| all.record(span));
    }
    Ok(all)
}
