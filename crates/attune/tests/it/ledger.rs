//! The clients' ledger: while the API is killed repeatedly, clients submit events and webhooks and record the ids of
//! accepted ones. Afterwards each of these ids exists, a repeat with the same key gets the same id, and there are neither
//! duplicates nor events that no client submitted.

use super::support::{Api, facts, services::Services};
use attune_common::{store::PgPool, testing::eventually};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const KILLS: usize = 6;
/// Of each kind.
const CLIENTS: usize = 4;
/// The number of accepted requests of all clients between two kills.
const PROMISES: usize = 150;
const TOKEN: &str = "a token of the tests";

/// How a client submits events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// An event without a key: an unanswered request may or may not have created it.
    Plain,
    /// An event with an `Idempotency-Key`.
    Keyed,
    /// A webhook, whose delivery has an id.
    Webhook,
}

#[derive(Debug, Clone)]
struct Client {
    api: Api,
    hook: String,
    way: Way,
    stop: CancellationToken,
    promises: Arc<AtomicUsize>,
}

/// The record of one client at the end.
#[derive(Debug, Default)]
struct Ledger {
    /// Key and id.
    promised: Vec<(String, String)>,
    /// Requests without a 2xx answer.
    unanswered: usize,
    /// Repeats of accepted requests.
    repeats: usize,
}

impl Client {
    async fn run(self, name: String) -> Ledger {
        let mut ledger = Ledger::default();
        for number in 0.. {
            if self.stop.is_cancelled() {
                break;
            }
            let key = format!("{name}-{number}");
            match self.way {
                Way::Plain => match self.submit(&key).await {
                    Some(id) => ledger.promised.push((key, id)),
                    None => ledger.unanswered += 1,
                },
                Way::Keyed | Way::Webhook => {
                    let id = self.insist(&key, &mut ledger.unanswered).await;
                    ledger.promised.push((key, id));
                    // Repeats an early request, perhaps accepted by a process that is dead.
                    if number % 5 == 0 {
                        let (key, id) = &ledger.promised[number / 2];
                        assert_eq!(
                            &self.insist(key, &mut ledger.unanswered).await,
                            id,
                            "the same key, the same id"
                        );
                        ledger.repeats += 1;
                    }
                }
            }
            self.promises.fetch_add(1, Ordering::Relaxed);
        }
        ledger
    }

    /// Repeats a request until it succeeds.
    async fn insist(&self, key: &str, unanswered: &mut usize) -> String {
        loop {
            match self.submit(key).await {
                Some(id) => return id,
                None => *unanswered += 1,
            }
        }
    }

    /// The id of a 2xx answer, or `None` after a transient error. A permanent error is a failure.
    async fn submit(&self, key: &str) -> Option<String> {
        let Ok((status, answer)) = Api::send(self.request(key)).await else {
            self.until_up().await;
            return None;
        };
        if status.is_success() {
            let data = &answer["data"];
            let id = data["event_id"].as_str().or_else(|| data["id"].as_str());
            return Some(id.expect("a 2xx answer names the event").to_owned());
        }
        let passes = status.is_server_error() || [409, 429].contains(&status.as_u16());
        assert!(passes, "{key} was refused: {status}: {answer}");
        None
    }

    async fn until_up(&self) {
        let up = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            loop {
                ticks.tick().await;
                if self.api.request(Method::GET, "/health/live").send().await.is_ok() {
                    return;
                }
            }
        };
        let within = Duration::from_secs(30);
        tokio::time::timeout(within, up).await.expect("the API is back in time");
    }

    fn request(&self, key: &str) -> RequestBuilder {
        let events = self.api.request(Method::POST, "/api/v1/events");
        let body = |trigger: &str| json!({"trigger_ref": trigger, "payload": {"key": key}});
        let request = match self.way {
            Way::Plain => events.json(&body("test.plain")),
            Way::Keyed => events.header("Idempotency-Key", key).json(&body("test.keyed")),
            Way::Webhook => {
                let hook = self.api.request(Method::POST, &self.hook);
                hook.header("x-gitlab-token", TOKEN)
                    .header("x-delivery", key)
                    .json(&json!({"key": key}))
            }
        };
        request.timeout(Duration::from_secs(5))
    }
}

#[tokio::test]
async fn accepted_events_survive_kills_of_the_api() {
    let mut services = Services::start().await;
    let hook = define(&services.api).await;
    let (stop, promises) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
    let clients = TaskTracker::new();
    let mut running = Vec::new();
    for way in [Way::Plain, Way::Keyed, Way::Webhook] {
        for number in 0..CLIENTS {
            let client = Client {
                api: services.api.clone(),
                hook: hook.clone(),
                way,
                stop: stop.clone(),
                promises: Arc::clone(&promises),
            };
            running.push((way, clients.spawn(client.run(format!("{way:?}-{number}")))));
        }
    }
    for _ in 0..KILLS {
        more(&promises).await;
        // In the middle of everything.
        services.take("api-1").kill().await;
        services.launch("api-1").await;
    }
    more(&promises).await;
    stop.cancel();
    for way in [Way::Plain, Way::Keyed, Way::Webhook] {
        let mut all = Ledger::default();
        for (_, client) in running.extract_if(.., |(of, _)| *of == way) {
            let ledger = client.await.expect("a client does not fail");
            all.promised.extend(ledger.promised);
            all.unanswered += ledger.unanswered;
            all.repeats += ledger.repeats;
        }
        check(&services.database.pool, way, &all).await;
    }
    facts::drain(&services.database.pool, Duration::from_secs(50)).await;
    facts::assert_invariants(&services.database.pool).await;
    services.stop().await;
}

async fn more(promises: &AtomicUsize) {
    let enough = promises.load(Ordering::Relaxed) + PROMISES;
    let poll = async || (promises.load(Ordering::Relaxed) >= enough).then_some(());
    eventually("the clients continue", Duration::from_secs(60), poll).await;
}

/// Creates three triggers. Returns the path of the webhook.
async fn define(api: &Api) -> String {
    super::support::definitions::pack(api).await;
    for name in ["plain", "keyed"] {
        let body = json!({"ref": format!("test.{name}"), "label": name, "kind": "custom"});
        api.post("/api/v1/triggers", body).await;
    }
    let config =
        json!({"verify": "gitlab", "secret": TOKEN, "dedup": {"header": "x-delivery"}, "requests_per_second": 0});
    let hook = json!({"ref": "test.hook", "label": "Hook", "kind": "webhook", "config": config});
    let made: Value = api.post("/api/v1/triggers", hook).await;
    let url = made["webhook_url"].as_str().expect("an address");
    let (_, path) = url.split_once("/api/").expect("an address of the API");
    format!("/api/{path}")
}

async fn check(pool: &PgPool, way: Way, ledger: &Ledger) {
    let (trigger, key) = match way {
        Way::Plain => ("test.plain", "payload->>'key'"),
        Way::Keyed => ("test.keyed", "payload->>'key'"),
        Way::Webhook => ("test.hook", "payload->'body'->>'key'"),
    };
    let ids: HashSet<&str> = ledger.promised.iter().map(|(_, id)| id.as_str()).collect();
    assert_eq!(
        ids.len(),
        ledger.promised.len(),
        "{way:?}: each accepted request is its own event"
    );
    assert!(
        ledger.unanswered >= KILLS,
        "{way:?}: the clients saw {} failures of {KILLS} kills",
        ledger.unanswered
    );
    // The id accepted for a key is the event with this key.
    let pairs: Vec<String> = ledger
        .promised
        .iter()
        .map(|(key, id)| format!("('{key}', '{id}'::uuid)"))
        .collect();
    let there = format!(
        "select count(*) from (values {}) promised (key, id) join event e using (id) where e.trigger_ref = '{trigger}' and {key} = promised.key",
        pairs.join(", ")
    );
    let promised = i64::try_from(ledger.promised.len()).expect("a small number");
    assert_eq!(
        facts::number(pool, &there).await,
        promised,
        "{way:?}: every accepted event exists"
    );
    let all = format!("select count(*) from event where trigger_ref = '{trigger}'");
    let all = facts::number(pool, &all).await;
    let twice = format!("select count(*) - count(distinct {key}) from event where trigger_ref = '{trigger}'");
    assert_eq!(facts::number(pool, &twice).await, 0, "{way:?}: there are no duplicates");
    if way == Way::Plain {
        let unanswered = i64::try_from(ledger.unanswered).expect("a small number");
        assert!(
            all <= promised + unanswered,
            "{all} events of {promised} promises and {unanswered} failures"
        );
    } else {
        assert!(ledger.repeats >= KILLS, "{way:?}: {} repeats", ledger.repeats);
        assert_eq!(all, promised, "{way:?}: there are no other events");
    }
}
