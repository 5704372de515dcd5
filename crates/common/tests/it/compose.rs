//! The reference deployment: `docker-compose.yml`, its Dockerfile, and the script that generates its secrets.

use attune_common::config::Config;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const SECRETS: [&str; 6] = [
    "POSTGRES_PASSWORD",
    "RABBITMQ_PASSWORD",
    "ATTUNE_JWT_SECRET",
    "ATTUNE_ENCRYPTION_KEY",
    "ATTUNE_POOL_KEY",
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
fn secrets_are_generated_once_and_readable_only_by_their_owner() {
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
    for key in ["ATTUNE_JWT_SECRET", "ATTUNE_ENCRYPTION_KEY", "ATTUNE_POOL_KEY"] {
        assert_eq!(secrets[key].len(), 64, "{key} has 32 bytes");
    }
    let mode = fs::metadata(&file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(make_env(&file), secrets, "a second run changes nothing");
    fs::write(&file, "OTHER=kept\n").expect("it can be written");
    assert_eq!(make_env(&file)["ATTUNE_POOL_KEY"].len(), 64);
    assert_eq!(
        fs::read_dir(folder.path()).expect("the folder is there").count(),
        1,
        "nothing is left behind"
    );
}

#[test]
fn every_service_exists_and_has_a_health_check() {
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
        assert_eq!(
            service["depends_on"]["postgres"]["condition"], "service_healthy",
            "{name} must stop before the database does"
        );
        let test = service["healthcheck"]["test"].to_string();
        let listen = service["environment"][format!("ATTUNE__{}__LISTEN", name.to_uppercase())]
            .as_str()
            .unwrap_or_default();
        let port = listen.rsplit(':').next().unwrap_or_default();
        assert!(
            test.contains(&format!("http://127.0.0.1:{port}/health/ready")),
            "{name} listens on {listen}, and the health check is {test}"
        );
    }
    assert_eq!(services["migrate"]["command"], serde_json::json!(["attune", "migrate"]));
    assert_eq!(
        services["migrate"]["depends_on"]["postgres"]["condition"],
        "service_healthy"
    );
}

/// Secrets are required and have no default, and only services that need one get it.
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
    let needless = ["JWT", "ADMIN", "ENCRYPT"].iter().any(|part| worker.contains(part));
    assert!(!needless, "{worker}");
}

#[test]
fn the_image_contains_every_program_and_does_not_run_as_root() {
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

/// Expands variables like docker-compose: `${NAME:?message}` and `${NAME:-default}`.
fn filled_in(text: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (inside, after) = after.split_once('}').ok_or("a variable does not end")?;
        let (name, otherwise) = inside
            .split_once(':')
            .ok_or(format!("{inside} has neither :? nor :-"))?;
        filled.push_str(before);
        match (
            variables.get(name).filter(|value| !value.is_empty()),
            otherwise.split_at(1),
        ) {
            (Some(value), ("?" | "-", _)) => filled.push_str(value),
            (None, ("-", default)) => filled.push_str(default),
            (None, ("?", message)) => return Err(format!("{name}: {message}")),
            (_, (other, _)) => return Err(format!("{name} has {other:?}")),
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The lines without comments: docker-compose expands values only.
fn without_comments(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn it_starts_only_with_secrets() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let secrets = make_env(&folder.path().join("env"));
    let text = without_comments(&read("docker-compose.yml"));
    let filled = filled_in(&text, &secrets).expect("every variable is known");
    assert!(!filled.contains('$'), "every variable is filled in");
    for (name, secret) in &secrets {
        assert!(filled.contains(secret), "{name} is used");
        let mut fewer = secrets.clone();
        fewer.remove(name);
        let error = filled_in(&text, &fewer).expect_err("it must not start without a secret");
        assert_eq!(error, format!("{name}: run scripts/make_env.sh first"));
    }
    serde_norway::from_str::<serde_norway::Value>(&filled).expect("it is YAML with its variables, too");
}

/// The keys of the Compose specification that this file uses: a misspelled key would be ignored, or refused at deployment.
#[test]
fn every_key_is_one_of_the_specification() {
    let compose = compose();
    let known = |value: &Value, known: &[&str], place: &str| {
        let unknown: Vec<_> = names(value)
            .into_iter()
            .filter(|name| !known.contains(name) && !name.starts_with("x-"))
            .collect();
        assert!(unknown.is_empty(), "{place}: {unknown:?}");
    };
    known(&compose, &["services", "volumes"], "the file");
    let services = compose["services"].as_object().expect("services");
    for (name, service) in services {
        let keys = [
            "build",
            "cap_drop",
            "command",
            "depends_on",
            "environment",
            "healthcheck",
            "hostname",
            "image",
            "init",
            "ports",
            "restart",
            "security_opt",
            "shm_size",
            "stop_grace_period",
            "volumes",
        ];
        known(service, &keys, name);
        known(&service["build"], &["context", "dockerfile", "args"], name);
        let health = &service["healthcheck"];
        known(
            health,
            &["test", "interval", "timeout", "retries", "start_period"],
            name,
        );
        let spans = ["interval", "timeout", "start_period"].map(|key| &health[key]);
        for span in spans
            .into_iter()
            .chain([&service["stop_grace_period"]])
            .filter(|span| !span.is_null())
        {
            let seconds = span
                .as_str()
                .and_then(|span| span.strip_suffix('s')?.parse::<u32>().ok());
            assert!(
                seconds.is_some_and(|seconds| seconds > 0),
                "{name}: {span} is not a duration"
            );
        }
        let restart = service["restart"].as_str();
        assert!(
            matches!(restart, Some("unless-stopped" | "on-failure")),
            "{name}: {restart:?}"
        );
        names_lead_somewhere(&compose, name, service);
    }
}

/// Checks the dependencies, volumes and build files of a service.
fn names_lead_somewhere(compose: &Value, name: &str, service: &Value) {
    for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
        assert!(
            names(&compose["services"]).contains(other.as_str()),
            "{name} depends on {other}"
        );
        let condition = how["condition"].as_str();
        let known = ["service_started", "service_healthy", "service_completed_successfully"];
        assert!(
            condition.is_some_and(|condition| known.contains(&condition)),
            "{name}: {how}"
        );
    }
    for volume in service["volumes"].as_array().into_iter().flatten() {
        let named = volume
            .as_str()
            .expect("the short form")
            .split_once(':')
            .map(|(named, _)| named);
        let declared = names(&compose["volumes"]);
        assert!(
            named.is_none_or(|named| declared.contains(named)),
            "{name}: {volume} is not declared"
        );
    }
    if let Some(file) = service["build"]["dockerfile"].as_str() {
        assert!(Path::new(ROOT).join(file).is_file(), "{name}: there is no {file}");
    }
}

/// Every variable of our services is a key of the configuration with a valid value.
#[test]
fn every_variable_is_a_key_of_the_configuration() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let secrets = make_env(&folder.path().join("env"));
    let compose = compose();
    for name in ["migrate", "api", "sensor", "executor", "worker"] {
        let environment = compose["services"][name]["environment"]
            .as_object()
            .expect("an environment");
        let mut variables = BTreeMap::new();
        for (variable, value) in environment {
            let value = filled_in(value.as_str().expect("text"), &secrets).expect("every variable is known");
            variables.insert(variable.clone(), value);
        }
        // Not part of a section.
        assert_eq!(variables.remove("ATTUNE_ADMIN_PASSWORD").is_some(), name == "migrate");
        let config = Config::from_environment(variables).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        assert!(
            config.database.url.is_some() && config.message_queue.url.is_some(),
            "{name}"
        );
    }
    let misspelled = BTreeMap::from([("ATTUNE__API__LISTENS".to_owned(), "0.0.0.0:1".to_owned())]);
    let error = Config::from_environment(misspelled).expect_err("a misspelled key is refused");
    assert!(format!("{error:#}").contains("listens"), "{error:#}");
}

/// Checks with docker-compose itself, if it is installed.
#[test]
fn docker_compose_accepts_it() {
    let found = [("docker-compose", vec![]), ("docker", vec!["compose"])]
        .into_iter()
        .find(|(program, first)| {
            run(program, &[first.as_slice(), &["version"]].concat()).is_some_and(|output| output.status.success())
        });
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("env");
    let secrets = make_env(&file);
    let Some((program, first)) = found else {
        filled_in(&without_comments(&read("docker-compose.yml")), &secrets).expect("our own reading accepts it");
        return;
    };
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
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(printed.contains("run scripts/make_env.sh first"), "{printed}");
}
