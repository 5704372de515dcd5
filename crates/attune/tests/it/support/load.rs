//! The load during faults: one-second timers whose actions leave marks, and events that a client submits through the API.
//! Each event matches one of many rules.

use super::{
    Api,
    effects::{Effects, MARK},
    facts,
    services::Services,
};
use attune_common::{store::PgPool, testing::eventually};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const TIMERS: i64 = 10;
const RULES: i64 = 20;
/// Claims of a killed executor expire after 30 s.
const DRAIN: Duration = Duration::from_secs(50);
const PAUSE: Duration = Duration::from_millis(100);
const PROGRESS_WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Load {
    pool: PgPool,
    timers: i64,
    effects: Effects,
    began_at: Value,
    stop: CancellationToken,
    client: JoinHandle<Vec<String>>,
}

impl Load {
    pub async fn start(services: &Services) -> Self {
        Self::of(services, TIMERS, PAUSE).await
    }

    /// Starts this many timers, and submits an event through the API after each pause.
    pub async fn of(services: &Services, timers: i64, pause: Duration) -> Self {
        let pool = services.database.pool.clone();
        let effects = Effects::new(services.folder.path());
        define(&pool, effects.file(), timers).await;
        let stop = CancellationToken::new();
        let client = TaskTracker::new().spawn(submit_events(services.api.clone(), pause, stop.clone()));
        Self {
            began_at: facts::value(&pool, "db_now()").await,
            pool,
            timers,
            effects,
            stop,
            client,
        }
    }

    /// Waits until the load has made this much progress. The database may just have come back.
    pub async fn wait_for_progress(&self, more: i64) {
        let sql = "select count(*) from execution where action_ref = 'load.mark' and status = 'succeeded'";
        let count = async || facts::number_if_there(&self.pool, sql).await;
        let before = eventually("the database answers", PROGRESS_WITHIN, count).await;
        let enough = async || count().await.filter(|now| *now >= before + more);
        eventually(&format!("{more} more executions succeed"), PROGRESS_WITHIN, enough).await;
    }

    /// The maximum lateness of a tick.
    pub async fn latest_tick_ms(&self) -> i64 {
        let sql = "select max((payload->>'late_ms')::bigint) from event where trigger_ref like 'load.timer%'";
        facts::number(&self.pool, sql).await
    }

    /// The 99th percentile of the time from queueing to start, of executions queued since an instant; a day if none was queued.
    pub async fn dispatch_ms(&self, since: &str) -> i64 {
        let sql = format!(
            "select 1000 * coalesce(percentile_cont(0.99) within group (order by extract(epoch from started_at - scheduled_at)), 86400)
             from execution where action_ref = 'load.mark' and attempt = 1 and started_at is not null and scheduled_at >= '{since}'"
        );
        facts::number(&self.pool, &sql).await
    }

    /// The 90th percentile of the time from an event to the start of its execution, of events submitted since an instant; a
    /// day if none was submitted. Events arrive one by one, so without wakes they wait for most of the polling interval.
    pub async fn reaction_ms(&self, since: &str) -> i64 {
        let sql = format!(
            "select 1000 * coalesce(percentile_cont(0.9) within group (order by extract(epoch from coalesce(x.started_at, db_now()) - e.received_at)), 86400)
             from event e left join execution x on x.event_id = e.id where e.trigger_ref = 'load.hook' and e.received_at >= '{since}'"
        );
        facts::number(&self.pool, &sql).await
    }

    /// The time of the database.
    pub async fn now(&self) -> String {
        let now = facts::value(&self.pool, "db_now()").await;
        now.as_str().expect("a time").to_owned()
    }

    /// Ends the load, waits until no work is pending, and checks every invariant, the marks, the accepted events, and that
    /// the planned amount of work was done. At most `lost` executions may have been lost.
    pub async fn check(self, lost: i64) {
        self.check_after(lost, Duration::ZERO).await;
    }

    /// The same when no event could be submitted for this long.
    pub async fn check_after(self, lost: i64, away: Duration) {
        self.check_with(lost, away, None).await;
    }

    /// The same, with another minimum number of submitted events than one per second.
    pub async fn check_with(self, lost: i64, away: Duration, submitted_min: Option<i64>) {
        let seconds = format!(
            "select extract(epoch from db_now() - '{}'::timestamptz)",
            self.began_at.as_str().expect("a time")
        );
        let seconds = facts::number(&self.pool, &seconds).await;
        self.stop.cancel();
        let promised = self.client.await.expect("the client does not fail");
        facts::drain(&self.pool, DRAIN).await;
        facts::assert_invariants(&self.pool).await;
        self.effects.check(&self.pool, "load.mark").await;

        let kept = format!(
            "select count(*) from event where id = any('{{{}}}'::uuid[])",
            promised.join(",")
        );
        let submitted = facts::number(&self.pool, "select count(*) from event where trigger_ref = 'load.hook'").await;
        let promised = i64::try_from(promised.len()).expect("a small number");
        assert_eq!(
            facts::number(&self.pool, &kept).await,
            promised,
            "every accepted event exists"
        );
        assert_eq!(submitted, promised, "there are no other events");

        let ticks = facts::number(
            &self.pool,
            "select count(*) from event where trigger_ref like 'load.timer%'",
        )
        .await;
        // The seconds are rounded, and a timer first fires a second after its creation.
        assert!(
            ticks * 10 >= self.timers * (seconds - 1) * 9,
            "{ticks} ticks in {seconds} s are too few"
        );
        assert!(
            promised >= submitted_min.unwrap_or(seconds) - i64::try_from(away.as_secs()).expect("a small number"),
            "{promised} events by the API in {seconds} s are too few, {away:?} of them without the database"
        );
        let ended = "select count(*) from execution where action_ref = 'load.mark'";
        let succeeded = facts::number(&self.pool, &format!("{ended} and status = 'succeeded'")).await;
        let all = facts::number(&self.pool, ended).await;
        assert_eq!(all, ticks + submitted, "each event led to one execution");
        let unsuccessful = facts::value(
            &self.pool,
            "select jsonb_agg(jsonb_build_object('status', status, 'error', error)) from execution
             where action_ref = 'load.mark' and status <> 'succeeded'",
        );
        assert!(
            all - succeeded <= lost,
            "{} did not succeed: {}",
            all - succeeded,
            unsuccessful.await
        );
    }
}

async fn define(pool: &PgPool, file: &str, timers: i64) {
    let script = format!("{MARK}; sleep 0.02");
    let parameters = json!({"file": file});
    facts::execute(
        pool,
        &format!(
            r#"insert into pack (ref, label) values ('load', 'Load');
            insert into action (ref, pack_id, runtime_id, label, entry_point, parameters_schema)
                select 'load.mark', p.id, r.id, 'Mark', $script${script}$script$, '{{"properties": {{"file": {{}}}}}}'::jsonb from pack p, runtime r where p.ref = 'load' and r.ref = 'core.shell';
            insert into trigger (ref, pack_id, label, kind, config)
                select 'load.hook', id, 'Hook', 'custom', '{{}}'::jsonb from pack where ref = 'load'
                union all
                select 'load.timer_' || n, id, 'Timer', 'timer', '{{"type": "interval", "seconds": 1}}' from pack, generate_series(1, {timers}) n where ref = 'load';
            insert into rule (ref, pack_id, label, trigger_id, action_id, condition, action_params)
                select t.ref, p.id, t.ref, t.id, a.id, null, '{parameters}'::jsonb
                from trigger t, action a, pack p where t.ref like 'load.timer%' and a.ref = 'load.mark' and p.ref = 'load'
                union all
                select 'load.hook_' || n, p.id, 'Hook', t.id, a.id, to_jsonb('event.payload.n == ' || n), '{parameters}'
                from trigger t, action a, pack p, generate_series(1, {RULES}) n where t.ref = 'load.hook' and a.ref = 'load.mark' and p.ref = 'load'
                union all
                -- Every end of an execution is an event, which the invariants check.
                select 'load.listener', p.id, 'Listener', t.id, a.id, to_jsonb('false'::text), '{parameters}'
                from trigger t, action a, pack p where t.ref = 'core.execution_finished' and a.ref = 'load.mark' and p.ref = 'load';"#
        ),
    )
    .await;
}

/// Submits events until it is stopped, and retries with the same key after a bad answer. Returns the
/// ids of the accepted events.
async fn submit_events(api: Api, pause: Duration, stop: CancellationToken) -> Vec<String> {
    let mut promised = Vec::new();
    let run = rand::random::<u64>();
    for number in 0.. {
        if stop.is_cancelled() {
            break;
        }
        let body = json!({"trigger_ref": "load.hook", "payload": {"n": number % RULES + 1}});
        promised.push(insist(&api, Some(&format!("{run:x}-{number}")), &body).await);
        sleep(pause).await;
    }
    promised
}

/// Submits an event until it succeeds, and returns its id.
pub async fn insist(api: &Api, key: Option<&str>, body: &Value) -> String {
    loop {
        let mut request = api
            .request(Method::POST, "/api/v1/events")
            .timeout(Duration::from_secs(5))
            .json(body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        match Api::send(request).await {
            Ok((status, answer)) if status.is_success() => {
                return answer["data"]["id"].as_str().expect("an event has an id").to_owned();
            }
            Ok((status, answer)) if status.as_u16() < 500 && status.as_u16() != 409 && status.as_u16() != 429 => {
                panic!("an event was refused: {status}: {answer}")
            }
            Ok(_) | Err(_) => sleep(PAUSE).await,
        }
    }
}
