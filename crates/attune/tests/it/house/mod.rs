//! House rules: properties of the repository that tests check by reading its files. They need no server.
//!
//! Each rule is one small test, and its message states what to do.

mod code;
mod cycles;
mod documents;
mod facts;
mod links;
mod modules;
mod mutants;
mod ratchet;
mod source;
mod words;

use super::support::surroundings::repository;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A file of the repository; its name is relative to the repository's folder.
struct File {
    name: String,
    text: String,
}

impl File {
    fn read(name: &str) -> Self {
        let text = fs::read_to_string(repository().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self {
            name: name.to_owned(),
            text,
        }
    }

    /// Integration tests, and files of unit tests.
    fn is_test(&self) -> bool {
        self.name.contains("/tests/") || self.name.ends_with("/tests.rs") || self.name.contains("/examples/")
    }

    /// The part that is compiled into programs: without the unit tests at its end.
    fn code(&self) -> &str {
        self.text.split("\n#[cfg(test)]").next().unwrap_or_default()
    }

    /// Its lines with their numbers, for messages.
    fn lines(&self) -> impl Iterator<Item = (String, &str)> {
        let place = |(index, line)| (format!("{}:{}", self.name, index + 1), line);
        self.text.lines().enumerate().map(place)
    }
}

/// Every file in these folders, at any depth, with this ending.
fn files(folders: &[&str], ending: &str) -> Vec<File> {
    let root = repository();
    let mut found = Vec::new();
    for folder in folders {
        collect(&root, &root.join(folder), ending, &mut found);
    }
    assert!(!found.is_empty(), "there is no {ending} in {folders:?}");
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn collect(root: &Path, folder: &Path, ending: &str, found: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry of a folder").path();
        if path.is_dir() {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if !matches!(
                name,
                ".git" | "target" | "data" | "attune-data" | "node_modules" | "test-results"
            ) {
                collect(root, &path, ending, found);
            }
        } else if path.to_str().is_some_and(|path| path.ends_with(ending)) {
            found.push(File::read(&relative(root, &path)));
        }
    }
}

fn relative(root: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(root).expect("it lies in the repository");
    inside.to_str().expect("the path is text").to_owned()
}

fn rust() -> Vec<File> {
    files(&["crates"], ".rs")
}

fn exists(name: &str) -> bool {
    repository().join(name).exists()
}

/// Fails with all violations of a rule at once.
fn nothing_breaks(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}\n  {}", broken.join("\n  "));
}

/// The text between backticks, outside fenced blocks.
fn quoted(text: &str) -> Vec<String> {
    prose(text)
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

/// A text without its fenced blocks.
fn prose(text: &str) -> String {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// The fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    text.split(&format!("```{language}\n"))
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .map(str::to_owned)
        .collect()
}

/// A path without `.` and `..`.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                tidy.pop();
            }
            std::path::Component::CurDir => {}
            part => tidy.push(part),
        }
    }
    tidy
}
