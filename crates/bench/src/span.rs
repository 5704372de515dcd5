//! Distributions of durations, in microseconds up to ten minutes.

use crate::result::{Measure, Results};
use anyhow::Context as _;
use hdrhistogram::Histogram;
use std::time::Duration;

const MICROS_MAX: u64 = 600_000_000;
/// The percentiles of a plot.
const PLOTTED: [f64; 15] = [
    0.0, 1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.9, 99.99, 100.0,
];

#[derive(Debug, Clone)]
pub struct Spans(Histogram<u64>);

impl Spans {
    pub fn new() -> anyhow::Result<Self> {
        let histogram = Histogram::new_with_bounds(1, MICROS_MAX, 3).context("failed to make a histogram")?;
        Ok(Self(histogram))
    }

    pub fn record(&mut self, span: Duration) {
        self.0
            .saturating_record(u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
    }

    pub fn record_ms(&mut self, ms: f64) {
        self.record(Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default());
    }

    pub fn len(&self) -> u64 {
        self.0.len()
    }

    pub fn ms(&self, percentile: f64) -> f64 {
        micros_to_ms(self.0.value_at_percentile(percentile))
    }

    pub fn max_ms(&self) -> f64 {
        micros_to_ms(self.0.max())
    }

    /// Adds p50, p95 and p99, and the distribution for the plot. `goals` may set goals on them.
    pub fn add_results(
        &self,
        results: &mut Results,
        suite: &'static str,
        name: &str,
        goals: impl Fn(&str, Measure) -> Measure,
    ) {
        for (label, percentile) in [("p50", 50.0), ("p95", 95.0), ("p99", 99.0)] {
            let measure =
                Measure::new(suite, format!("{name}, {label}"), self.ms(percentile), "ms").samples(self.len());
            results.add(goals(label, measure));
        }
        let points = PLOTTED.map(|percentile| (percentile, self.ms(percentile)));
        results.distributions.insert(name.to_owned(), points.to_vec());
    }
}

#[expect(clippy::cast_precision_loss, reason = "times far below 2^52 microseconds")]
fn micros_to_ms(micros: u64) -> f64 {
    micros as f64 / 1000.0
}
