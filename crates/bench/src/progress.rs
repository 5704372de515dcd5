//! Progress on standard error while the benchmark runs. The table follows on standard output.

pub fn show(line: &str) {
    eprintln!("{line}");
}
