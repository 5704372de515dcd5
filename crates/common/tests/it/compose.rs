//! The reference deployment: `docker-compose.yml`, its Dockerfile, and the script that makes its secrets.

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const SECRETS: [&str; 5] = [
    "POSTGRES_PASSWORD",
    "RABBITMQ_PASSWORD",
    "ATTUNE_JWT_SECRET",
    "ATTUNE_ENCRYPTION_KEY",
    "ATTUNE_ADMIN_PASSWORD",
];

#[expect(clippy::disallowed_methods, reason = "scripts and docker-compose are what is tested")]
fn run(program: &str, arguments: &[&str]) -> Option<Output> {
    let mut command = Command::new(program);
    for secret in SECRETS {
        command.env_remove(secret);
    }
    command.args(arguments).current_dir(ROOT).output().ok()
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn make_env(file: &Path) -> BTreeMap<String, String> {
    let output = run("bash", &["scripts/make_env.sh", &file.to_string_lossy()]).expect("bash is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(file).expect("the file was written");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The file with its merge keys applied.
fn compose() -> Value {
    let mut document: serde_norway::Value = serde_norway::from_str(&read("docker-compose.yml")).expect("it is YAML");
    document.apply_merge().expect("its merge keys can be applied");
    serde_json::to_value(document).expect("it is plain data")
}

fn names(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect()
}

#[test]
fn secrets_are_made_once_and_only_for_their_owner() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("env");
    let secrets = make_env(&file);
    assert_eq!(
        secrets.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        BTreeSet::from(SECRETS)
    );
    assert_eq!(
        secrets.values().collect::<BTreeSet<_>>().len(),
        SECRETS.len(),
        "each is different"
    );
    for (name, secret) in &secrets {
        assert!(
            secret.len() >= 24 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{name}"
        );
    }
    for key in ["ATTUNE_JWT_SECRET", "ATTUNE_ENCRYPTION_KEY"] {
        assert_eq!(secrets[key].len(), 64, "{key} has 32 bytes");
    }
    let mode = fs::metadata(&file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(make_env(&file), secrets, "a second run changes nothing");
    assert_eq!(
        fs::read_dir(folder.path()).expect("the folder is there").count(),
        1,
        "nothing is left behind"
    );
}

#[test]
fn every_service_is_there_and_says_when_it_is_healthy() {
    let compose = compose();
    let services = &compose["services"];
    let expected = ["api", "executor", "migrate", "postgres", "rabbitmq", "sensor", "worker"];
    assert_eq!(names(services), BTreeSet::from(expected));
    for name in expected.into_iter().filter(|name| *name != "migrate") {
        let test = services[name]["healthcheck"]["test"]
            .as_array()
            .unwrap_or_else(|| panic!("{name} has no health check"));
        assert!(test.len() > 1, "{name}");
    }
    for name in ["api", "executor", "sensor", "worker"] {
        let service = &services[name];
        assert_eq!(service["command"][0], format!("attune-{name}"));
        assert_eq!(
            service["depends_on"]["migrate"]["condition"], "service_completed_successfully",
            "{name}"
        );
        let test = service["healthcheck"]["test"].to_string();
        let listen = service["environment"][format!("ATTUNE__{}__LISTEN", name.to_uppercase())]
            .as_str()
            .unwrap_or_default();
        let port = listen.rsplit(':').next().unwrap_or_default();
        assert!(
            test.contains(&format!("http://127.0.0.1:{port}/health/ready")),
            "{name} listens on {listen}, and {test} asks"
        );
    }
    assert_eq!(services["migrate"]["command"], serde_json::json!(["attune", "migrate"]));
    assert_eq!(
        services["migrate"]["depends_on"]["postgres"]["condition"],
        "service_healthy"
    );
}

/// A secret is asked for, never guessed; and only who needs one is given it.
#[test]
fn no_secret_has_a_default() {
    let text = read("docker-compose.yml");
    for secret in SECRETS {
        let uses: Vec<&str> = text
            .match_indices(&format!("${{{secret}"))
            .map(|(at, _)| &text[at..])
            .collect();
        assert!(!uses.is_empty(), "{secret} is not used");
        for used in uses {
            assert!(
                used.starts_with(&format!("${{{secret}:?run scripts/make_env.sh first}}")),
                "{secret} may be missing"
            );
        }
    }
    let compose = compose();
    for (name, service) in compose["services"].as_object().expect("services") {
        for (variable, value) in service["environment"].as_object().into_iter().flatten() {
            let secret = ["PASS", "SECRET", "KEY"].iter().any(|part| variable.contains(part));
            assert!(
                !secret || value.as_str().is_some_and(|value| value.starts_with("${")),
                "{name}: {variable}"
            );
        }
    }
    let worker = compose["services"]["worker"]["environment"].to_string();
    assert!(!worker.contains("JWT") && !worker.contains("ADMIN"), "{worker}");
}

#[test]
fn the_image_holds_every_program_and_is_not_root() {
    let dockerfile = read("scripts/Dockerfile");
    for program in [
        "attune",
        "attune-api",
        "attune-sensor",
        "attune-executor",
        "attune-worker",
    ] {
        assert!(
            dockerfile.contains(&format!("target/release/{program} ")),
            "{program} is not copied"
        );
    }
    let user = dockerfile.lines().rfind(|line| line.starts_with("USER "));
    assert_eq!(user, Some("USER attune"));
    assert!(
        read(".dockerignore").lines().any(|line| line == ".env"),
        "secrets must not get into the image"
    );
}

/// docker-compose itself, where it is installed.
#[test]
fn docker_compose_accepts_it() {
    let found = [("docker-compose", vec![]), ("docker", vec!["compose"])]
        .into_iter()
        .find(|(program, first)| {
            run(program, &[first.as_slice(), &["version"]].concat()).is_some_and(|output| output.status.success())
        });
    let Some((program, first)) = found else {
        eprintln!("docker-compose is not installed: the other tests of this file read the YAML by themselves");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("env");
    let secrets = make_env(&file);
    let file = file.to_string_lossy().into_owned();
    let empty = folder.path().join("empty");
    fs::write(&empty, "").expect("the file can be written");
    let config = |env_file: &str| {
        let arguments = [
            first.as_slice(),
            &["--env-file", env_file, "-f", "docker-compose.yml", "config"],
        ]
        .concat();
        run(program, &arguments).expect("docker-compose starts")
    };
    let output = config(&file);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let config_text = String::from_utf8_lossy(&output.stdout);
    assert!(
        config_text.contains(&secrets["POSTGRES_PASSWORD"]),
        "secrets are filled in"
    );

    let output = config(&empty.to_string_lossy());
    assert!(!output.status.success(), "it must not start without secrets");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("run scripts/make_env.sh first"), "{said}");
}
