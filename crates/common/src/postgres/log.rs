//! The server's output: written to a file of bounded size, with the last lines in memory for error messages.

use crate::sync::lock;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

const FILE_BYTES_MAX: u64 = 4 << 20;
const LINE_BYTES_MAX: usize = 64 << 10;
const TAIL_LINES: usize = 30;

/// The last lines of the server, readable while it runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    fn push(&self, line: &str) {
        let mut lines = lock(&self.0);
        if lines.len() == TAIL_LINES {
            lines.pop_front();
        }
        lines.push_back(line.trim_end().to_owned());
    }

    pub fn text(&self) -> String {
        let lines = lock(&self.0);
        lines.iter().fold(String::new(), |text, line| text + line + "\n")
    }
}

/// The line of a program's output that contains the reason of its failure, without time and severity.
pub(super) fn reason(output: &str) -> String {
    // Refused connections while the server starts or stops come from our own check whether it is ready.
    let is_relevant = |line: &&str| !line.is_empty() && !line.contains("FATAL:  the database system is");
    let lines = || output.lines().map(str::trim).filter(is_relevant);
    for severity in ["PANIC:", "FATAL:", "error:", "ERROR:"] {
        // The last one: earlier ones belong to an earlier run or are its cause.
        if let Some((_, text)) = lines().filter_map(|line| line.split_once(severity)).next_back() {
            return text.trim().to_owned();
        }
    }
    lines().next_back().unwrap_or("it exited without output").to_owned()
}

/// Drains `source` until its writers are gone. An unwritable log must not stop the database, so errors of the file are ignored.
pub(super) fn drain(mut source: impl BufRead, path: &Path, tail: &Tail) {
    let mut file = Bounded::open(path).ok();
    let mut line = Vec::new();
    while let Ok(bytes @ 1..) = read_line(&mut source, &mut line) {
        tail.push(&String::from_utf8_lossy(&line[..bytes]));
        if let Some(file) = &mut file {
            let _ = file.append(&line[..bytes]);
        }
    }
}

/// One line, or the first piece of one that is too long.
fn read_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    line.clear();
    io::Read::take(source, LINE_BYTES_MAX as u64).read_until(b'\n', line)
}

/// A file that is renamed to `<name>.1` when it is full.
struct Bounded {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Bounded {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self {
            path: path.to_owned(),
            bytes: file.metadata()?.len(),
            file,
        })
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.bytes + line.len() as u64 > FILE_BYTES_MAX {
            let mut old = self.path.clone().into_os_string();
            old.push(".1");
            std::fs::rename(&self.path, old)?;
            *self = Self::open(&self.path)?;
        }
        self.bytes += line.len() as u64;
        self.file.write_all(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_last_line_of_the_highest_severity() {
        let output = "2026-01-01 LOG:  starting\n2026-01-01 FATAL:  data directory has wrong ownership\nHINT: more\n";
        assert_eq!(reason(output), "data directory has wrong ownership");
        assert_eq!(reason("initdb: error: no space\n"), "no space");
        assert_eq!(reason("something odd\n\n"), "something odd");
        assert_eq!(reason(""), "it exited without output");
    }

    #[test]
    fn the_log_is_bounded_and_its_end_is_preserved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("postgres.log");
        let tail = Tail::default();
        let line = "x".repeat(1023) + "\n";
        let many = line.repeat(9 << 10) + "the end\n";
        drain(many.as_bytes(), &path, &tail);
        let size = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().len();
        assert!(size("postgres.log") <= FILE_BYTES_MAX && size("postgres.log.1") <= FILE_BYTES_MAX);
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("the end\n"));
        assert!(tail.text().ends_with("the end\n"));
    }
}
