//! Timers: their status, and when they will fire.

use crate::{
    answer::List,
    answer::One,
    api::Api,
    problem::Problem,
    request::{Body, Name, Query, form, query},
    routes::trigger::{present, timer_config},
};
use attune_common::{
    clock,
    store::{self, db, timer_list, trigger},
};
use attune_domain::{
    TriggerId,
    definition::Present,
    moment::Moment,
    timer::{self, Occurrence, Timer, TimerConfig, Zone, occurrences, why_none},
};
use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

const PREVIEW_MAX: u16 = 200;

form! {
    pub struct TimerFilter {
        limit: u16 where (1..=query::LIMIT_MAX) = 50,
        cursor: Option<String>,
    }
}

form! {
    pub struct PreviewForm {
        /// The configuration, as in a trigger.
        config: Value,
        /// Only occurrences after this instant; now by default.
        after: Option<DateTime<Utc>>,
        limit: u16 where (1..=PREVIEW_MAX) = 8,
    }
}

form! {
    pub struct OccurrenceFilter {
        /// The earliest instant: a time, a date (its midnight in UTC), or an offset from now such as `1h`. Default: now.
        #[schema(value_type = Option<String>)]
        from: Option<Moment>,
        /// Instead of `from`: only occurrences after this instant.
        #[schema(value_type = Option<String>)]
        after: Option<Moment>,
        /// Only occurrences before this instant.
        #[schema(value_type = Option<String>)]
        to: Option<Moment>,
        limit: u16 where (1..=PREVIEW_MAX) = 8,
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the word that clients read")]
pub struct Occurrences {
    occurrences: Vec<Occurrence>,
    /// Why there are no occurrences.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// The pause of a disabled trigger.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<Paused>,
}

/// A pause of a timer. Enabling the trigger fires none of the missed occurrences: it continues with the next one.
#[derive(Debug, Serialize, ToSchema)]
pub struct Paused {
    /// When the trigger was disabled.
    since: DateTime<Utc>,
    /// How many occurrences would have fired since.
    passed: u64,
}

pub async fn list(
    State(api): State<Api>,
    Query(filter): Query<TimerFilter>,
) -> Result<List<timer_list::Timer>, Problem> {
    let page = query::page(filter.limit, filter.cursor)?;
    let rows = timer_list::page(&api.pool, &page).await?;
    Ok(List::of(rows, page.limit, |timer| timer.trigger_ref.to_string()))
}

/// The time zones that schedules accept.
pub async fn zones(State(api): State<Api>) -> Result<List<Zone>, Problem> {
    Ok(List::whole(timer::zones(db::now(&api.pool).await?)))
}

/// When an unsaved configuration would fire. One that cannot be saved is refused.
pub async fn preview(State(api): State<Api>, body: Body<PreviewForm>) -> Result<One<Occurrences>, Problem> {
    let form = body.form;
    let mut connection = api.pool.acquire().await?;
    let Present { now, limits, .. } = present(&mut connection, None).await?;
    drop(connection);
    let config = TimerConfig::check(&form.config, None, now, limits).map_err(|errors| errors.under("config"))?;
    let timer = compile(&config, TriggerId(0))?;
    upcoming(&api, (&config, &timer), (form.after, None), form.limit)
        .await
        .map(One::new)
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
    let timer = compile(&config, found.id)?;
    let mut upcoming = upcoming(&api, (&config, &timer), between(&filter)?, filter.limit).await?;
    if !found.enabled {
        upcoming.paused = paused(&api, &timer, found.id).await?;
    }
    Ok(One::new(upcoming))
}

/// One end of a span of time; `None` if it is open.
type Bound = Option<DateTime<Utc>>;

/// Converts `[from, to)` or `(after, to)` to the instants after and until which occurrences are computed, in microseconds.
fn between(filter: &OccurrenceFilter) -> Result<(Bound, Bound), Problem> {
    let instant = |moment: Moment| moment.in_future(clock::now());
    let before = |at: DateTime<Utc>| at.checked_sub_signed(TimeDelta::microseconds(1)).unwrap_or(at);
    let after = match (filter.from, filter.after) {
        (Some(_), Some(_)) => {
            return Err(Problem::field("after", "cannot be combined with from"));
        }
        (Some(from), None) => Some(before(instant(from))),
        (None, after) => after.map(instant),
    };
    Ok((after, filter.to.map(instant).map(before)))
}

async fn paused(api: &Api, timer: &Timer, trigger: TriggerId) -> Result<Option<Paused>, Problem> {
    let Some(since) = store::timer::paused_since(&api.pool, trigger).await? else {
        return Ok(None);
    };
    let passed = timer.count(since, db::now(&api.pool).await?);
    Ok(Some(Paused { since, passed }))
}

fn compile(config: &TimerConfig, trigger: TriggerId) -> Result<Timer, Problem> {
    let timer = Timer::compile(config, trigger).map_err(|errors| errors.under("config"))?;
    Ok(timer)
}

async fn upcoming(
    api: &Api,
    (config, timer): (&TimerConfig, &Timer),
    (after, until): (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    limit: u16,
) -> Result<Occurrences, Problem> {
    let after = match after {
        Some(after) => after,
        None => db::now(&api.pool).await?,
    };
    let occurrences: Vec<_> = occurrences(timer, after, until).take(usize::from(limit)).collect();
    let note = occurrences.is_empty().then(|| why_none(config, timer, after));
    Ok(Occurrences {
        occurrences,
        note,
        paused: None,
    })
}
