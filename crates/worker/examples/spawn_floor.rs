//! Measures the runner beside the machine's own speed: `/bin/sh -c 'echo hi'` started by two threads of nothing but
//! `std::process::Command`, and by the runner with two and more at a time.
//!
//! `cargo run -p attune-worker --example spawn_floor [seconds]`

use attune_domain::ExecutionId;
use attune_worker::{
    runner::{Invocation, Outcome, Runner, Settings, Work},
    supervisor,
};
use serde_json::json;
use std::{
    env,
    process::{Command, ExitCode},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

fn main() -> ExitCode {
    if let Some(code) = supervisor::run_if_asked() {
        return code;
    }
    let seconds = env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(3);
    let period = Duration::from_secs(seconds);
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    println!(
        "{:>10} {:>12} {:>12} {:>6}",
        "at a time", "floor /s", "runner /s", "ratio"
    );
    for at_a_time in [1, 2, 4, 8] {
        let floor = floor(at_a_time, period);
        match runtime.block_on(runner(at_a_time, period)) {
            Ok(runner) => println!("{at_a_time:>10} {floor:>12.0} {runner:>12.0} {:>6.2}", runner / floor),
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

#[expect(clippy::disallowed_methods, reason = "the floor is the plain way to start a process")]
fn floor(at_a_time: usize, period: Duration) -> f64 {
    let started = Instant::now();
    let count = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                while started.elapsed() < period {
                    let output = Command::new("/bin/sh").args(["-c", "echo hi"]).output();
                    assert!(output.is_ok_and(|output| output.stdout == b"hi\n"));
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    rate(count.into_inner(), started)
}

async fn runner(at_a_time: usize, period: Duration) -> std::io::Result<f64> {
    let tracker = TaskTracker::new();
    let runner = Runner::start(Settings::default(), &tracker).await?;
    let started = Instant::now();
    let count = Arc::new(AtomicU64::new(0));
    let lanes: Vec<_> = (0..at_a_time)
        .map(|_| {
            let (runner, count) = (runner.clone(), Arc::clone(&count));
            tracker.spawn(async move {
                while started.elapsed() < period {
                    let ended = runner.run(echo(), CancellationToken::new()).await;
                    assert_eq!((ended.outcome, ended.stdout.as_str()), (Outcome::Succeeded, "hi\n"));
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for lane in lanes {
        lane.await?;
    }
    let rate = rate(count.load(Ordering::Relaxed), started);
    runner.stop();
    tracker.close();
    tracker.wait().await;
    Ok(rate)
}

fn echo() -> Invocation {
    Invocation {
        execution_id: ExecutionId(Default::default()),
        attempt: 1,
        work: Work::Script {
            interpreter: vec!["/bin/sh".into(), "-c".into()],
            text: "echo hi".into(),
        },
        environment: Vec::new(),
        parameters: json!({"message": "hi"}),
        timeout: Duration::from_secs(60),
        kill_grace: Duration::from_secs(10),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of processes is far from 2^52")]
fn rate(count: u64, started: Instant) -> f64 {
    count as f64 / started.elapsed().as_secs_f64()
}
