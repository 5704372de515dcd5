//! Typed ids. Definitions have numbers assigned by the database; occurrences have UUIDs **computed from their cause**,
//! so that a repeated step finds the row that it created the first time.
//!
//! The first 48 bits of an occurrence's id are a Unix time in milliseconds (the layout of UUIDv7), so ids sort by time
//! and a table can be partitioned by its primary key.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};
use utoipa::ToSchema;
use uuid::Uuid;

macro_rules! definition_ids {
    ($($name:ident)*) => {$(
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

macro_rules! occurrence_ids {
    ($($name:ident)*) => {$(
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// An id of something caused from outside Attune: a request or a delivery.
            pub fn random(at: DateTime<Utc>, random: [u8; 10]) -> Self {
                Self(compose(at.timestamp_millis(), &random))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::from_str(text).map(Self)
            }
        }
    )*};
}

definition_ids! { PackId RuntimeId TriggerId ActionId RuleId IdentityId }
occurrence_ids! { EventId EnforcementId ExecutionId }

impl EventId {
    /// The id of the only event of a timer's occurrence.
    pub fn of_timer(trigger: TriggerId, scheduled_at: DateTime<Utc>) -> Self {
        let cause = [trigger.0.to_be_bytes(), scheduled_at.timestamp_micros().to_be_bytes()].concat();
        Self(compose(scheduled_at.timestamp_millis(), &digest(b"event", &cause)))
    }

    /// The id of an event about files that is written at this instant. A file may return to a state that it had before, so the
    /// cause alone does not identify the event; the row of the file prevents a repetition.
    pub fn of_files(at: DateTime<Utc>, cause: &[u8]) -> Self {
        Self(compose(at.timestamp_millis(), &digest(b"files", cause)))
    }
}

impl EnforcementId {
    /// The id of the only enforcement of an event and a rule.
    pub fn of(event: EventId, rule: RuleId) -> Self {
        let cause = [event.0.as_bytes().as_slice(), &rule.0.to_be_bytes()].concat();
        Self(compose(millis(event.0), &digest(b"enforcement", &cause)))
    }
}

impl ExecutionId {
    /// The id of the only root execution of an enforcement.
    pub fn of(enforcement: EnforcementId) -> Self {
        let cause = enforcement.0.as_bytes();
        Self(compose(millis(enforcement.0), &digest(b"execution", cause)))
    }
}

/// The smallest id of an instant. It turns bounds of time into bounds of ids, and so of partitions.
pub fn floor(at: DateTime<Utc>) -> Uuid {
    // Not through `compose`, whose version and variant bits would leave ids below this one.
    Uuid::from_u128(u128::try_from(at.timestamp_millis()).unwrap_or(0) << 80)
}

/// The first id of the millisecond that `id` lies in, and the first id after it. Everything that follows from one event
/// is in this range.
pub fn same_instant(id: Uuid) -> (Uuid, Uuid) {
    let begin = id.as_u128() >> 80;
    (Uuid::from_u128(begin << 80), Uuid::from_u128((begin + 1) << 80))
}

/// The time part of an occurrence's id.
fn millis(id: Uuid) -> i64 {
    let mut bytes = [0_u8; 8];
    bytes[2..].copy_from_slice(&id.as_bytes()[..6]);
    i64::from_be_bytes(bytes)
}

fn compose(millis: i64, rest: &[u8; 10]) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(millis).unwrap_or(0), rest).into_uuid()
}

/// Ten bytes that identify a cause; `kind` separates the causes of different rows.
fn digest(kind: &[u8], cause: &[u8]) -> [u8; 10] {
    let hash = Sha256::new().chain_update(kind).chain_update(cause).finalize();
    let mut short = [0; 10];
    short.copy_from_slice(&hash[..10]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a valid instant")
    }

    #[test]
    fn same_cause_same_id() {
        let event = EventId::of_timer(TriggerId(7), noon());
        assert_eq!(event, EventId::of_timer(TriggerId(7), noon()));
        assert_ne!(event, EventId::of_timer(TriggerId(8), noon()));
        assert_eq!(EnforcementId::of(event, RuleId(1)), EnforcementId::of(event, RuleId(1)));
        assert_ne!(EnforcementId::of(event, RuleId(1)), EnforcementId::of(event, RuleId(2)));
    }

    #[test]
    fn an_id_carries_the_time_of_its_cause() {
        let event = EventId::of_timer(TriggerId(7), noon());
        let execution = ExecutionId::of(EnforcementId::of(event, RuleId(1)));
        assert_eq!(millis(event.0), noon().timestamp_millis());
        assert_eq!(millis(execution.0), noon().timestamp_millis());
        assert_eq!(event.0.get_version_num(), 7);
    }

    #[test]
    fn an_instant_bounds_its_ids() {
        let event = EventId::of_timer(TriggerId(7), noon());
        let next = noon() + chrono::TimeDelta::milliseconds(1);
        assert!(floor(noon()) <= event.0 && event.0 < floor(next));
        assert_eq!(same_instant(event.0), (floor(noon()), floor(next)));
    }

    /// A release must not change computed ids: databases contain them.
    #[test]
    fn computed_ids_are_stable() {
        let event = EventId::of_timer(TriggerId(7), noon());
        let enforcement = EnforcementId::of(event, RuleId(1));
        let seen = [event.0, enforcement.0, ExecutionId::of(enforcement).0].map(|id| id.to_string());
        insta::assert_debug_snapshot!(seen);
    }
}
