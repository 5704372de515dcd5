//! An editor is not an administrator: an action cannot reach protected resources, regardless of the user that runs Attune.

use super::support::{
    Process, definitions,
    embedded::{self, Embedded},
    tree,
};
use attune_common::testing::eventually;
use nix::unistd::{Pid, User, chown, geteuid};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path, time::Duration};

const SOON: Duration = Duration::from_secs(60);

/// Starts a program as an unprivileged user who may not have access to its folder.
const AS_UNPRIVILEGED: [&str; 3] = [
    "sh",
    "-c",
    r#"exec 9<"$0" && exec setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups /proc/self/fd/9 "$@""#,
];

/// Prints one line per attempt: `reached` or `closed`, and its name.
const ATTEMPTS: &str = r#"
try() { name=$1; shift; if "$@" >/dev/null 2>&1 </dev/null; then echo "reached $name"; else echo "closed $name"; fi; }
db() { env "$1" psql -X -w -h "$DATA/postgres" -U "$2" attune -c 'select 1'; }

[ "$(cat /dev/stdin)" = '{}' ] && echo "reached standard_input"
sh -c 'echo "reached standard_output" > /dev/stdout'
sh -c 'echo > /dev/stderr' && echo "reached standard_error"
try own_file touch here
try own_environment cat /proc/self/environ
try null sh -c ': > /dev/null'
try temporary_file mktemp
try programs ls /usr/bin
try psql psql --version

try secrets cat "$DATA/secrets.json"
try admin_password cat "$DATA/admin-password"
try database_password cat "$DATA/postgres-password"
try data_list ls "$DATA"
try data_write touch "$DATA/x"
try spool_list ls "$DATA/spool"
try spool_write touch "$DATA/spool/x"
try cluster_list ls "$DATA/postgres"
try cluster_read cat "$DATA/postgres/PG_VERSION"
try database db A=b attune
try database_superuser db A=b postgres
try database_with_its_file db "PGPASSFILE=$DATA/postgres-password" attune

for pid in $SERVICE; do
    of=$(tr ' ' _ < "/proc/$pid/comm")
    try "signal_to_$of" kill -0 "$pid"
    try "environment_of_$of" cat "/proc/$pid/environ"
    try "memory_of_$of" sh -c ': < "$0"' "/proc/$pid/mem"
    try "map_of_$of" cat "/proc/$pid/maps"
    try "descriptor_of_$of" readlink "/proc/$pid/fd/0"
    try "folder_of_$of" ls "/proc/$pid/cwd/"
    try "root_of_$of" ls "/proc/$pid/root/"
done

try signal_to_other kill -0 "$OTHER"
try environment_of_other cat "/proc/$OTHER/environ"
try memory_of_other sh -c ': < "$0"' "/proc/$OTHER/mem"
try scratch_of_other ls "$OTHER_SCRATCH"
try file_of_other cat "$OTHER_SCRATCH/note"
try write_to_other touch "$OTHER_SCRATCH/x"
try scratch_of_other_by_process ls "/proc/$OTHER/cwd/"
try all_scratches ls "$OTHER_SCRATCH/.."
"#;

const OPEN: [&str; 9] = [
    "null",
    "own_environment",
    "own_file",
    "programs",
    "psql",
    "standard_error",
    "standard_input",
    "standard_output",
    "temporary_file",
];

#[tokio::test]
async fn an_action_reaches_nothing_of_attune() {
    let expected = if geteuid().is_root() {
        json!({"user": "per_slot", "landlock": null, "cgroup": null})
    } else {
        landlock()
    };
    check(&[], &expected).await;
}

/// The same if Attune runs as an ordinary user.
#[tokio::test]
async fn an_action_of_an_ordinary_user_reaches_nothing_of_attune() {
    let before: &[&str] = if geteuid().is_root() { &AS_UNPRIVILEGED } else { &[] };
    check(before, &landlock()).await;
}

/// The isolation that this test expects from the kernel.
fn landlock() -> Value {
    json!({"user": null, "landlock": "files_and_signals", "cgroup": null})
}

async fn check(before: &[&str], isolation: &Value) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    if !before.is_empty() {
        let user = User::from_name("nobody")
            .expect("users can be looked up")
            .expect("the user exists");
        chown(folder.path(), Some(user.uid), Some(user.gid)).expect("the folder can be given away");
    }
    let process = embedded::start_as(folder.path(), "log", before, &[], &[]);
    let attune = Embedded::ready(process, folder.path()).await;
    isolation_is_reported(&attune, isolation).await;
    definitions::pack(&attune.api).await;
    reaches_only_its_own(&attune, folder.path(), !before.is_empty()).await;
    stays_within_its_bounds(&attune).await;
    attune.interrupt(Duration::from_secs(12)).await;
}

async fn isolation_is_reported(attune: &Embedded, isolation: &Value) {
    let health = attune.api.get("/health").await;
    assert!(
        health.to_string().contains(&format!("\"isolation\":{isolation}")),
        "{health}"
    );
    let listed = async || {
        let workers = attune.api.get("/api/v1/workers").await;
        (workers[0]["detail"]["isolation"] == *isolation).then_some(())
    };
    eventually("the list of workers reports the same", SOON, listed).await;
}

async fn reaches_only_its_own(attune: &Embedded, folder: &Path, unprivileged: bool) {
    let other = "echo secret > note; echo $$ $PWD; exec env OTHER_SECRET=x sleep 600";
    definitions::action(&attune.api, "other", other, json!({})).await;
    let other = attune.api.run("test.other", json!({})).await;
    let (pid, scratch) = eventually("the other action has printed its folder", SOON, async || {
        let log = attune.api.get(&format!("/api/v1/executions/{other}/logs")).await;
        printed(&log)
    })
    .await;

    let service: Vec<String> = service(&attune.process, pid).iter().map(ToString::to_string).collect();
    assert!(
        service.len() >= 4,
        "the service, its supervisors and PostgreSQL: {service:?}"
    );
    let data = folder.join("data");
    let script = format!(
        "DATA={}; SERVICE='{}'; OTHER={pid}; OTHER_SCRATCH={scratch}; {ATTEMPTS}",
        data.display(),
        service.join(" ")
    );
    assert!(
        fs::exists(format!("{scratch}/note")).expect("the folder can be read"),
        "the other action has a note"
    );
    definitions::action(&attune.api, "attempts", &script, json!({})).await;
    let id = attune.api.run("test.attempts", json!({})).await;
    let ended = attune.api.execution_is(&id, "succeeded", SOON).await;
    let output = ended["result"]["stdout"].as_str().expect("it prints what it reached");
    let reached: BTreeSet<&str> = output
        .lines()
        .filter_map(|line| line.strip_prefix("reached "))
        .collect();
    assert_eq!(reached, BTreeSet::from(OPEN), "unprivileged: {unprivileged}: {output}");
    assert!(
        output.lines().filter(|line| line.starts_with("closed ")).count() > 50,
        "{output}"
    );
    assert!(attune.process.is_alive());
    attune
        .api
        .post(&format!("/api/v1/executions/{other}/cancel"), json!({}))
        .await;
    attune.api.execution_is(&other, "canceled", SOON).await;
}

/// Its process and its folder.
fn printed(log: &Value) -> Option<(Pid, String)> {
    let text = log.to_string();
    let line = text
        .split(['"', '\\'])
        .find(|part| part.contains(" /") && part.contains("attune-actions"))?;
    let (pid, scratch) = line.trim().split_once(' ')?;
    Some((Pid::from_raw(pid.parse().ok()?), scratch.trim().to_owned()))
}

/// All processes of Attune itself.
fn service(process: &Process, action: Pid) -> Vec<Pid> {
    let mut all = tree::descendants(process.pid());
    all.retain(|pid| *pid != action);
    all.push(process.pid());
    all
}

async fn stays_within_its_bounds(attune: &Embedded) {
    let bounded = r"
        ulimit -n
        head -c 300000000 /dev/zero | tail -c 300000000 > /dev/null 2>&1 && echo reached memory
        (i=0; while [ $i -lt 200 ]; do sleep 2 & i=$((i+1)); done) 2> /dev/null && echo reached processes
        exit 0";
    let resources = json!({"resources": {"memory_mb": 100, "processes": 40, "files": 40}});
    definitions::action(&attune.api, "bounded", bounded, resources).await;
    let id = attune.api.run("test.bounded", json!({})).await;
    let ended = attune.api.execution_is(&id, "succeeded", SOON).await;
    assert_eq!(ended["result"]["stdout"], "40\n", "{ended}");

    let busy = json!({"timeout_seconds": 100, "resources": {"cpu": 0.01}});
    definitions::action(&attune.api, "busy", "while :; do :; done", busy).await;
    let id = attune.api.run("test.busy", json!({})).await;
    attune.api.execution_is(&id, "failed", SOON).await;

    let greedy = json!({"resources": {"memory_mb": 1_000_000}});
    definitions::action(&attune.api, "greedy", "echo", greedy).await;
    let id = attune.api.run("test.greedy", json!({})).await;
    let ended = attune.api.execution_is(&id, "failed", SOON).await;
    let error = ended["error"].as_str().unwrap_or_default();
    assert!(
        error.contains("resources.memory_mb") && error.contains("worker.resources_max"),
        "{ended}"
    );

    // Without limits of its own, an action has those of the worker.
    definitions::action(
        &attune.api,
        "usual",
        "ulimit -n; ulimit -d; ulimit -c; id -u",
        json!({}),
    )
    .await;
    let id = attune.api.run("test.usual", json!({})).await;
    let ended = attune.api.execution_is(&id, "succeeded", SOON).await;
    let output = ended["result"]["stdout"].as_str().expect("it prints its limits");
    let user = output.strip_prefix("1024\n2097152\n0\n").expect("the usual limits");
    assert_ne!(user.trim(), "0", "it is not root");
}
