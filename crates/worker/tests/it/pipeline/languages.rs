//! Actions in Python and JavaScript, run by a real worker with the interpreters of this machine.

use crate::support::TestWorker;
use attune_common::store::execution;
use attune_domain::ExecutionId;
use serde_json::{Value, json};

/// A worker's test with a runtime of the kind.
pub async fn test(kind: &str) -> TestWorker {
    let test = TestWorker::new().await;
    let change = format!("update runtime set kind = '{kind}', command = '{{}}'");
    test.database.execute(&change).await;
    test
}

/// Creates an action of this program and starts it with the parameters.
pub async fn start(test: &TestWorker, name: &str, program: &str, parameters: &Value) -> ExecutionId {
    let id = test.program(name, program).await;
    test.start_with(id, parameters).await
}

pub async fn result(test: &TestWorker, id: ExecutionId) -> Value {
    let found = execution::get(&test.database.pool, id).await.unwrap().unwrap();
    found.result.unwrap()
}

#[tokio::test]
async fn a_python_function_gets_its_parameters_and_returns_its_result() {
    let test = test("python").await;
    let _worker = test.worker();
    let parameters = json!({"name": "ü", "times": 2});
    let plain =
        "def run(name, times=1):\n    print('log')\n    return {'greeting': name * times, 'n': [1.5, None, True]}";
    let plain = start(&test, "plain", plain, &parameters).await;
    let waiting = "import asyncio, attune\nasync def run(**given):\n    await asyncio.sleep(0)\n    attune.progress('half', 50)\n    return [given, attune.attempt]";
    let waiting = start(&test, "waiting", waiting, &parameters).await;
    let script = "import attune\nif __name__ == '__main__':\n    attune.result(attune.parameters()['times'])";
    let script = start(&test, "script", script, &parameters).await;
    test.becomes(plain, "status = 'succeeded'").await;
    let found = result(&test, plain).await;
    assert_eq!(found["output"], json!({"greeting": "üü", "n": [1.5, null, true]}));
    assert_eq!(found["stdout"], "log\n");
    test.becomes(waiting, "status = 'succeeded'").await;
    let found = result(&test, waiting).await;
    assert_eq!(found["output"], json!([parameters, 1]));
    assert_eq!(found["stderr"], "progress: 50 % half\n");
    test.becomes(script, "status = 'succeeded'").await;
    assert_eq!(result(&test, script).await["output"], 2);
}

#[tokio::test]
async fn a_failed_python_action_has_its_exception_as_error() {
    let test = test("python").await;
    let _worker = test.worker();
    for (name, program, error) in [
        (
            "raises",
            "def run():\n    raise ValueError('no such host')",
            "ValueError: no such host",
        ),
        (
            "takes",
            "def run(x):\n    pass",
            "TypeError: run() missing 1 required positional argument: ''x''",
        ),
        (
            "returns",
            "def run():\n    return object()",
            "TypeError: run() returned a value that is not JSON: Object of type object is not JSON serializable",
        ),
        (
            "nan",
            "def run():\n    return float('nan')",
            "TypeError: run() returned a value that is not JSON: %",
        ),
        ("syntax", "def run(:", "SyntaxError: invalid syntax"),
        (
            "imports",
            "import no_such_module",
            "ModuleNotFoundError: No module named ''no_such_module''",
        ),
        ("exits", "import sys\nsys.exit(7)", "exit code 7"),
        (
            "twice",
            "import attune\ndef run():\n    attune.result([1])\n    return [2]",
            "the result on descriptor 3 is not one JSON value: %",
        ),
    ] {
        let id = start(&test, name, program, &json!({})).await;
        test.becomes(id, &format!("status = 'failed' and error like '{error}'"))
            .await;
    }
}

#[tokio::test]
async fn a_python_action_is_stopped_and_timed_out_like_every_process() {
    let test = test("python").await;
    let _worker = test.worker();
    let forever = format!(
        "import os, signal, time\ndef run():\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    open('{}/pid', 'w').write(f'{{os.getpid()}}\\n')\n    os.fork()\n    time.sleep(300)",
        test.directory.path().display()
    );
    let action = test.program("forever", &forever).await;
    test.database
        .execute("update action set timeout_seconds = 1 where ref = 't.forever'")
        .await;
    let id = test.start_with(action, &json!({})).await;
    test.becomes(id, "status = 'timed_out'").await;
    let pid = test.pid("pid").await;
    crate::support::ended(pid, std::time::Duration::ZERO).await;
}

/// Where Node.js is installed.
#[tokio::test]
async fn a_javascript_function_gets_its_parameters_and_returns_its_result() {
    if !["/usr/local/bin/node", "/usr/bin/node"]
        .iter()
        .any(|path| std::path::Path::new(path).exists())
    {
        return;
    }
    let test = test("node").await;
    let _worker = test.worker();
    let program = "export async function run({ name }) { console.log('log'); return { greeting: name + '!' }; }";
    let id = start(&test, "greets", program, &json!({"name": "ü"})).await;
    test.becomes(id, "status = 'succeeded'").await;
    let found = result(&test, id).await;
    assert_eq!(
        (&found["output"], &found["stdout"]),
        (&json!({"greeting": "ü!"}), &json!("log\n"))
    );
    let id = start(
        &test,
        "fails",
        "export function run() { throw new TypeError('bad thing'); }",
        &json!({}),
    )
    .await;
    test.becomes(id, "status = 'failed' and error = 'TypeError: bad thing'")
        .await;
}
