//! From a request to a started process to a committed end, at a steady rate.
//!
//! All instants come from this process's monotonic clock: *accepted* is when `Ingest::submit` returned (the event is
//! committed), or over HTTP when the answer had been read; *started* is when the action's first command had written its
//! execution's id into a pipe, which a thread of ours reads (about 20 µs for the shell, no extra process); *finished* is
//! when the bus announced it, which is after the result's commit.

use crate::{
    drive::{Target, submit},
    floor::{self, Probe},
    measure,
    result::{Measure, Results},
    span::Spans,
    testbed::Testbed,
    trace::{Stamps, Trace},
};
use anyhow::Context as _;
use attune_common::ingest::Ingest;
use attune_domain::{EnforcementId, EventId, ExecutionId};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

pub const SUITE: &str = "latency";
const RATES: [u64; 2] = [10, 100];
const END_WITHIN: Duration = Duration::from_secs(60);

/// How an event gets in.
#[derive(Clone)]
enum Way {
    Inside(Ingest),
    Http {
        client: reqwest::Client,
        url: String,
        token: String,
    },
}

impl Way {
    /// Returns the event's id once it is accepted.
    async fn send(&self, target: &Target) -> anyhow::Result<EventId> {
        match self {
            Self::Inside(ingest) => {
                let event = target.event();
                let id = event.id;
                submit(ingest, event).await?;
                Ok(id)
            }
            Self::Http { client, url, token } => {
                let body = json!({"trigger_ref": target.trigger_ref, "payload": {"message": "hi"}});
                let answer = client
                    .post(url)
                    .bearer_auth(token)
                    .json(&body)
                    .send()
                    .await?
                    .error_for_status()?;
                let answer: Value = answer.json().await?;
                let id = answer["data"]["id"].as_str().and_then(|id| id.parse().ok());
                id.with_context(|| format!("the answer names no event: {answer}"))
            }
        }
    }
}

pub async fn run(testbed: &mut Testbed, results: &mut Results) -> anyhow::Result<()> {
    let trace = Trace::start(testbed)?;
    let action = measure::make_shell_action(&testbed.pool, "mark", &trace.script()).await?;
    let target = Target::make(testbed, "latency", 1, &action, None).await?;
    let probe = Probe::take(testbed).await?;
    let inside = Way::Inside(Ingest::start(testbed.context()?));
    // The first ones compile the rules and open connections.
    steady(&trace, &inside, &target, 20, Duration::from_secs(1)).await?;
    for rate in RATES {
        let stamps = steady(&trace, &inside, &target, rate, testbed.seconds()).await?;
        add_inside_results(results, &stamps, rate, probe)?;
        floor::paced(testbed, SUITE, rate, results).await?;
    }
    drop(inside);
    match http(testbed).await? {
        Some(way) => {
            steady(&trace, &way, &target, 20, Duration::from_secs(1)).await?;
            for rate in RATES {
                let stamps = steady(&trace, &way, &target, rate, testbed.seconds()).await?;
                add_http_results(results, &stamps, rate)?;
            }
        }
        None => results.note(
            SUITE,
            "HTTP was left out: the admin's password of this database is not known here",
        ),
    }
    trace.end().await
}

async fn http(testbed: &Testbed) -> anyhow::Result<Option<Way>> {
    let Some(token) = sign_in(testbed).await? else {
        return Ok(None);
    };
    Ok(Some(Way::Http {
        client: testbed.client.clone(),
        url: testbed.api("/api/v1/events")?,
        token,
    }))
}

/// Signs in as the first admin, when the password is known here.
pub async fn sign_in(testbed: &Testbed) -> anyhow::Result<Option<String>> {
    let Some(password) = testbed.password() else {
        return Ok(None);
    };
    let body = json!({"login": "admin", "password": password});
    let answer = testbed
        .client
        .post(testbed.api("/auth/login")?)
        .json(&body)
        .send()
        .await?;
    let answer: Value = answer.error_for_status().context("failed to sign in")?.json().await?;
    let token = answer["data"]["access_token"]
        .as_str()
        .context("the sign-in gave no token")?;
    Ok(Some(token.to_owned()))
}

/// `rate` events a second, whether those before have ended or not.
async fn steady(
    trace: &Arc<Trace>,
    way: &Way,
    target: &Target,
    rate: u64,
    period: Duration,
) -> anyhow::Result<Vec<Stamps>> {
    let count = (u128::from(rate) * period.as_millis() / 1000).max(1);
    let count = u64::try_from(count)?;
    trace.begin();
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(rate)?);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut requests = JoinSet::new();
    for _ in 0..count {
        ticks.tick().await;
        let (trace, way, target) = (Arc::clone(trace), way.clone(), target.clone());
        requests.spawn(async move {
            let sent = Instant::now();
            let event = way.send(&target).await?;
            let id = ExecutionId::of(EnforcementId::of(event, target.rules[0]));
            trace.accepted(id, sent, Instant::now());
            anyhow::Ok(())
        });
    }
    while let Some(sent) = requests.join_next().await {
        sent.context("a request ended early")??;
    }
    trace.all(count, END_WITHIN).await
}

fn spans(stamps: &[Stamps], span: impl Fn(&Stamps) -> Duration) -> anyhow::Result<Spans> {
    let mut spans = Spans::new()?;
    for stamp in stamps {
        spans.record(span(stamp));
    }
    Ok(spans)
}

fn add_inside_results(results: &mut Results, stamps: &[Stamps], rate: u64, probe: Probe) -> anyhow::Result<()> {
    let limit = 4.0 * probe.commit_ms + probe.spawn_ms + 1.0;
    let floor = move |measure: Measure| measure.relative_to("4 commits + 1 spawn", limit - 1.0);
    let started = spans(stamps, |s| s.started.saturating_duration_since(s.accepted))?;
    started.add_results(
        results,
        SUITE,
        &format!("event accepted → process started, {rate}/s"),
        |label, measure| match (label, rate) {
            ("p50", _) => floor(measure).at_most(limit, format!("≤ 4 commits + 1 spawn + 1 ms = {limit:.1} ms")),
            ("p99", 100) => floor(measure).at_most(50.0, "≤ 50 ms"),
            _ => floor(measure),
        },
    );
    let finished = spans(stamps, |s| s.finished.saturating_duration_since(s.accepted))?;
    finished.add_results(
        results,
        SUITE,
        &format!("event accepted → finished, {rate}/s"),
        |label, measure| match (label, rate) {
            ("p50", 10) => floor(measure).at_most(6.0, "≤ 6 ms where a commit takes ≤ 1 ms"),
            ("p99", 10) => floor(measure).at_most(25.0, "≤ 25 ms where a commit takes ≤ 1 ms"),
            _ => floor(measure),
        },
    );
    let accepted = spans(stamps, |s| s.accepted.saturating_duration_since(s.sent))?;
    accepted.add_results(
        results,
        SUITE,
        &format!("event submitted → accepted, {rate}/s"),
        |_, measure| measure.relative_to("1 commit", probe.commit_ms),
    );
    Ok(())
}

fn add_http_results(results: &mut Results, stamps: &[Stamps], rate: u64) -> anyhow::Result<()> {
    let name = "POST /api/v1/events";
    let answered = spans(stamps, |s| s.accepted.saturating_duration_since(s.sent))?;
    answered.add_results(
        results,
        SUITE,
        &format!("{name}: request → answer, {rate}/s"),
        |_, measure| measure,
    );
    let started = spans(stamps, |s| s.started.saturating_duration_since(s.sent))?;
    started.add_results(
        results,
        SUITE,
        &format!("{name}: request → process started, {rate}/s"),
        |_, measure| measure,
    );
    let finished = spans(stamps, |s| s.finished.saturating_duration_since(s.sent))?;
    finished.add_results(
        results,
        SUITE,
        &format!("{name}: request → finished, {rate}/s"),
        |_, measure| measure,
    );
    Ok(())
}
