//! Which responses are retried, and after which pause. Pure.

use crate::Problem;
use std::time::Duration;

/// The first pause without `Retry-After`. It doubles with each retry.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What is known of a refused request.
#[derive(Debug)]
pub struct Refusal<'a> {
    pub problem: &'a Problem,
    pub retry_after: Option<Duration>,
    /// Repeating the request has no further effect.
    pub repeatable: bool,
    /// Retries before this one.
    pub retries: u32,
}

/// The pause before the next try, or none if the request must not or need not be repeated.
pub fn pause(refusal: &Refusal<'_>) -> Option<Duration> {
    let retried = match refusal.problem.status {
        429 => true,
        // `overloaded`: the server refused it before it did anything.
        503 => refusal.repeatable || refusal.problem.name() == "overloaded",
        _ => false,
    };
    let doubled = PAUSE_MIN.saturating_mul(2_u32.saturating_pow(refusal.retries.min(10)));
    retried.then(|| refusal.retry_after.unwrap_or(doubled.min(PAUSE_MAX)).max(PAUSE_MIN))
}

/// The value of `Retry-After`, if it is a number of seconds.
pub fn retry_after(value: Option<&str>) -> Option<Duration> {
    value?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refused_or_repeatable_requests_are_retried() {
        let check =
            |status: u16, kind: &str, repeatable: bool, after: Option<&str>, retries: u32, millis: Option<u64>| {
                let problem = Problem {
                    status,
                    kind: format!("urn:attune:problem:{kind}"),
                    ..Problem::default()
                };
                let refusal = Refusal {
                    problem: &problem,
                    retry_after: retry_after(after),
                    repeatable,
                    retries,
                };
                assert_eq!(
                    pause(&refusal),
                    millis.map(Duration::from_millis),
                    "{status} {kind} {repeatable} {after:?} {retries}"
                );
            };
        check(429, "rate_limited", false, Some("2"), 0, Some(2_000));
        check(429, "rate_limited", false, None, 0, Some(500));
        check(429, "rate_limited", false, None, 3, Some(4_000));
        check(429, "rate_limited", false, None, 99, Some(10_000));
        check(429, "rate_limited", false, Some("0"), 0, Some(500));
        check(429, "rate_limited", false, Some("3600"), 0, Some(3_600_000));
        check(503, "unavailable", true, Some("2"), 0, Some(2_000));
        check(503, "unavailable", false, Some("2"), 0, None);
        check(503, "overloaded", false, Some("1"), 0, Some(1_000));
        check(500, "internal", true, None, 0, None);
        check(409, "exists", true, Some("1"), 0, None);
        assert_eq!(retry_after(Some("Wed, 21 Oct 2026 07:28:00 GMT")), None);
    }
}
