//! Rules of the fault tests: mutants apply to the code, and only test builds have failpoints.

use super::{File, files, nothing_breaks, rust};
use attune_common::failpoint;

const FEATURE: &str = "failpoints";

/// Each hunk of a patch: the file, and the lines that it expects there.
fn expected(patch: &str) -> Vec<(String, String)> {
    let mut parts = Vec::new();
    let mut file = "";
    for line in patch.lines() {
        if let Some(name) = line.strip_prefix("--- a/") {
            file = name;
        } else if line.starts_with("@@") {
            parts.push((file.to_owned(), String::new()));
        } else if let (Some((_, text)), Some(line)) = (parts.last_mut(), line.strip_prefix([' ', '-'])) {
            // A line `--- a/` of another file was handled above.
            text.push_str(line);
            text.push('\n');
        }
    }
    parts
}

#[test]
fn mutants_apply_to_the_code() {
    let mut broken = Vec::new();
    let tests = rust();
    let mutants = files(&["crates/attune/tests/mutants"], ".patch");
    assert!(mutants.len() >= 9, "there are {} mutants", mutants.len());
    for mutant in mutants {
        let name = &mutant.name;
        let parts = expected(&mutant.text);
        if parts.is_empty() {
            broken.push(format!("{name} changes nothing"));
        }
        for (file, text) in parts {
            if !File::read(&file).text.contains(&text) {
                broken.push(format!(
                    "{name} does not apply to {file}: make the change again, and the patch from it"
                ));
            }
        }
        let killer = mutant.text.lines().find_map(|line| line.strip_prefix("Killed by: "));
        let test = killer.and_then(|killer| killer.rsplit([':', ' ']).next());
        let declared = format!("fn {}()", test.unwrap_or_default());
        let package = killer.and_then(|killer| killer.split(' ').next()?.strip_prefix("attune-"));
        let folder = format!("crates/{}/", package.unwrap_or_default());
        if !tests
            .iter()
            .any(|file| file.name.starts_with(&folder) && file.text.contains(&declared))
        {
            broken.push(format!(
                "{name} has no `Killed by: PACKAGE TARGET TEST` with an existing test"
            ));
        }
    }
    nothing_breaks(
        "each mutant applies to the code and names the test that detects it:",
        &broken,
    );
}

/// Every declared failpoint has exactly one call.
#[test]
fn failpoints_are_declared() {
    let programs = rust();
    let code = programs
        .iter()
        .filter(|file| !file.is_test() && !file.name.contains("/failpoint/"));
    let mut called: Vec<String> = code
        .flat_map(|file| {
            file.code()
                .split("failpoint::hit")
                .skip(1)
                .map(point)
                .collect::<Vec<_>>()
        })
        .collect();
    called.sort();
    let mut declared = failpoint::ALL.map(str::to_owned);
    declared.sort();
    assert_eq!(called, declared, "each point of failpoint::ALL has one call");
}

/// The name in the call at the beginning of this text.
fn point(rest: &str) -> String {
    rest.split('"').nth(1).unwrap_or_default().to_owned()
}

/// Only tests may have failpoints: the feature is never a default, and only scripts/test.sh enables it.
#[test]
fn release_builds_have_no_failpoints() {
    let mut broken = Vec::new();
    for manifest in files(&["crates"], "Cargo.toml") {
        let (_, features) = manifest.text.split_once("[features]\n").unwrap_or_default();
        let features = features.split("\n[").next().unwrap_or_default();
        if features
            .lines()
            .any(|line| line.starts_with("default") && line.contains(FEATURE))
        {
            broken.push(format!("{} has {FEATURE} by default", manifest.name));
        }
        let enables =
            |line: &&str| line.contains("features = [") && line.contains(FEATURE) && line.starts_with("attune-");
        if manifest.text.lines().any(|line| enables(&line)) {
            broken.push(format!("{} enables {FEATURE}", manifest.name));
        }
    }
    let build = files(&["scripts"], "").into_iter().chain([File::read("Cargo.toml")]);
    for file in build.filter(|file| file.name != "scripts/test.sh" && file.text.contains(FEATURE)) {
        broken.push(format!("{} names {FEATURE}", file.name));
    }
    nothing_breaks("failpoints are for tests only:", &broken);
    let test = File::read("scripts/test.sh").text;
    let builds = [
        "cargo clippy",
        "cargo build",
        "cargo nextest run",
        "cargo test --locked",
    ];
    for line in test
        .lines()
        .filter(|line| builds.iter().any(|build| line.contains(build)))
    {
        assert!(
            line.contains("\"${features[@]}\""),
            "all builds of scripts/test.sh have the same features: {line}"
        );
    }
    assert!(
        test.contains("features=(--features attune/failpoints"),
        "scripts/test.sh builds with failpoints"
    );
}
