//! Timers in a real database, with a clock that the tests set: a sensor's steps are called by hand, so an outage of two days
//! takes no time, and what fires and what is counted as missed is exact.
#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

mod changes;
mod history;
mod lateness;
mod many_sensors;
mod outages;
mod skew;
mod support;
