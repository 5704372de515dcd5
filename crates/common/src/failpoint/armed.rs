//! The points in a build for tests.

use super::points::ALL;
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
    effect: Effect,
    nth: u64,
    hits: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
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

/// The pause at this point, if there is one.
fn fires(point: &'static str) -> Option<Duration> {
    let armed = ARMED.get(point)?;
    if armed.hits.fetch_add(1, Ordering::Relaxed) + 1 != armed.nth {
        return None;
    }
    // Written to standard error regardless of the log level, and before the process is killed.
    match armed.effect {
        Effect::Abort => {
            eprintln!("failpoint {point}=abort");
            end()
        }
        Effect::Pause(pause) => {
            eprintln!("failpoint {point}=pause");
            Some(pause)
        }
    }
}

/// Like kill -9: no destructor runs.
fn end() -> ! {
    let _ = kill(getpid(), Signal::SIGKILL);
    std::process::abort()
}

/// The error is the invalid part.
fn parse(specification: &str) -> Result<HashMap<String, Armed>, String> {
    let parts = specification.split(',').filter(|part| !part.is_empty());
    parts.map(|part| one(part).ok_or_else(|| part.to_owned())).collect()
}

fn one(part: &str) -> Option<(String, Armed)> {
    let (name, effect) = part.split_once('=')?;
    let (effect, nth) = match effect.split_once('@') {
        Some((effect, nth)) => (effect, nth.parse().ok()?),
        None => (effect, 1),
    };
    let effect = match effect.split_once(':') {
        Some(("pause", milliseconds)) => Effect::Pause(Duration::from_millis(milliseconds.parse().ok()?)),
        None if effect == "abort" => Effect::Abort,
        _ => return None,
    };
    let hits = AtomicU64::new(0);
    ALL.contains(&name)
        .then(|| (name.to_owned(), Armed { effect, nth, hits }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifications_are_parsed() {
        let armed = parse("t1.before_commit=abort@3,bus.publish=pause:250").unwrap();
        let of = |name: &str| (armed[name].effect, armed[name].nth);
        assert_eq!(of("t1.before_commit"), (Effect::Abort, 3));
        assert_eq!(of("bus.publish"), (Effect::Pause(Duration::from_millis(250)), 1));
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
