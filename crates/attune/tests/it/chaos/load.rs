//! The load of a chaos run: one-second timers, and webhooks that are sent until they are accepted.

use super::super::support::{
    effects::{Effects, MARK},
    facts,
    services::Services,
};
use attune_common::store::PgPool;
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub const TIMERS: i64 = 40;
pub const RULES: u64 = 50;
pub const WEBHOOKS_PER_SECOND: u32 = 20;
/// The maximum of pending requests; a sender that reaches it pauses.
pub const IN_FLIGHT_MAX: usize = 400;
const AGAIN: Duration = Duration::from_millis(300);
const ANSWER: Duration = Duration::from_secs(12);

#[derive(Debug)]
pub struct Load {
    pub effects: Effects,
    ledger: Arc<Ledger>,
    stop: CancellationToken,
    senders: TaskTracker,
}

/// The record of the client: the ids of accepted events, and all other answers.
#[derive(Debug, Default)]
pub struct Ledger {
    pub promised: Mutex<Vec<String>>,
    pub refused: Mutex<std::collections::BTreeMap<String, usize>>,
}

/// The secret part of the webhook's address.
const KEY: &str = "5d1f0c8e7b6a49382716051f4e3d2c1b0a9f8e7d6c5b4a392817161504f3e2d1";

impl Load {
    pub async fn start(services: &Services) -> Self {
        let effects = Effects::new(services.folder.path());
        let pool = &services.database.pool;
        define(pool, effects.file()).await;
        let url = format!("{}/api/v1/webhooks/{KEY}", services.api.url);
        let load = Self {
            effects,
            ledger: Arc::default(),
            stop: CancellationToken::new(),
            senders: TaskTracker::new(),
        };
        let senders = load.senders.clone();
        load.senders
            .spawn(send(url, load.ledger.clone(), load.stop.clone(), senders));
        load
    }

    /// Starts no more webhooks, and waits until the pending ones are accepted.
    pub async fn end(self) -> (Effects, Arc<Ledger>) {
        self.stop.cancel();
        self.senders.close();
        let ended = tokio::time::timeout(Duration::from_secs(120), self.senders.wait());
        ended.await.expect("every webhook is accepted in the end");
        (self.effects, self.ledger)
    }

    pub fn promised(&self) -> usize {
        self.ledger
            .promised
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

async fn send(url: String, ledger: Arc<Ledger>, stop: CancellationToken, senders: TaskTracker) {
    let http = reqwest::Client::builder().no_proxy().timeout(ANSWER).build();
    let http = http.expect("a client can be made");
    let run = rand::random::<u64>();
    let mut pace = interval(Duration::from_secs(1) / WEBHOOKS_PER_SECOND);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0u64.. {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = pace.tick() => {}
        }
        if senders.len() < IN_FLIGHT_MAX {
            let body = json!({"n": number % RULES + 1});
            senders.spawn(insist(
                http.clone(),
                url.clone(),
                format!("{run:x}-{number}"),
                body,
                ledger.clone(),
            ));
        }
    }
}

/// Sends a webhook until it is accepted. Its key makes it one event, however often it arrives.
async fn insist(http: reqwest::Client, url: String, key: String, body: Value, ledger: Arc<Ledger>) {
    loop {
        let refusal = match http.post(&url).header("x-key", &key).json(&body).send().await {
            Ok(answer) if answer.status().is_success() => match answer.json::<Value>().await {
                Ok(answer) => {
                    let id = answer["data"]["event_id"]
                        .as_str()
                        .expect("an accepted event has an id");
                    let mut promised = ledger.promised.lock().unwrap_or_else(PoisonError::into_inner);
                    return promised.push(id.to_owned());
                }
                Err(_) => "cut off".to_owned(),
            },
            Ok(answer) if answer.status().is_server_error() && !answer.headers().contains_key("retry-after") => {
                format!("{} without Retry-After", answer.status())
            }
            Ok(answer) => answer.status().to_string(),
            Err(error) if error.is_timeout() => "no answer in time".to_owned(),
            Err(_) => "no connection".to_owned(),
        };
        *ledger
            .refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(refusal)
            .or_default() += 1;
        sleep(AGAIN).await;
    }
}

/// Half of the short actions, and of the long ones, may be started twice.
async fn define(pool: &PgPool, file: &str) {
    let (short, long) = (format!("{MARK}; sleep 0.02"), format!("{MARK}; sleep 5"));
    let parameters = json!({"file": file});
    facts::execute(
        pool,
        &format!(
            r#"insert into pack (ref, label) values ('load', 'Load');
            insert into action (ref, pack_id, runtime_id, label, entry_point, on_lost, parameters_schema)
                select 'load.' || name, p.id, r.id, name, script, on_lost, '{{"properties": {{"file": {{}}}}}}'::jsonb
                from pack p, runtime r, (values
                    ('mark_once', $script${short}$script$, 'fail'), ('mark_again', $script${short}$script$, 'requeue'),
                    ('long_once', $script${long}$script$, 'fail'), ('long_again', $script${long}$script$, 'requeue')) v (name, script, on_lost)
                where p.ref = 'load' and r.ref = 'core.shell';
            insert into trigger (ref, pack_id, label, kind, config)
                select 'load.hook', id, 'Hook', 'webhook', '{{"verify": "none", "dedup": {{"header": "x-key"}}}}'::jsonb from pack where ref = 'load'
                union all
                select 'load.timer_' || n, id, 'Timer', 'timer', '{{"type": "interval", "seconds": 1}}'
                from pack, generate_series(1, {TIMERS}) n where ref = 'load';
            update trigger set webhook_key = '{KEY}' where ref = 'load.hook';
            insert into rule (ref, pack_id, label, trigger_id, action_id, condition, action_params)
                select t.ref, p.id, t.ref, t.id, a.id, null, '{parameters}'::jsonb
                from trigger t, action a, pack p
                where t.ref like 'load.timer%' and p.ref = 'load'
                  and a.ref = case when t.id % 2 = 0 then 'load.mark_once' else 'load.mark_again' end
                union all
                select 'load.hook_' || n, p.id, 'Hook', t.id, a.id, to_jsonb('event.payload.body.n == ' || n), '{parameters}'
                from trigger t, action a, pack p, generate_series(1, {RULES}) n
                where t.ref = 'load.hook' and p.ref = 'load'
                  and a.ref = case when n = 1 then 'load.long_once' when n = 2 then 'load.long_again'
                                   when n % 2 = 0 then 'load.mark_once' else 'load.mark_again' end;"#
        ),
    )
    .await;
}
