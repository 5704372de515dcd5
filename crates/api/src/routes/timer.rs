//! Timers: how they do, and when they will fire.

use crate::{
    answer::List,
    answer::One,
    api::Api,
    check,
    problem::Problem,
    request::{Body, Name, Query, form, query},
    routes::trigger::timer_config,
};
use attune_common::store::{db, timer_list, trigger};
use attune_domain::{
    TriggerId,
    timer::{Occurrence, Timer, TimerConfig, occurrences},
};
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

const PREVIEW_MAX: u16 = 200;

form! {
    pub struct TimerFilter {
        limit: u16 = 50,
        cursor: Option<String>,
    }
}

form! {
    pub struct PreviewForm {
        /// As in a trigger.
        config: Value,
        /// Default: now.
        after: Option<DateTime<Utc>>,
        limit: u16 = 8,
    }
}

form! {
    pub struct OccurrenceFilter {
        /// Default: now.
        from: Option<DateTime<Utc>>,
        to: Option<DateTime<Utc>>,
        limit: u16 = 8,
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Occurrences {
    occurrences: Vec<Occurrence>,
}

pub async fn list(
    State(api): State<Api>,
    Query(filter): Query<TimerFilter>,
) -> Result<List<timer_list::Timer>, Problem> {
    let page = query::page(filter.limit, filter.cursor)?;
    let rows = timer_list::page(&api.pool, &page).await?;
    Ok(List::of(rows, page.limit, |timer| timer.trigger_ref.clone()))
}

/// When a configuration would fire that is not saved yet.
pub async fn preview(State(api): State<Api>, body: Body<PreviewForm>) -> Result<One<Occurrences>, Problem> {
    let form = body.form;
    let config = TimerConfig::parse(&form.config).map_err(|errors| check::nested("config", errors))?;
    upcoming(&api, &config, TriggerId(0), (form.after, None), form.limit).await
}

/// When a timer will fire.
pub async fn of_trigger(
    State(api): State<Api>,
    Name(key): Name,
    Query(filter): Query<OccurrenceFilter>,
) -> Result<One<Occurrences>, Problem> {
    let found = trigger::get(&api.pool, &key)
        .await?
        .ok_or_else(|| Problem::not_found("trigger", &key))?;
    let config = timer_config(&found)?;
    upcoming(&api, &config, found.id, (filter.from, filter.to), filter.limit).await
}

async fn upcoming(
    api: &Api,
    config: &TimerConfig,
    trigger: TriggerId,
    (after, until): (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    limit: u16,
) -> Result<One<Occurrences>, Problem> {
    if !(1..=PREVIEW_MAX).contains(&limit) {
        return Err(Problem::field(
            "limit",
            format!("is {limit}: must be 1 to {PREVIEW_MAX}"),
        ));
    }
    let timer = Timer::compile(config, trigger).map_err(|errors| check::nested("config", errors))?;
    let after = match after {
        Some(after) => after,
        None => db::now(&api.pool).await?,
    };
    let occurrences = occurrences(&timer, after, until).take(usize::from(limit)).collect();
    Ok(One::new(Occurrences { occurrences }))
}
