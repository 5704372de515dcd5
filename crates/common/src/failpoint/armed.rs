//! The points of a build for tests.

use crate::config::variable;
use nix::{
    sys::signal::{Signal, kill},
    unistd::getpid,
};
use std::{
    collections::HashMap,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

static ARMED: LazyLock<HashMap<String, Armed>> = LazyLock::new(|| {
    let specification = variable("ATTUNE_FAILPOINTS").unwrap_or_default();
    parse(&specification).unwrap_or_else(|wrong| {
        eprintln!(
            "ATTUNE_FAILPOINTS: {wrong:?} is not NAME=abort[@N] or NAME=pause:MS[@N] with a name of failpoint::ALL"
        );
        end()
    })
});

#[derive(Debug)]
struct Armed {
    does: Does,
    nth: u64,
    hits: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Abort,
    Pause(Duration),
}

/// Passes a point.
pub async fn hit(point: &'static str) {
    if let Some(pause) = fires(point) {
        tokio::time::sleep(pause).await;
    }
}

/// Passes a point outside the runtime.
pub fn hit_blocking(point: &'static str) {
    if let Some(pause) = fires(point) {
        std::thread::sleep(pause);
    }
}

/// How long to wait here, if at all.
fn fires(point: &'static str) -> Option<Duration> {
    let armed = ARMED.get(point)?;
    if armed.hits.fetch_add(1, Ordering::Relaxed) + 1 != armed.nth {
        return None;
    }
    // Written at once, whatever the log's level is, and before the end.
    match armed.does {
        Does::Abort => {
            eprintln!("failpoint {point}=abort");
            end()
        }
        Does::Pause(pause) => {
            eprintln!("failpoint {point}=pause");
            Some(pause)
        }
    }
}

/// As kill -9: nothing is put down, no destructor runs.
fn end() -> ! {
    let _ = kill(getpid(), Signal::SIGKILL);
    std::process::abort()
}

/// The part that is wrong, as an error.
fn parse(specification: &str) -> Result<HashMap<String, Armed>, String> {
    let parts = specification.split(',').filter(|part| !part.is_empty());
    parts.map(|part| one(part).ok_or_else(|| part.to_owned())).collect()
}

fn one(part: &str) -> Option<(String, Armed)> {
    let (name, does) = part.split_once('=')?;
    let (does, nth) = match does.split_once('@') {
        Some((does, nth)) => (does, nth.parse().ok()?),
        None => (does, 1),
    };
    let does = match does.split_once(':') {
        Some(("pause", milliseconds)) => Does::Pause(Duration::from_millis(milliseconds.parse().ok()?)),
        None if does == "abort" => Does::Abort,
        _ => return None,
    };
    let hits = AtomicU64::new(0);
    super::ALL
        .contains(&name)
        .then(|| (name.to_owned(), Armed { does, nth, hits }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arms_a_point() {
        let armed = parse("t1.before_commit=abort@3,bus.publish=pause:250").unwrap();
        let of = |name: &str| (armed[name].does, armed[name].nth);
        assert_eq!(of("t1.before_commit"), (Does::Abort, 3));
        assert_eq!(of("bus.publish"), (Does::Pause(Duration::from_millis(250)), 1));
        assert_eq!(armed.len(), 2);
        assert!(parse("").unwrap().is_empty());
        for wrong in [
            "t1.before_commit",
            "t9=abort",
            "bus.publish=pause",
            "bus.publish=abort@x",
            "bus.publish=stop",
        ] {
            assert_eq!(parse(wrong).unwrap_err(), wrong);
        }
    }
}
