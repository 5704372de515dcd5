//! What this machine does at best, with nothing of Attune between: durable commits and started processes.

use crate::{
    measure,
    process::Cpu,
    result::{Measure, Results},
    span::Spans,
    testbed::Testbed,
};
use anyhow::Context as _;
use attune_common::store::PgPool;
use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::sleep};

const SUITE: &str = "floors";
const CLIENTS: [usize; 3] = [1, 8, 32];
const AT_A_TIME: [usize; 3] = [1, 2, 4];
const AT_ONCE: Duration = Duration::ZERO;

pub async fn run(testbed: &mut Testbed, results: &mut Results) -> anyhow::Result<()> {
    let period = (testbed.seconds() / 3).max(Duration::from_secs(1));
    let pgbench = prepare_pgbench(testbed).await?;
    if pgbench.is_none() {
        results.note(
            SUITE,
            "pgbench was not found: commits are single inserts of this program",
        );
    }
    for clients in CLIENTS {
        let rate = match &pgbench {
            Some(program) => pgbench_rate(program, &testbed.url, clients, period).await?,
            None => insert_rate(&testbed.pool, clients, period).await?,
        };
        results.add(Measure::new(SUITE, commits_name(clients), rate, "/s"));
    }
    let commits = commit_spans(&testbed.pool, period, AT_ONCE).await?;
    commits.add_results(results, SUITE, "one durable insert", |_, measure| measure);
    for at_a_time in AT_A_TIME {
        let spawned = spawns(at_a_time, period, AT_ONCE).await?;
        let name = format!("spawns of /bin/sh -c 'echo hi', {at_a_time} at a time");
        results.add(Measure::new(SUITE, name.clone(), spawned.rate, "/s").samples(spawned.spans.len()));
        results.add(Measure::new(
            SUITE,
            format!("{name}, CPU per 1,000"),
            spawned.cpu_per_1000,
            "s",
        ));
        if at_a_time == 1 {
            spawned
                .spans
                .add_results(results, SUITE, "one spawn to its end", |_, measure| measure);
        }
    }
    Ok(())
}

fn commits_name(clients: usize) -> String {
    format!(
        "durable commits (pgbench -N -M prepared), {clients} client{}",
        if clients == 1 { "" } else { "s" }
    )
}

/// The floors of a suite, measured right before it, because other load on the machine varies.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    pub commit_ms: f64,
    pub commits_per_second: f64,
    pub spawn_ms: f64,
    /// The best of 2 and 4 at a time.
    pub spawns_per_second: f64,
    pub spawn_cpu_per_1000: f64,
}

impl Probe {
    pub async fn take(testbed: &Testbed) -> anyhow::Result<Self> {
        let period = (testbed.seconds() / 10).clamp(Duration::from_millis(300), Duration::from_secs(2));
        let commits = commit_spans(&testbed.pool, period, AT_ONCE).await?;
        let commits_per_second = commits_per_second(testbed, 1, period.max(Duration::from_secs(1))).await?;
        let alone = spawns(1, period, AT_ONCE).await?;
        let two = spawns(2, period, AT_ONCE).await?;
        let four = spawns(4, period, AT_ONCE).await?;
        let best = if two.rate > four.rate { two } else { four };
        Ok(Self {
            commit_ms: commits.ms(50.0),
            commits_per_second,
            spawn_ms: alone.spans.ms(50.0),
            spawns_per_second: best.rate,
            spawn_cpu_per_1000: best.cpu_per_1000,
        })
    }
}

/// Durable commits of this many clients.
pub async fn commits_per_second(testbed: &Testbed, clients: usize, period: Duration) -> anyhow::Result<f64> {
    match prepare_pgbench(testbed).await? {
        Some(program) => pgbench_rate(&program, &testbed.url, clients, period).await,
        None => insert_rate(&testbed.pool, clients, period).await,
    }
}

/// Commits and spawns one by one with a pause in between, as a steady rate leaves it: what rests is slower than what is busy.
pub async fn paced(testbed: &Testbed, suite: &'static str, rate: u64, results: &mut Results) -> anyhow::Result<()> {
    let (period, pause) = (testbed.seconds() / 2, Duration::from_secs(1) / u32::try_from(rate)?);
    let name = |what| format!("{what}, {} ms after the one before", pause.as_millis());
    let commits = commit_spans(&testbed.pool, period, pause).await?;
    commits.add_results(results, suite, &name("one durable insert"), |_, measure| measure);
    let spawned = spawns(1, period, pause).await?.spans;
    spawned.add_results(results, suite, &name("one spawn to its end"), |_, measure| measure);
    Ok(())
}

/// One connection that commits one row after another, with such a pause in between.
async fn commit_spans(pool: &PgPool, period: Duration, pause: Duration) -> anyhow::Result<Spans> {
    let mut spans = Spans::new()?;
    let mut connection = pool.acquire().await?;
    let started = Instant::now();
    while started.elapsed() < period {
        let before = Instant::now();
        measure::commit(&mut connection).await?;
        spans.record(before.elapsed());
        if pause > AT_ONCE {
            sleep(pause).await;
        }
    }
    Ok(spans)
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
async fn insert_rate(pool: &PgPool, clients: usize, period: Duration) -> anyhow::Result<f64> {
    let started = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..clients {
        let pool = pool.clone();
        running.spawn(async move { commit_spans(&pool, period, AT_ONCE).await.map(|spans| spans.len()) });
    }
    let mut commits = 0;
    while let Some(done) = running.join_next().await {
        commits += done.context("a client ended early")??;
    }
    Ok(commits as f64 / started.elapsed().as_secs_f64())
}

/// Where `pgbench` is, with its tables made. None when this machine does not have it.
async fn prepare_pgbench(testbed: &Testbed) -> anyhow::Result<Option<PathBuf>> {
    let Some(program) = find_pgbench(testbed) else {
        return Ok(None);
    };
    if measure::has_pgbench_tables(&testbed.pool).await? {
        return Ok(Some(program));
    }
    let mut command = pgbench(&program);
    command.args(["-i", "-q", "-s", "5", &testbed.url]);
    output(command).await.context("pgbench could not make its tables")?;
    Ok(Some(program))
}

fn find_pgbench(testbed: &Testbed) -> Option<PathBuf> {
    let named = testbed.options.postgres_bin.iter().map(|folder| folder.join("pgbench"));
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let installed = installed.map(|version| version.path().join("bin/pgbench"));
    let usual =
        ["/usr/bin", "/usr/local/bin", "/usr/local/pgsql/bin"].map(|folder| PathBuf::from(folder).join("pgbench"));
    named.chain(installed).chain(usual).find(|program| program.is_file())
}

async fn pgbench_rate(program: &PathBuf, url: &str, clients: usize, period: Duration) -> anyhow::Result<f64> {
    let (clients, seconds) = (clients.to_string(), period.as_secs().max(1).to_string());
    let mut command = pgbench(program);
    command.args(["-n", "-N", "-M", "prepared", "-c", &clients, "-T", &seconds, url]);
    let text = output(command).await.context("pgbench failed")?;
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = "));
    rate.and_then(|rate| rate.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("pgbench printed no rate: {text}"))
}

fn pgbench(program: &PathBuf) -> Command {
    #[expect(clippy::disallowed_methods, reason = "this module owns the processes of the floors")]
    let mut command = Command::new(program);
    command
        .env("PGOPTIONS", format!("-c search_path={}", measure::SCHEMA))
        .stdin(Stdio::null());
    command
}

async fn output(mut command: Command) -> anyhow::Result<String> {
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .context("interrupted")??;
    anyhow::ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

struct Spawned {
    rate: f64,
    spans: Spans,
    cpu_per_1000: f64,
}

/// Starts of a program that prints a line, per second: the best of 2 and 4 at a time.
pub async fn rate(program: &'static str, arguments: &'static [&str], period: Duration) -> anyhow::Result<f64> {
    let mut best = 0.0_f64;
    for at_a_time in [2, 4] {
        let spawned =
            tokio::task::spawn_blocking(move || spawn_on_threads(program, arguments, at_a_time, period, AT_ONCE));
        best = best.max(spawned.await.context("interrupted")??.rate);
    }
    Ok(best)
}

async fn spawns(at_a_time: usize, period: Duration, pause: Duration) -> anyhow::Result<Spawned> {
    tokio::task::spawn_blocking(move || spawn_on_threads("/bin/sh", &["-c", "echo hi"], at_a_time, period, pause))
        .await
        .context("interrupted")?
}

/// Starts processes in the plain way and reads their output, on this many threads.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn spawn_on_threads(
    program: &str,
    arguments: &[&str],
    at_a_time: usize,
    period: Duration,
    pause: Duration,
) -> anyhow::Result<Spawned> {
    let spans = Mutex::new(Spans::new()?);
    let failed = AtomicU64::new(0);
    let (cpu, started) = (Cpu::now()?, Instant::now());
    thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                while started.elapsed() < period {
                    let before = Instant::now();
                    if !starts(program, arguments) {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                    spans
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .record(before.elapsed());
                    thread::sleep(pause);
                }
            });
        }
    });
    let (elapsed, cpu) = (started.elapsed(), Cpu::now()? - cpu);
    let spans = spans.into_inner().unwrap_or_else(PoisonError::into_inner);
    anyhow::ensure!(
        failed.into_inner() == 0 && spans.len() > 0,
        "{program} could not be started"
    );
    Ok(Spawned {
        rate: spans.len() as f64 / elapsed.as_secs_f64(),
        cpu_per_1000: (cpu.own + cpu.actions) / spans.len() as f64 * 1000.0,
        spans,
    })
}

fn starts(program: &str, arguments: &[&str]) -> bool {
    #[expect(clippy::disallowed_methods, reason = "this module owns the processes of the floors")]
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success() && output.stdout.ends_with(b"\n"))
}
