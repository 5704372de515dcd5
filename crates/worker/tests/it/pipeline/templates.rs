//! Python actions that run often: forks of a process that has loaded their program.

use super::languages::{result, test};
use crate::support::{self, TestWorker, WorkerProcess};
use attune_common::testing::eventually;
use attune_domain::ExecutionId;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use std::{collections::HashSet, fs, time::Duration};

/// Returns an id of the loaded program, and what is different in each run.
const PROGRAM: &str = r#"
import os, random, sys, uuid
LOADED = str(uuid.uuid4())
def run(**given):
    print("out"); print("err", file=sys.stderr)
    return {
        "loaded": LOADED, "given": given, "random": random.random(), "pid": os.getpid(), "group": os.getpgid(0),
        "uid": os.getuid(), "folder": os.getcwd(), "home": os.environ["HOME"], "id": os.environ["ATTUNE_EXECUTION_ID"],
        "files": sorted(int(it) for it in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + it)),
        "limits": open("/proc/self/limits").read(), "mask": os.umask(0o22),
    }
"#;

async fn run(test: &TestWorker, action: attune_domain::ActionId, parameters: &Value) -> (ExecutionId, Value) {
    let id = test.start_with(action, parameters).await;
    test.becomes(id, "status = 'succeeded'").await;
    (id, result(test, id).await)
}

/// Runs it until it has a template.
async fn warm(test: &TestWorker, action: attune_domain::ActionId) {
    for _ in 0..2 {
        run(test, action, &json!({})).await;
    }
}

/// The template processes of the test's programs.
fn templates(test: &TestWorker) -> Vec<Pid> {
    let folder = test.directory.path().to_str().unwrap().to_owned();
    let is_template = |pid: &Pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = line.strip_suffix(b"\0").unwrap_or_default();
        // A fork has a session of its own.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let session = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(3));
        line.ends_with(b"\0serve")
            && session != Some(&*pid.to_string())
            && fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(&folder))
    };
    crate::runner::all_processes()
        .filter(is_template)
        .filter(|pid| support::exists(*pid))
        .collect()
}

async fn checked(environment: &[(&str, &str)]) -> (TestWorker, WorkerProcess) {
    let test = test("python").await;
    let worker = test.worker_with(environment);
    (test, worker)
}

#[tokio::test]
async fn frequent_runs_share_the_loaded_program_and_nothing_else() {
    let (test, _worker) = checked(&[]).await;
    let action = test.program("often", PROGRAM).await;
    warm(&test, action).await;
    let mut found = Vec::new();
    for number in 0..4 {
        let (id, whole) = run(&test, action, &json!({"number": number})).await;
        assert_eq!((&whole["stdout"], &whole["stderr"]), (&json!("out\n"), &json!("err\n")));
        let output = whole["output"].clone();
        assert_eq!(output["given"], json!({"number": number}));
        assert_eq!(output["id"], json!(id.to_string()));
        assert_eq!((&output["pid"], &output["folder"]), (&output["group"], &output["home"]));
        assert_eq!(output["files"], json!([0, 1, 2, 3]), "and the listing itself");
        assert_eq!(output["mask"], 0o77);
        found.push(output);
    }
    let different = |name: &str| {
        found
            .iter()
            .map(|output| output[name].to_string())
            .collect::<HashSet<_>>()
            .len()
    };
    assert_eq!(different("loaded"), 1);
    assert_eq!([different("pid"), different("random"), different("folder")], [4, 4, 4]);
    let limits = |output: &Value| output["limits"].as_str().unwrap().to_owned();
    assert!(
        limits(&found[0]).contains("Max open files            1024"),
        "{}",
        limits(&found[0])
    );
    assert_eq!(templates(&test).len(), 1);
}

#[tokio::test]
async fn a_fork_is_stopped_with_everything_it_started_and_its_template_lives_on() {
    let (test, _worker) = checked(&[]).await;
    let program = format!(
        r#"
import os, signal, time
def run(wait=False):
    if not wait:
        return 1
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            open("{0}/child", "w").write(f"{{os.getpid()}}\n")
            time.sleep(300)
        os._exit(0)
    open("{0}/pid", "w").write(f"{{os.getpid()}}\n")
    time.sleep(300)
"#,
        test.directory.path().display()
    );
    let action = test.program("often", &program).await;
    warm(&test, action).await;
    run(&test, action, &json!({})).await;
    let before = templates(&test);
    assert_eq!(before.len(), 1);
    test.database
        .execute("update action set timeout_seconds = 1 where ref = 't.often'")
        .await;
    let id = test.start_with(action, &json!({"wait": true})).await;
    let (main, child) = (test.pid("pid").await, test.pid("child").await);
    test.becomes(id, "status = 'timed_out'").await;
    for pid in [main, child] {
        support::ended(pid, Duration::ZERO).await;
    }
    assert_eq!(templates(&test), before);
    run(&test, action, &json!({})).await;
}

#[tokio::test]
async fn runs_continue_when_their_template_is_killed() {
    let (test, _worker) = checked(&[]).await;
    let program = format!(
        "import os, time\ndef run(go=None):\n    while go and not os.path.exists('{0}/go'):\n        open('{0}/pid', 'w').write('1\\n')\n        time.sleep(0.02)\n    return 1",
        test.directory.path().display()
    );
    let action = test.program("often", &program).await;
    warm(&test, action).await;
    let waiting = test.start_with(action, &json!({"go": true})).await;
    test.read("pid").await;
    let [template] = templates(&test)[..] else {
        panic!("one template")
    };
    kill(template, Signal::SIGKILL).unwrap();
    let (_, next) = run(&test, action, &json!({})).await;
    assert_eq!(next["output"], 1);
    test.touch("go");
    test.becomes(waiting, "status = 'succeeded'").await;
    assert!(test.is(waiting, "attempt = 1").await);
}

#[tokio::test]
async fn nothing_of_a_template_survives_its_worker() {
    let (test, worker) = checked(&[]).await;
    let action = test.program("often", PROGRAM).await;
    warm(&test, action).await;
    run(&test, action, &json!({})).await;
    let before = templates(&test);
    assert_eq!(before.len(), 1);
    worker.signal(Signal::SIGKILL);
    support::ended(before[0], Duration::from_secs(5)).await;
}

#[tokio::test]
async fn programs_that_cannot_be_forked_are_started() {
    let (test, worker) = checked(&[]).await;
    for (name, program) in [
        (
            "thread",
            "import threading, time\nthreading.Thread(target=time.sleep, args=(300,), daemon=True).start()\ndef run():\n    return 1",
        ),
        ("socket", "import socket\nS = socket.socket()\ndef run():\n    return 1"),
        ("file", "F = open('/etc/passwd')\ndef run():\n    return 1"),
        ("script", "import attune\nattune.result(1)"),
    ] {
        let action = test.program(name, program).await;
        for _ in 0..5 {
            let (_, whole) = run(&test, action, &json!({})).await;
            assert_eq!(whole["output"], 1, "{name}");
        }
    }
    assert_eq!(worker.log_count("an action runs without its template"), 4);
    assert_eq!(templates(&test), []);
    for reason in [
        "it starts a thread when it is loaded",
        "it opens a socket when",
        "it opens /etc/passwd when",
        "it has no function run()",
    ] {
        assert_eq!(worker.log_count(reason), 1, "{reason}");
    }
    let action = test.program("fails", "def run():\n    raise ValueError('no')").await;
    for _ in 0..4 {
        let id = test.start_with(action, &json!({})).await;
        test.becomes(id, "status = 'failed' and error = 'ValueError: no' and exit_code = 1")
            .await;
    }
}

/// Where actions have users of their own: all runs of a template have the same one, and no other action has it.
#[tokio::test]
async fn a_template_has_a_user_of_its_own() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let test = test("python").await;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
    fs::set_permissions(test.directory.path(), mode).unwrap();
    let _worker = test.worker_with(&[("ATTUNE__WORKER__RUN_ACTIONS_AS", "isolated")]);
    let action = test.program("often", PROGRAM).await;
    let other = test.program("other", &format!("{PROGRAM}# Another program.\n")).await;
    warm(&test, action).await;
    let mut users = HashSet::new();
    for _ in 0..3 {
        let (_, whole) = run(&test, action, &json!({})).await;
        users.insert(whole["output"]["uid"].as_u64().unwrap());
    }
    assert_eq!(users.len(), 1);
    assert!(users.iter().all(|user| *user >= 70_000));
    for _ in 0..2 {
        let (_, whole) = run(&test, other, &json!({})).await;
        assert!(!users.contains(&whole["output"]["uid"].as_u64().unwrap()));
    }
    // A run can neither inspect nor trace another one of the same user.
    let spy = "import os, attune, ctypes\ndef run(pid=None):\n    if pid is None:\n        return None\n    found = []\n    for name in ('environ', 'mem', 'cwd'):\n        try:\n            os.stat(f'/proc/{pid}/{name}'); open(f'/proc/{pid}/{name}', 'rb').read(1); found.append(name)\n        except OSError:\n            pass\n    found.append(ctypes.CDLL(None).ptrace(16, pid, 0, 0))\n    return found";
    let action = test.program("spy", spy).await;
    warm(&test, action).await;
    run(&test, action, &json!({})).await;
    let template = templates(&test)
        .into_iter()
        .find(|pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("ptrace")));
    let (_, whole) = run(&test, action, &json!({"pid": template.unwrap().as_raw()})).await;
    assert_eq!(whole["output"], json!([-1]));
    let still = async || (!templates(&test).is_empty()).then_some(());
    eventually("the template to live on", support::DEADLINE, still).await;
}
