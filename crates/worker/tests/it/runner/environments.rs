//! Environments of packs, built from a wheel that the test makes: nothing comes from the network.

use super::{support::TestRunner, users::isolate};
use attune_common::config::WorkerPython;
use attune_worker::{
    language::environment::{Environments, Need},
    runner::{Command, Invocation, Outcome, Stop},
};
use nix::unistd::geteuid;
use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// Writes a wheel with one module.
const WHEEL: &str = r#"
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[1] + "/greet-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("greet.py", "def hello():\n    return 'hi'\n")
    wheel.writestr("greet-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: greet\nVersion: 1.0\n")
    wheel.writestr("greet-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr("greet-1.0.dist-info/RECORD", "")
os.chmod(wheel.filename, 0o644)
"#;

async fn test() -> TestRunner {
    TestRunner::with(|settings| {
        if geteuid().is_root() {
            isolate(settings);
        }
    })
    .await
}

fn program(test: &TestRunner, program: &str, arguments: &[&str]) -> Invocation {
    Invocation {
        command: Command::Program {
            program: program.to_owned(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        },
        ..test.shell("")
    }
}

/// A folder with these requirements.
fn pack(test: &TestRunner, name: &str, requirements: &str) -> std::path::PathBuf {
    let folder = test.file(name);
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    fs::write(folder.join("requirements.txt"), requirements).unwrap();
    folder
}

async fn interpreter(
    test: &TestRunner,
    environments: &Environments,
    pack_dir: &Path,
) -> Result<(String, bool), String> {
    let (invocation, stop) = (test.shell(""), Stop::default());
    let need = Need {
        invocation: &invocation,
        pack: "greetings",
        pack_dir,
        program: "python3",
        stop: &stop,
    };
    let mut built = false;
    let found = environments
        .interpreter(&test.runner, need, async |_| built = true)
        .await;
    found
        .map(|python| (python, built))
        .map_err(|failed| failed.error.unwrap_or_default())
}

#[tokio::test]
async fn an_environment_is_built_once_for_all_packs_with_the_same_list() {
    let test = test().await;
    let environments = Environments::open(test.file("envs"), WorkerPython::default()).unwrap();
    let first = pack(&test, "first", "./greet-1.0-py3-none-any.whl\n");
    let made = test
        .run(program(&test, "python3", &["-I", "-c", WHEEL, first.to_str().unwrap()]))
        .await;
    assert_eq!(made.outcome, Outcome::Succeeded, "{made:?}");
    let (python, built) = interpreter(&test, &environments, &first).await.unwrap();
    assert!(
        built && python.starts_with(test.file("envs").to_str().unwrap()),
        "{python}"
    );
    let script = "import greet, sys\nprint(greet.hello(), sys.prefix)";
    let ended = test.run(program(&test, &python, &["-I", "-c", script])).await;
    let prefix = python.strip_suffix("/bin/python").unwrap();
    assert_eq!(ended.stdout, format!("hi {prefix}\n"), "{ended:?}");
    let module = fs::read_dir(format!("{prefix}/lib")).unwrap().next().unwrap().unwrap();
    let module = fs::metadata(module.path().join("site-packages/greet.py")).unwrap();
    assert_eq!((module.uid(), module.mode() & 0o777), (geteuid().as_raw(), 0o644));
    let second = pack(&test, "second", "./greet-1.0-py3-none-any.whl\n");
    assert_eq!(interpreter(&test, &environments, &second).await, Ok((python, false)));
    let none = test.file("none");
    fs::create_dir(&none).unwrap();
    assert_eq!(
        interpreter(&test, &environments, &none).await,
        Ok(("python3".to_owned(), false))
    );
    test.stop().await;
}

#[tokio::test]
async fn a_build_that_fails_is_explained_and_not_repeated_at_once() {
    let test = test().await;
    let environments = Environments::open(test.file("envs"), WorkerPython::default()).unwrap();
    let broken = pack(&test, "broken", "./missing-1.0-py3-none-any.whl\n");
    let error = interpreter(&test, &environments, &broken).await.unwrap_err();
    assert!(
        error.starts_with("environment of greetings: ") && error.contains("missing-1.0"),
        "{error}"
    );
    let error = interpreter(&test, &environments, &broken).await.unwrap_err();
    assert!(
        error.contains("missing-1.0") && error.contains("it is built again in 30 s at the earliest"),
        "{error}"
    );
    let left: Vec<_> = fs::read_dir(test.file("envs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 1, "only the lock file: {left:?}");
    test.stop().await;
}
