//! Rules of documents: limits of length, and names of files and commands that exist.

use super::{File, blocks, exists, files, nothing_breaks, prose, quoted};
use std::{collections::BTreeSet, os::unix::fs::PermissionsExt as _, path::Path};

#[test]
fn short_documents_stay_short() {
    for (name, lines_max) in [("README.md", 150), ("docs/ARCHITECTURE.md", 300)] {
        let lines = File::read(name).text.lines().count();
        assert!(
            lines <= lines_max,
            "{name} has {lines} lines, at most {lines_max}: move details into other documents"
        );
    }
}

/// Long cells cannot be read in the source. Reports and generated files may have them.
#[test]
fn table_cells_are_short() {
    const CELL_MAX: usize = 120;
    let free = ["docs/generated/", "docs/decisions/", "docs/reports/benchmarks.md"];
    let mut broken = Vec::new();
    for document in files(&["."], ".md") {
        let name = document.name.trim_start_matches("./");
        let text = prose(&document.text);
        let rows = text.lines().filter(|line| line.starts_with('|'));
        let cells = rows.flat_map(|row| row.split('|')).map(str::trim);
        let long = cells.filter(|cell| cell.chars().count() > CELL_MAX);
        if !free.iter().any(|free| name.starts_with(free)) {
            broken.extend(long.map(|cell| format!("{name}: {cell}")));
        }
    }
    nothing_breaks(
        &format!("a table cell has at most {CELL_MAX} characters; make it a list:"),
        &broken,
    );
}

/// Names of files in backticks exist.
#[test]
fn files_named_in_documents_exist() {
    let folders = [
        "crates/",
        "docs/",
        "migrations/",
        "packs/",
        "scripts/",
        ".ci/",
        ".sqlx/",
        "CHANGELOG",
        "attune.toml",
    ];
    let mut broken = Vec::new();
    for document in files(&["."], ".md") {
        for name in quoted(&document.text) {
            let name = name.trim_start_matches("./");
            let is_path = folders.iter().any(|folder| name.starts_with(folder));
            let placeholder = name.contains(['<', '*', '…', '{', ' ']) || name.contains("NNNN");
            if is_path && !placeholder && !exists(name) {
                broken.push(format!("{} names {name}", document.name));
            }
        }
    }
    nothing_breaks("documents name files that do not exist:", &broken);
}

/// The commands of the README, and the scripts in all documents.
#[test]
fn commands_in_documents_can_be_run() {
    let mut broken = Vec::new();
    for document in files(&["."], ".md") {
        let blocks = ["bash", "console"]
            .map(|language| blocks(&document.text, language))
            .concat();
        for word in blocks.iter().flat_map(|block| block.split_whitespace()) {
            let script = word.trim_start_matches("./");
            let is_script =
                script.starts_with("scripts/") && Path::new(script).extension().is_some_and(|of| of == "sh");
            if is_script && !is_program(script) {
                broken.push(format!("{} runs {script}", document.name));
            }
        }
    }
    nothing_breaks(
        "documents run scripts that do not exist or are not executable (chmod +x):",
        &broken,
    );
    let readme = blocks(&File::read("README.md").text, "bash").concat();
    for command in ["./scripts/quickstart.sh", "./scripts/test.sh"] {
        assert!(
            readme.contains(command),
            "README.md names its command {command} in a bash block"
        );
    }
}

fn is_program(name: &str) -> bool {
    let file = super::repository().join(name);
    file.metadata()
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// A test loads them all; here people find them.
#[test]
fn examples_are_documented() {
    let packs = File::read("docs/reference/packs.md").text;
    let examples = files(&["packs/examples"], "/pack.yaml");
    let missing: Vec<String> = examples
        .iter()
        .map(|example| format!("`{}`", example.name.trim_end_matches("/pack.yaml")))
        .filter(|folder| !packs.contains(folder))
        .collect();
    nothing_breaks("docs/reference/packs.md lists every example:", &missing);
}

#[test]
fn decisions_are_numbered_once() {
    let mut numbers = BTreeSet::new();
    for decision in files(&["docs/decisions"], ".md") {
        let file = decision.name.rsplit('/').next().unwrap_or_default();
        let number = file.split('-').next().unwrap_or_default().to_owned();
        assert!(
            decision.text.starts_with(&format!("# {number} ")),
            "{file} begins with `# {number} `"
        );
        assert!(
            numbers.insert(number.clone()),
            "two decisions have the number {number}: take the next free one"
        );
    }
}

#[test]
fn every_migration_has_a_fixture() {
    let numbers: Vec<String> = files(&["migrations"], ".sql")
        .iter()
        .filter(|file| !file.name.contains("/fixtures/"))
        .filter_map(|file| Some(file.name.rsplit('/').next()?.split('_').next()?.to_owned()))
        .collect();
    for (index, number) in numbers.iter().enumerate() {
        assert_eq!(
            *number,
            format!("{:04}", index + 1),
            "migrations are numbered without gaps"
        );
        let fixture = format!("migrations/fixtures/{number}.sql");
        assert!(
            exists(&fixture),
            "{fixture} is missing: migrations/README.md describes it"
        );
    }
}
