//! Compares the runner with the machine's own speed: `/bin/sh -c 'echo hi'` started by two threads of nothing but
//! `std::process::Command`, and by the runner with two and more at a time.
//!
//! `cargo run -p attune-worker --example spawn_floor [seconds] [isolated]`: with the second word, actions are isolated as in a
//! worker of this user.

use attune_domain::{ExecutionId, resources::Resources};
use attune_worker::{
    runner::{
        Command, Invocation, Outcome, Runner, Settings,
        isolation::{Access, IsolationMode, choose, readable},
    },
    supervisor,
};
use chrono::DateTime;
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::{TimeVal, TimeValLike},
};
use serde_json::json;
use std::{
    env,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

fn main() -> ExitCode {
    if let Some(code) = supervisor::run_if_requested() {
        return code;
    }
    let seconds = env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(3);
    let period = Duration::from_secs(seconds);
    let isolated = env::args().nth(2).is_some_and(|word| word == "isolated");
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    println!("at a time   floor /s  ms CPU   runner /s  ms CPU   rate ratio");
    for at_a_time in [1, 2, 4, 8] {
        let (floor, floor_cost) = costed(|| floor(at_a_time, period));
        let (runner, runner_cost) = costed(|| runtime.block_on(runner(at_a_time, period, isolated)));
        let runner = match runner {
            Ok(runner) => runner,
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        };
        println!(
            "{at_a_time:>9} {:>10.0} {:>7.2} {:>11.0} {:>7.2} {:>12.2}",
            floor.rate,
            floor_cost / floor.count * 1e3,
            runner.rate,
            runner_cost / runner.count * 1e3,
            runner.rate / floor.rate
        );
    }
    ExitCode::SUCCESS
}

struct Measured {
    count: f64,
    rate: f64,
}

/// The result, and the seconds of CPU that this process and all its ended children used for it.
fn costed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let before = cpu_seconds();
    let result = work();
    (result, cpu_seconds() - before)
}

fn cpu_seconds() -> f64 {
    let seconds = |time: TimeVal| Duration::from_micros(time.num_microseconds().unsigned_abs()).as_secs_f64();
    let of = |who| getrusage(who).map_or(0.0, |usage| seconds(usage.user_time()) + seconds(usage.system_time()));
    of(UsageWho::RUSAGE_SELF) + of(UsageWho::RUSAGE_CHILDREN)
}

#[expect(clippy::disallowed_methods, reason = "the floor is the plain way to start a process")]
fn floor(at_a_time: usize, period: Duration) -> Measured {
    let started = Instant::now();
    let count = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                while started.elapsed() < period {
                    let output = std::process::Command::new("/bin/sh").args(["-c", "echo hi"]).output();
                    assert!(output.is_ok_and(|output| output.stdout == b"hi\n"));
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    measured(count.into_inner(), started)
}

fn settings(isolated: bool) -> std::io::Result<Settings> {
    let mut settings = Settings::default();
    if isolated {
        let access = Access {
            readable: readable().collect(),
            ..Access::default()
        };
        let wanted = IsolationMode::Isolated { uid_base: 70_000 };
        (settings.isolation, _) = choose(wanted, access, &settings.scratch_directory)?;
    }
    Ok(settings)
}

async fn runner(at_a_time: usize, period: Duration, isolated: bool) -> std::io::Result<Measured> {
    let tracker = TaskTracker::new();
    let runner = Runner::start(settings(isolated)?, &tracker).await?;
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
    let measured = measured(count.load(Ordering::Relaxed), started);
    runner.stop();
    tracker.close();
    tracker.wait().await;
    Ok(measured)
}

fn echo() -> Invocation {
    Invocation {
        execution_id: ExecutionId::random(DateTime::UNIX_EPOCH, [0; 10]),
        attempt: 1,
        command: Command::Script {
            interpreter: vec!["/bin/sh".into(), "-c".into()],
            text: "echo hi".into(),
        },
        template: None,
        pack_dir: None,
        environment: Vec::new(),
        parameters: json!({"message": "hi"}),
        files: Vec::new(),
        redactor: None,
        variables: vec!["message".into()],
        resources: Resources::default(),
        timeout: Duration::from_secs(60),
        kill_grace: Duration::from_secs(10),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of processes is far from 2^52")]
fn measured(count: u64, started: Instant) -> Measured {
    let count = count as f64;
    Measured {
        count,
        rate: count / started.elapsed().as_secs_f64(),
    }
}
