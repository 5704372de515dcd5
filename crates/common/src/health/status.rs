//! How well a part of a service works.

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Ok,
    /// Works with restrictions, for example while the bus is down or a timer is in error.
    Degraded,
    Failing,
}
