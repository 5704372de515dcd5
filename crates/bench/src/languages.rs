//! Actions in Python and HTTP requests, next to what the machine does with the same work.

use crate::{
    drive::Target,
    floor,
    measure::{self, NewAction},
    result::{Measure, Results},
    testbed::Testbed,
    throughput::{Run, calibrated, samples},
};
use anyhow::Context as _;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

const PYTHON: &str = "python";
const HTTP: &str = "core.http";
/// A function runs in a fork of a process that has loaded it.
const WARM: &str = "def run():\n    return 1";
/// A script is started each time.
const COLD: &str = "import attune\nattune.result(1)";
/// What the cold start of such a script loads.
const FLOOR: [&str; 3] = ["-I", "-c", "import json; print(1)"];

pub async fn python(testbed: &mut Testbed, results: &mut Results) -> anyhow::Result<()> {
    let period = testbed.seconds() / 3;
    let plain = floor::rate("python3", &FLOOR, period).await?;
    results.add(Measure::new(
        PYTHON,
        "python3 -I -c 'import json', best of 2 and 4 at a time",
        plain,
        "/s",
    ));
    for (name, program) in [("cold", COLD), ("warm", WARM)] {
        let run = one(testbed, PYTHON, name, "core.python", program, "{}").await?;
        let rate = rate(PYTHON, &format!("{name}: events → finished executions"), &run);
        results.add(match name {
            "cold" => rate
                .relative_to("plain starts", plain)
                .at_least(plain / 1.15, "≥ plain starts / 1.15"),
            _ => rate
                .relative_to("plain starts", plain)
                .at_least(5.0 * plain, "≥ 5 × plain starts"),
        });
        results.add(Measure::new(
            PYTHON,
            format!("{name}: CPU per 1,000"),
            run.cpu_per_1000(),
            "s",
        ));
    }
    Ok(())
}

pub async fn http(testbed: &mut Testbed, results: &mut Results) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("no port is free")?;
    let url = format!("http://{}/", listener.local_addr()?);
    let mut server = JoinSet::new();
    server.spawn(serve(listener));
    let native = one(testbed, HTTP, "native", "core.native", "noop", "{}").await?;
    let schema = json!({"type": "object", "properties": {"url": {"type": "string", "default": url}}}).to_string();
    let run = one(testbed, HTTP, "request", "core.native", "http", &schema).await?;
    results.add(rate(HTTP, "native: events → finished executions", &native));
    results.add(
        rate(
            HTTP,
            "requests to a server on loopback: events → finished executions",
            &run,
        )
        .relative_to("native throughput", native.rate)
        .at_least(0.6 * native.rate, "≥ 0.6 × native"),
    );
    Ok(())
}

fn rate(suite: &'static str, name: &str, run: &Run) -> Measure {
    Measure::new(suite, name, run.rate, "/s").samples(samples(run))
}

/// The throughput of one action.
async fn one(
    testbed: &Testbed,
    suite: &str,
    name: &str,
    runtime: &str,
    entry_point: &str,
    schema: &str,
) -> anyhow::Result<Run> {
    let name = format!("{suite}_{name}");
    let action = NewAction {
        name: &name,
        runtime,
        entry_point,
        parameters_schema: serde_json::from_str(schema)?,
    };
    let action = measure::make_action(&testbed.pool, &action).await?;
    let target = Target::make(testbed, &name, 1, &action, None).await?;
    calibrated(testbed, &target, testbed.seconds()).await
}

/// Answers every request with a few bytes.
async fn serve(listener: TcpListener) -> anyhow::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (connection, _) = listener.accept().await?;
        connection.set_nodelay(true)?;
        connections.spawn(answer(connection));
    }
}

async fn answer(mut connection: TcpStream) -> anyhow::Result<()> {
    let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let length = connection.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        received.extend_from_slice(buffer.get(..length).unwrap_or_default());
        if received.ends_with(b"\r\n\r\n") {
            received.clear();
            connection
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\n{\"ok\":1}")
                .await?;
        }
    }
}
