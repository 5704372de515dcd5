//! Sensors that watch a real directory, with their own database.

use attune_common::{
    bus::InProcessBus,
    config::Config,
    service::{Context, Tasks},
    store::invariants,
    testing::{Database, eventually},
};
use attune_sensor::files;
use serde_json::{Value, json};
use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(20);
/// More files than this are too many. Enough for the largest test.
pub const FILES_MAX: usize = 20_000;

#[derive(Debug, Clone)]
pub struct Inbox {
    pub root: PathBuf,
}

impl Inbox {
    pub fn path(&self, name: &str) -> String {
        self.root.join(name).to_str().expect("the path is text").to_owned()
    }

    pub fn write(&self, name: &str, content: &str) {
        fs::write(self.root.join(name), content).expect("a file can be written");
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.root.join(name)).expect("the file can be removed");
    }
}

struct Sensor {
    context: Context,
    tasks: Tasks,
}

pub struct TestFiles {
    pub database: Database,
    pub inbox: Inbox,
    folder: TempDir,
    sensors: Vec<Sensor>,
    /// How many events of each trigger were expected so far.
    expected: Mutex<std::collections::HashMap<String, usize>>,
}

impl TestFiles {
    /// With one sensor on the host `alpha`.
    pub async fn new() -> Self {
        let mut files = Self::without_sensor().await;
        files.start_sensor("alpha", true);
        files
    }

    pub async fn without_sensor() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let root = fs::canonicalize(folder.path()).expect("it exists").join("inbox");
        fs::create_dir(&root).expect("a folder can be made");
        let database = Database::new().await;
        database
            .execute("insert into pack (ref, label) values ('test', 'Test')")
            .await;
        Self {
            database,
            inbox: Inbox { root },
            folder,
            sensors: Vec::new(),
            expected: Mutex::default(),
        }
    }

    /// Starts a sensor that may read the directory, or nothing.
    pub fn start_sensor(&mut self, host: &str, may_read: bool) {
        let mut config = Config::default();
        config.sensor.file_roots = may_read.then(|| vec![self.folder.path().to_owned()]);
        config.sensor.files_max = FILES_MAX;
        let tasks = Tasks::default();
        let bus = Arc::new(InProcessBus::new());
        let context = Context::new(Arc::new(config), self.database.pool.clone(), bus, &tasks);
        let run = files::run_on(context.clone(), host.to_owned());
        tasks.tracker.spawn(run);
        self.sensors.push(Sensor { context, tasks });
    }

    pub async fn stop_sensors(&mut self) {
        for sensor in self.sensors.drain(..) {
            sensor.tasks.finish().await;
        }
    }

    /// Stops the sensor that holds the only lease.
    pub async fn stop_sensor_that_watches(&mut self) {
        let holder: uuid::Uuid = sqlx::query_scalar("select sensor_id from file_watch where sensor_id is not null")
            .fetch_one(&self.database.pool)
            .await
            .expect("one watches");
        let index = self.sensors.iter().position(|sensor| sensor.context.instance == holder);
        let sensor = self.sensors.remove(index.expect("it is one of them"));
        sensor.tasks.finish().await;
    }

    /// A configuration for the directory that reports quickly.
    pub fn config(&self, changes: &Value) -> Value {
        let mut config = json!({"path": self.inbox.root, "stable_for_seconds": 0.1});
        for (name, value) in changes.as_object().into_iter().flatten() {
            config[name] = value.clone();
        }
        config
    }

    pub async fn define(&self, name: &str, config: &Value) {
        sqlx::query(
            "insert into trigger (ref, pack_id, label, kind, config) select $1, id, 'Files', 'file_watch', $2 from pack where ref = 'test'",
        )
        .bind(format!("test.{name}"))
        .bind(config)
        .execute(&self.database.pool)
        .await
        .expect("the trigger can be made");
    }

    /// Defines a trigger and waits for its first scan.
    pub async fn watch(&self, name: &str, config: &Value) {
        self.watch_on(name, config, 1).await;
    }

    /// The same for a number of positions.
    pub async fn watch_on(&self, name: &str, config: &Value, positions: i64) {
        self.define(name, config).await;
        self.is_watched(name, positions).await;
    }

    /// Waits until this number of positions were scanned and have a lease.
    pub async fn is_watched(&self, name: &str, positions: i64) {
        let sql = format!(
            "select count(*) from file_watch w join trigger t on t.id = w.trigger_id
             where t.ref = 'test.{name}' and w.config = t.config and w.sensor_id is not null"
        );
        let watched = async || (self.database.count(&sql).await == positions).then_some(());
        eventually(&format!("{name} is watched by {positions}"), SOON, watched).await;
    }

    pub async fn edit(&self, name: &str, config: &Value) {
        sqlx::query("update trigger set config = $2 where ref = $1")
            .bind(format!("test.{name}"))
            .bind(config)
            .execute(&self.database.pool)
            .await
            .expect("the trigger can be changed");
        self.is_watched(name, 1).await;
    }

    pub async fn enable(&self, name: &str, enabled: bool) {
        sqlx::query("update trigger set enabled = $2 where ref = $1")
            .bind(format!("test.{name}"))
            .bind(enabled)
            .execute(&self.database.pool)
            .await
            .expect("the trigger can be switched");
    }

    pub async fn payloads(&self, name: &str) -> Vec<Value> {
        sqlx::query_scalar("select payload from event where trigger_ref = $1 order by received_at, id")
            .bind(format!("test.{name}"))
            .fetch_all(&self.database.pool)
            .await
            .expect("events can be read")
    }

    /// The events after those that were expected before, as `kind name`, sorted.
    pub async fn new_events(&self, name: &str) -> Vec<String> {
        let skip = self.expected.lock().expect("a lock").get(name).copied().unwrap_or(0);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let event = |event: &Value| format!("{} {}", text(&event["kind"]), text(&event["name"]));
        let mut events: Vec<String> = self.payloads(name).await.iter().skip(skip).map(event).collect();
        events.sort();
        events
    }

    /// Waits for exactly these new events.
    pub async fn expect(&self, name: &str, events: &[&str]) {
        let enough = async || {
            let found = self.new_events(name).await;
            (found.len() >= events.len()).then_some(found)
        };
        let found = eventually(&format!("{name}: {events:?}"), SOON, enough).await;
        assert_eq!(found, events, "{name}");
        *self
            .expected
            .lock()
            .expect("a lock")
            .entry(name.to_owned())
            .or_default() += events.len();
    }

    /// Waits until these are among the new events.
    pub async fn expect_at_least(&self, name: &str, events: &[&str]) {
        let enough = async || {
            let found = self.new_events(name).await;
            events
                .iter()
                .all(|event| found.iter().any(|f| f == event))
                .then_some(())
        };
        eventually(&format!("{name}: {events:?}"), SOON, enough).await;
    }

    /// Waits until there are exactly this many events, and all are different.
    pub async fn count(&self, name: &str, expected: usize) {
        self.count_within(name, expected, SOON).await;
    }

    pub async fn count_within(&self, name: &str, expected: usize, within: Duration) {
        let enough = async || (self.payloads(name).await.len() >= expected).then_some(());
        eventually(&format!("{name}: {expected} events"), within, enough).await;
        assert_eq!(self.payloads(name).await.len(), expected, "{name}");
    }

    /// Waits until the trigger shows an error with these words.
    pub async fn error(&self, name: &str, words: &str) {
        let sql = format!(
            "select count(*) from file_watch w join trigger t on t.id = w.trigger_id
             where t.ref = 'test.{name}' and w.last_error like '%{words}%'"
        );
        let shown = async || (self.database.count(&sql).await > 0).then_some(());
        eventually(&format!("{name}: {words}"), SOON, shown).await;
    }

    pub async fn no_error(&self, name: &str) {
        let sql = format!(
            "select count(*) from file_watch w join trigger t on t.id = w.trigger_id
             where t.ref = 'test.{name}' and w.last_error is not null"
        );
        let gone = async || (self.database.count(&sql).await == 0).then_some(());
        eventually(&format!("{name} has no error"), SOON, gone).await;
    }

    pub fn health(&self, sensor: usize) -> Value {
        json!({"files": self.sensors[sensor].context.health.part("files")})
    }

    /// Lets time pass, in which files change slowly or nothing must happen.
    pub async fn quiet(&self, duration: Duration) {
        let started = std::time::Instant::now();
        eventually("time passes", duration * 4, async || {
            (started.elapsed() >= duration).then_some(())
        })
        .await;
    }

    /// Checks the invariants, and stops everything.
    pub async fn close(mut self) {
        self.stop_sensors().await;
        let mut connection = self.database.pool.acquire().await.expect("a connection");
        let violations = invariants::violations(&mut connection)
            .await
            .expect("the invariants can be checked");
        drop(connection);
        let violations: Vec<_> = violations
            .iter()
            .filter(|violation| violation.invariant != invariants::ENDED)
            .collect();
        assert!(violations.is_empty(), "{violations:#?}");
        self.database.close().await;
    }
}
