//! Timers in a real database whose clock the tests set. The steps of a sensor are called one by one, so an outage of two
//! days takes no time, and the tests check exactly what fires and what is missed.
#![expect(clippy::expect_used, reason = "a failed setup panics where it fails")]

mod alerts;
mod changes;
mod files;
mod history;
mod lateness;
mod many_sensors;
mod outages;
mod skew;
mod test_files;
mod test_sensor;
