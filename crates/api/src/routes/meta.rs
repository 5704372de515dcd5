//! What a client has to know about the installation before it signs in.

use crate::{
    answer::One,
    api::Api,
    limits::{BATCH_MAX, WAIT_SECONDS_MAX},
    request::{body::BYTES_MAX, query::LIMIT_MAX},
    ui,
};
use attune_domain::timer;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// What clients of several releases distinguish.
const FEATURES: [&str; 3] = ["timers", "webhooks", "packs"];

#[derive(Debug, Serialize, ToSchema)]
pub struct Meta {
    version: &'static str,
    /// Identifies the build of the web UI; null if the program has none.
    ui_build: Option<String>,
    /// The version of the time zone database.
    timezone_data: &'static str,
    /// The time zone of schedules that have none.
    timezone: &'static str,
    /// The address that people use.
    public_url: String,
    features: Vec<&'static str>,
    limits: MetaLimits,
}

/// The limits of requests.
#[derive(Debug, Serialize, ToSchema)]
pub struct MetaLimits {
    /// The largest `limit` of a list.
    page: u16,
    /// The largest body, in bytes.
    body_bytes: usize,
    /// The most events in a batch.
    batch: usize,
    /// The largest `wait`, in seconds.
    wait_seconds: u8,
    /// Requests per second of a caller; 0 is unlimited.
    requests_per_second: u32,
}

pub async fn get(State(api): State<Api>) -> One<Meta> {
    One::new(Meta {
        version: env!("CARGO_PKG_VERSION"),
        ui_build: ui::build(),
        timezone_data: timer::ZONE_DATA,
        timezone: timer::DEFAULT_ZONE,
        public_url: api.public_url(),
        features: FEATURES.to_vec(),
        limits: MetaLimits {
            page: LIMIT_MAX,
            body_bytes: BYTES_MAX,
            batch: BATCH_MAX,
            wait_seconds: WAIT_SECONDS_MAX,
            requests_per_second: api.config.api.requests_per_second,
        },
    })
}
