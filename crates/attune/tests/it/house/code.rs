//! Rules of the code: import direction, owners of external resources, size of files.

use super::{File, files, nothing_breaks, rust};
use std::collections::BTreeMap;

/// Longer files are hard to read. `LARGER` lists the exceptions.
const LINES_MAX: usize = 400;
/// Name and number of lines. This list may only get shorter, and its numbers smaller.
const LARGER: [(&str, usize); 0] = [];

/// Who may import whom: domain ← common ← services ← attune, and domain ← client ← attune.
#[test]
fn imports_go_one_way() {
    let services = ["attune-domain", "attune-common"];
    let all = [
        "attune-domain",
        "attune-client",
        "attune-common",
        "attune-api",
        "attune-sensor",
        "attune-executor",
        "attune-worker",
    ];
    let mut broken = Vec::new();
    for manifest in files(&["crates"], "Cargo.toml") {
        let importer = manifest.name.split('/').nth(1).unwrap_or_default();
        let allowed: &[&str] = match importer {
            "domain" => &[],
            "common" | "client" => &["attune-domain"],
            "attune" | "bench" => &all,
            _ => &services,
        };
        for imported in imports(&manifest.text) {
            let itself = imported == format!("attune-{importer}");
            if !itself && !allowed.contains(&imported.as_str()) {
                broken.push(format!("{} imports {imported}", manifest.name));
            }
        }
    }
    nothing_breaks(
        "imports go domain ← common ← {api, sensor, executor, worker} ← attune ← bench, and domain ← client ← attune; put what two services share into common or domain:",
        &broken,
    );
}

/// The workspace crates that a manifest depends on, including those of tests.
fn imports(manifest: &str) -> Vec<String> {
    let names = manifest.lines().filter(|line| line.starts_with("attune-"));
    names
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .map(str::to_owned)
        .collect()
}

/// One owner for each external resource: the text that uses it, and where that is allowed. `in_tests` also allows tests.
struct Owner {
    thing: &'static str,
    words: &'static [&'static str],
    homes: &'static [&'static str],
    in_tests: bool,
}

const OWNERS: [Owner; 7] = [
    Owner {
        thing: "SQL",
        words: &[
            "sqlx::query",
            "sqlx::raw_sql",
            "query!(",
            "query_as!(",
            "query_scalar!(",
        ],
        homes: &[
            "crates/common/src/store/",
            "crates/common/src/testing/",
            "crates/bench/src/measure/",
        ],
        in_tests: true,
    },
    Owner {
        thing: "RabbitMQ (lapin)",
        words: &["lapin::"],
        homes: &["crates/common/src/bus/", "crates/common/tests/it/bus/"],
        in_tests: false,
    },
    Owner {
        thing: "the wall clock",
        words: &["Utc::now(", "Local::now(", "SystemTime::now("],
        homes: &["crates/common/src/clock.rs"],
        in_tests: false,
    },
    Owner {
        thing: "the environment",
        words: &["env::var(", "env::vars(", "env::var_os("],
        homes: &["crates/common/src/config", "crates/common/src/testing/"],
        in_tests: false,
    },
    Owner {
        thing: "child processes",
        words: &["Command::new("],
        homes: &[
            "crates/worker/src/runner/",
            "crates/common/src/postgres/",
            "crates/common/src/testing/",
            // The program git.
            "crates/attune/src/pack/git.rs",
            // The user's pager and editor.
            "crates/attune/src/child.rs",
            // The browser.
            "crates/attune/src/browser.rs",
            // The benchmark measures process starts, and sensors and services that it starts and kills.
            "crates/bench/src/",
        ],
        in_tests: true,
    },
    Owner {
        thing: "watching files",
        words: &["notify::"],
        homes: &["crates/sensor/src/"],
        in_tests: false,
    },
    Owner {
        thing: "tasks (use the service's tracker)",
        words: &["tokio::spawn("],
        homes: &[],
        in_tests: false,
    },
];

#[test]
fn external_resources_have_one_owner() {
    let rust = rust();
    for owner in &OWNERS {
        let stranger = |file: &&File| {
            let at_home = owner.homes.iter().any(|home| file.name.starts_with(home));
            !(at_home || owner.in_tests && file.is_test())
        };
        let mut broken = Vec::new();
        for file in rust.iter().filter(stranger) {
            // The rules themselves contain the text.
            let lines = file.lines().filter(|_| !file.name.contains("/house/"));
            let code = file.code().lines().count();
            let read = if owner.in_tests { code } else { usize::MAX };
            let found = lines.take(read).filter(|(_, line)| {
                let comment = line.trim_start().starts_with("//");
                !comment && owner.words.iter().any(|word| line.contains(word))
            });
            broken.extend(found.map(|(place, line)| format!("{place}: {}", line.trim())));
        }
        nothing_breaks(
            &format!(
                "{} may be used in {:?} only; call a function there:",
                owner.thing, owner.homes
            ),
            &broken,
        );
    }
}

#[test]
fn files_stay_small() {
    let larger = BTreeMap::from(LARGER);
    let mut broken = Vec::new();
    for file in rust().iter().filter(|file| !file.is_test()) {
        let lines = file.text.lines().count();
        match larger.get(file.name.as_str()) {
            None if lines > LINES_MAX => {
                broken.push(format!("{} has {lines} lines: split it by what it does", file.name));
            }
            Some(&max) if lines > max => broken.push(format!("{} has grown from {max} to {lines} lines", file.name)),
            Some(&max) if lines < max => {
                broken.push(format!("{} has {lines} lines now: write that into LARGER", file.name));
            }
            _ => {}
        }
    }
    nothing_breaks(&format!("a file has at most {LINES_MAX} lines:"), &broken);
}

/// Concatenated, so that this file does not break its own rule.
fn unwanted() -> [(String, &'static str); 8] {
    let word = |a: &str, b: &str| format!("{a}{b}");
    [
        (word("TO", "DO"), "do it, or open an issue"),
        (word("FIX", "ME"), "fix it, or open an issue"),
        (word("dbg", "!("), "remove it"),
        (word("todo", "!("), "write it"),
        (word("unimplemented", "!("), "write it"),
        (word("#[al", "low("), "use #[expect(…, reason = \"…\")]"),
        (word("#![al", "low("), "use #![expect(…, reason = \"…\")]"),
        (
            word("#[ig", "nore"),
            "a test that does not run proves nothing: make it run, or remove it",
        ),
    ]
}

#[test]
fn no_unfinished_code() {
    let mut broken = Vec::new();
    for file in rust() {
        for (place, line) in file.lines() {
            let found = unwanted().into_iter().find(|(word, _)| line.contains(word.as_str()));
            broken.extend(found.map(|(word, instead)| format!("{place}: {word}: {instead}")));
        }
    }
    nothing_breaks("remove these words from the code:", &broken);
}

#[test]
fn programs_do_not_unwrap() {
    let mut broken = Vec::new();
    let programs = rust();
    let programs = programs
        .iter()
        .filter(|file| !file.is_test() && !file.name.starts_with("crates/common/src/testing/"));
    for file in programs {
        let code = file.code().lines().count();
        let found = file.lines().take(code).filter(|(_, line)| line.contains(".unwrap()"));
        broken.extend(found.map(|(place, _)| place));
    }
    nothing_breaks(
        "a program does not unwrap: return an error that names what was expected:",
        &broken,
    );
}

/// Tests that sleep between polls, or let time pass on purpose, and how often. Elsewhere, `eventually` waits for a condition
/// with a deadline. This list may only get shorter.
const SLEEPERS: [(&str, usize); 10] = [
    // The pace of the load, the duration of faults, and the pause between them.
    ("crates/attune/tests/it/chaos/load.rs", 1),
    ("crates/attune/tests/it/chaos/mod.rs", 1),
    ("crates/attune/tests/it/chaos/cluster.rs", 1),
    // The pace of the load.
    ("crates/attune/tests/it/support/load.rs", 2),
    ("crates/common/tests/it/bus/mod.rs", 1),
    ("crates/common/tests/it/core_actions.rs", 1),
    ("crates/common/tests/it/postgres.rs", 1),
    // The pace of its loops.
    ("crates/executor/tests/it/stress.rs", 3),
    // A cancel at a different moment of each run.
    ("crates/worker/tests/it/runner/ends.rs", 1),
    ("crates/worker/tests/it/runner/support.rs", 1),
];

#[test]
fn tests_do_not_sleep_or_ignore() {
    let sleepers = BTreeMap::from(SLEEPERS);
    let mut broken = Vec::new();
    for file in rust()
        .iter()
        .filter(|file| file.is_test() && !file.name.contains("/house/"))
    {
        let sleeps = file.lines().filter(|(_, line)| calls_sleep(line)).count();
        let known = sleepers.get(file.name.as_str()).copied().unwrap_or_default();
        if sleeps > known {
            broken.push(format!("{} sleeps {sleeps} times, {known} are known", file.name));
        } else if sleeps < known {
            broken.push(format!(
                "{} sleeps {sleeps} times now: write that into SLEEPERS",
                file.name
            ));
        }
    }
    nothing_breaks(
        "a test waits for a condition with `attune_common::testing::eventually`, it does not sleep and hope:",
        &broken,
    );
}

fn calls_sleep(line: &str) -> bool {
    let call = line.contains("::sleep(") || line.trim_start().starts_with("sleep(") || line.contains(" sleep(");
    call && !line.contains("fn sleep")
}
