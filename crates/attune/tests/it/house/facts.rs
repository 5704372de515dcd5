//! Rules of facts: tests, metrics, settings and versions in documents match the code.

use super::{super::support::surroundings::repository, File, nothing_breaks, quoted, rust};
use attune_common::{config::Config, metrics::HELP};
use serde_json::Value;
use std::{collections::BTreeSet, process::Command};

/// Every promise names existing tests.
#[test]
fn tests_named_in_guarantees_exist() {
    let tests: String = rust().into_iter().map(|file| file.text).collect();
    let guarantees = File::read("docs/GUARANTEES.md").text;
    let mut broken = Vec::new();
    let mut named = 0;
    let is_row = |line: &str| line.starts_with("| ");
    let held_by = |line: &&str| line.starts_with("- `") || line.starts_with("  ") || is_row(line);
    for line in guarantees.lines().filter(held_by) {
        let is_test = |word: &String| word.contains('_') && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        for name in quoted(line).into_iter().filter(is_test) {
            named += 1;
            let declared = [format!("fn {name}("), format!("{name} {{")];
            if !declared.iter().any(|words| tests.contains(words)) {
                broken.push(name);
            }
        }
    }
    // The first row is the head of the table.
    let rows = guarantees.lines().filter(|line| is_row(line)).skip(1);
    for row in rows.filter(|row| !row.contains('`')) {
        broken.push(format!("none in {row}"));
    }
    assert!(
        named > 20,
        "docs/GUARANTEES.md names the tests that hold each promise in lines that begin with - `"
    );
    nothing_breaks("docs/GUARANTEES.md names tests that do not exist:", &broken);
}

/// The troubleshooting list of the quickstart quotes messages that programs print.
#[test]
fn messages_that_the_quickstart_quotes_exist() {
    let quickstart = File::read("docs/quickstart-timer-demo.md").text;
    let (_, list) = quickstart.split_once("## Troubleshooting").expect("the section exists");
    let quoted = list
        .lines()
        .filter_map(|line| line.strip_prefix("- **`")?.split('`').next());
    let programs: Vec<File> = rust().into_iter().filter(|file| !file.is_test()).collect();
    let printed = |message: &str| programs.iter().any(|file| file.code().contains(message));
    let broken: Vec<String> = quoted
        .map(|message| message.trim_end_matches(" …"))
        .filter(|message| !printed(message))
        .map(str::to_owned)
        .collect();
    nothing_breaks("no program prints these messages of the quickstart:", &broken);
}

fn in_code() -> BTreeSet<String> {
    rust()
        .iter()
        .filter(|file| !file.is_test())
        .flat_map(|file| file.text.split("!(\"attune_").skip(1).map(metric).collect::<Vec<_>>())
        .collect()
}

/// The code names a metric where it is recorded: `counter!("attune_…"`.
#[test]
fn metrics_are_documented() {
    let in_code = in_code();
    let documented: BTreeSet<String> = quoted(&File::read("docs/operations/health-metrics.md").text)
        .iter()
        .filter(|word| word.starts_with("attune_"))
        .filter_map(|word| word.split('{').next().map(str::to_owned))
        .collect();
    let difference: Vec<String> = in_code.symmetric_difference(&documented).cloned().collect();
    nothing_breaks(
        "docs/operations/health-metrics.md lists every metric of the code; these are in only one of them:",
        &difference,
    );
}

/// Each metric has a help text.
#[test]
fn metrics_have_help() {
    let help: BTreeSet<String> = HELP.iter().map(|(name, _)| (*name).to_owned()).collect();
    let difference: Vec<String> = in_code().symmetric_difference(&help).cloned().collect();
    nothing_breaks(
        "crates/common/src/metrics.rs has a HELP for each metric; these are in only one of them:",
        &difference,
    );
}

/// The name at the beginning of this text.
fn metric(rest: &str) -> String {
    format!("attune_{}", rest.split('"').next().unwrap_or_default())
}

/// `attune.toml.example` with its settings uncommented.
fn example() -> String {
    let example = File::read("attune.toml.example").text;
    let setting = |line: &str| {
        let named = line.strip_prefix("# ").unwrap_or(line);
        let key = named.split(" = ").next().unwrap_or_default();
        let is_setting = named.contains(" = ") && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if is_setting { named.to_owned() } else { line.to_owned() }
    };
    example.lines().map(setting).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_of_a_configuration_is_accepted() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("attune.toml");
    std::fs::write(&file, example()).expect("the file can be written");
    let read = Config::load(Some(&file)).map(drop);
    assert!(
        read.is_ok(),
        "attune.toml.example contains unknown or invalid settings: {read:?}"
    );
}

#[test]
fn the_example_of_a_configuration_is_complete() {
    let config = ["config.rs", "config/executor.rs"].map(|name| File::read(&format!("crates/common/src/{name}")).text);
    let config = config.concat();
    let example = example();
    let mut missing = Vec::new();
    for (section, of) in fields_of(&config, "Config") {
        let heading = format!("[{section}]\n");
        let Some((_, rest)) = example.split_once(&heading) else {
            missing.push(format!("[{section}]"));
            continue;
        };
        let settings = rest.split("\n[").next().unwrap_or_default();
        for (key, _) in fields_of(&config, &of) {
            if !settings.lines().any(|line| line.starts_with(&format!("{key} = "))) {
                missing.push(format!("[{section}] {key}"));
            }
        }
    }
    nothing_breaks("attune.toml.example lacks these settings:", &missing);
}

/// The public fields of a struct and their types, as written.
fn fields_of(source: &str, name: &str) -> Vec<(String, String)> {
    let (_, rest) = source
        .split_once(&format!("pub struct {name} {{"))
        .unwrap_or_else(|| panic!("the configuration has a struct {name}"));
    let body = rest.split("\n}").next().unwrap_or_default();
    let field = |line: &str| {
        let (name, of) = line.trim().strip_prefix("pub ")?.split_once(": ")?;
        Some((name.to_owned(), of.trim_end_matches(',').to_owned()))
    };
    body.lines().filter_map(field).collect()
}

/// The oldest supported Rust version is the same everywhere.
#[test]
fn the_oldest_rust_is_the_same_everywhere() {
    let manifest = File::read("Cargo.toml").text;
    let oldest = between(&manifest, "rust-version = \"", "\"");
    let places = [
        ("README.md", format!("({oldest} or newer)")),
        ("docs/quickstart-timer-demo.md", format!("({oldest} or newer)")),
        ("scripts/lib/install.sh", format!("RUST_OLDEST={oldest}\n")),
        ("scripts/Dockerfile", format!("BUILD_IMAGE=rust:{oldest}-")),
        ("docker-compose.yml", format!("BUILD_IMAGE:-rust:{oldest}-")),
    ];
    let broken: Vec<_> = places
        .iter()
        .filter(|(name, words)| !File::read(name).text.contains(words))
        .map(|(name, words)| format!("{name}: {words}"))
        .collect();
    nothing_breaks("these differ from rust-version in Cargo.toml:", &broken);
}

/// The oldest supported Rust version can build every dependency; otherwise cargo refuses.
#[test]
fn no_crate_needs_a_newer_rust() {
    #[expect(clippy::disallowed_methods, reason = "cargo has the requirements of each crate")]
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version", "1"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(repository())
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let manifest = File::read("Cargo.toml").text;
    let oldest = numbers(between(&manifest, "rust-version = \"", "\""));
    let packages = metadata["packages"].as_array().expect("packages");
    let newer = |package: &&Value| {
        package["rust_version"]
            .as_str()
            .is_some_and(|rust| numbers(rust) > oldest)
    };
    let broken: Vec<_> = packages
        .iter()
        .filter(newer)
        .map(|package| format!("{} needs {}", package["name"], package["rust_version"]))
        .collect();
    nothing_breaks(
        "raise rust-version in Cargo.toml, or take an older version of:",
        &broken,
    );
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let inside = text.split_once(before).and_then(|(_, rest)| rest.split_once(after));
    inside.unwrap_or_else(|| panic!("there is no {before}")).0
}

/// A version as comparable numbers: 1.94 is 1.94.0.
fn numbers(version: &str) -> Vec<u32> {
    let mut numbers: Vec<_> = version.split('.').map(|part| part.parse().expect("a number")).collect();
    numbers.resize(3, 0);
    numbers
}
