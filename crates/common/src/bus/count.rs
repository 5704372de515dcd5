//! The metrics of the bus.
//!
//! `attune_wakes_total{result}`, `attune_controls_total{result}`, `attune_feeds_total{result}` with the results
//! `sent`, `received`, `passed_on` (no local subscriber took the wake), `coalesced`, `full` (the channel to the broker was
//! full), `down` (the broker was unavailable) and `invalid` (too large or malformed); and the gauge `attune_bus_up`.

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Wake,
    Control,
    Feed,
}

pub(super) fn message(kind: Kind, result: &'static str) {
    match kind {
        Kind::Wake => metrics::counter!("attune_wakes_total", "result" => result).increment(1),
        Kind::Control => metrics::counter!("attune_controls_total", "result" => result).increment(1),
        Kind::Feed => metrics::counter!("attune_feeds_total", "result" => result).increment(1),
    }
}

pub(super) fn up(up: bool) {
    metrics::gauge!("attune_bus_up").set(if up { 1.0 } else { 0.0 });
}
