//! Patterns of file names: `*.csv`, `report-??.txt`, `2026/**/*.json`, `*.{jpg,png}`.

use crate::condition::pattern;
use regex::{Regex, RegexBuilder};

const PATTERN_BYTES_MAX: usize = 256;
const COMPILED_BYTES_MAX: usize = 1024 * 1024;

/// A list of patterns. One without `/` is compared with the name of a file, the others with its path below the watched
/// directory.
#[derive(Debug, Clone)]
pub struct Patterns {
    names: Option<Regex>,
    paths: Option<Regex>,
}

impl Patterns {
    /// Compiles patterns that [`check`] accepts.
    pub fn new(patterns: &[String]) -> Result<Self, String> {
        let compile = |of_paths: bool| {
            let regexes: Vec<String> = patterns
                .iter()
                .filter(|pattern| pattern.contains('/') == of_paths)
                .map(|pattern| translate(pattern))
                .collect();
            if regexes.is_empty() {
                return Ok(None);
            }
            let regex = RegexBuilder::new(&format!(r"\A(?s:{})\z", regexes.join("|")))
                .size_limit(COMPILED_BYTES_MAX)
                .build();
            regex
                .map(Some)
                .map_err(|_| "has patterns that become too large together".to_owned())
        };
        Ok(Self {
            names: compile(false)?,
            paths: compile(true)?,
        })
    }

    pub fn matches(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        let is_match = |regex: &Option<Regex>, text: &str| regex.as_ref().is_some_and(|regex| regex.is_match(text));
        is_match(&self.names, name) || is_match(&self.paths, path)
    }
}

/// What is wrong with a pattern.
pub fn check(pattern: &str) -> Result<(), String> {
    let problem = match pattern {
        "" => "must not be empty".to_owned(),
        long if long.len() > PATTERN_BYTES_MAX => format!("must have at most {PATTERN_BYTES_MAX} bytes"),
        absolute if absolute.starts_with('/') => {
            "must be relative to config.path, such as *.csv or 2026/*.csv".to_owned()
        }
        outside if outside.split('/').any(|part| part == "..") => "must not contain ..".to_owned(),
        folder if folder.ends_with('/') => format!("must match files; write {folder}**"),
        _ => return Ok(()),
    };
    Err(problem)
}

fn translate(pattern: &str) -> String {
    let chars: Vec<char> = pattern.chars().collect();
    let mut translated = String::from("(?:");
    let mut at = 0;
    let mut is_in_braces = false;
    while at < chars.len() {
        let rest = &chars[at..];
        let set = (rest[0] == '[').then(|| pattern::set(rest)).flatten();
        let (text, length) = match (rest, set) {
            (_, Some((set, length))) => (set, length),
            (['*', '*', '/', ..], _) => ("(?:.*/)?".to_owned(), 3),
            (['*', '*', ..], _) => (".*".to_owned(), 2),
            (['*', ..], _) => ("[^/]*".to_owned(), 1),
            (['?', ..], _) => ("[^/]".to_owned(), 1),
            (['{', inside @ ..], _) if !is_in_braces && inside.contains(&'}') => {
                is_in_braces = true;
                ("(?:".to_owned(), 1)
            }
            (['}', ..], _) if is_in_braces => {
                is_in_braces = false;
                (")".to_owned(), 1)
            }
            ([',', ..], _) if is_in_braces => ("|".to_owned(), 1),
            _ => (pattern::literal(rest[0]), 1),
        };
        translated.push_str(&text);
        at += length;
    }
    translated + ")"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(patterns: &[&str], path: &str) -> bool {
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        for pattern in &patterns {
            check(pattern).expect(pattern);
        }
        Patterns::new(&patterns).expect("small patterns").matches(path)
    }

    #[test]
    fn names_and_paths() {
        for (pattern, path, expected) in [
            ("*.csv", "a.csv", true),
            ("*.csv", "deep/er/a.csv", true),
            ("*.csv", "a.csv.part", false),
            ("*.csv", "A.CSV", false),
            ("a.csv", "a-csv", false),
            (".*", ".hidden", true),
            (".*", "a.b", false),
            ("report-??.txt", "report-01.txt", true),
            ("report-??.txt", "report-1.txt", false),
            ("[a-c]*", "b1", true),
            ("[!a-c]*", "b1", false),
            ("*.{jpg,png}", "x.png", true),
            ("*.{jpg,png}", "x.gif", false),
            ("{a", "{a", true),
            ("2026/*.csv", "2026/a.csv", true),
            ("2026/*.csv", "2026/01/a.csv", false),
            ("2026/**", "2026/01/a.csv", true),
            ("**/a.csv", "a.csv", true),
            ("**/a.csv", "x/y/a.csv", true),
            ("x/**/a.csv", "x/a.csv", true),
            ("x/**/a.csv", "y/a.csv", false),
            ("a+(b)", "a+(b)", true),
            ("é?", "éß", true),
        ] {
            assert_eq!(matches(&[pattern], path), expected, "{pattern} {path}");
        }
        assert!(matches(&["*.csv", "*.txt"], "a.txt"));
        assert!(matches(&["x/*", "*.txt"], "a.txt"));
        assert!(!matches(&[], "a.txt"));
    }

    #[test]
    fn bad_patterns() {
        let long = "x".repeat(257);
        for (pattern, expected) in [
            ("", "empty"),
            ("/srv/*.csv", "relative"),
            ("../*.csv", ".."),
            ("x/", "write x/**"),
            (long.as_str(), "256"),
        ] {
            let message = check(pattern).expect_err(pattern);
            assert!(message.contains(expected), "{pattern}: {message}");
        }
    }
}
