//! Lists of known faults that may only get shorter. Each is a text file next to this one, one entry per line.

use super::{nothing_breaks, repository};
use attune_common::config::variable;
use std::{collections::BTreeMap, fs};

const FOLDER: &str = "crates/attune/tests/it/house";

/// Compares what a rule found with the list `<name>.txt`: an entry and how often it occurs.
///
/// `ATTUNE_UPDATE_GENERATED=1` writes what was found, if it is less than the list allows. It never allows more.
pub fn compare(name: &str, rule: &str, found: &BTreeMap<String, usize>) {
    let file = format!("{FOLDER}/{name}.txt");
    let text = fs::read_to_string(repository().join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let (comments, entries): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with('#'));
    let allowed: BTreeMap<String, usize> = entries.into_iter().filter(|line| !line.is_empty()).map(entry).collect();

    let count = |of: &BTreeMap<String, usize>, entry: &str| of.get(entry).copied().unwrap_or_default();
    let more = found.iter().filter(|(entry, found)| **found > count(&allowed, entry));
    let broken: Vec<String> = more
        .map(|(entry, found)| format!("{entry}: {found}, allowed {}", count(&allowed, entry)))
        .collect();
    nothing_breaks(&format!("{rule}\nmore than {file} allows:"), &broken);

    let less: Vec<String> = allowed
        .iter()
        .filter(|(entry, allowed)| **allowed > count(found, entry))
        .map(|(entry, _)| format!("{entry} {}", count(found, entry)))
        .collect();
    if !less.is_empty() && variable("ATTUNE_UPDATE_GENERATED").is_some() {
        let left = found.iter().filter(|(_, count)| **count > 0);
        let lines = comments
            .into_iter()
            .map(str::to_owned)
            .chain(left.map(|(entry, count)| format!("{entry} {count}")));
        let text: String = lines.map(|line| line + "\n").collect();
        fs::write(repository().join(&file), text).unwrap_or_else(|error| panic!("{file}: {error}"));
        return;
    }
    nothing_breaks(
        &format!(
            "fewer than {file} allows. Lower its numbers to these, and remove entries with 0 (ATTUNE_UPDATE_GENERATED=1 does it):"
        ),
        &less,
    );
}

fn entry(line: &str) -> (String, usize) {
    let parts = line
        .rsplit_once(' ')
        .and_then(|(entry, count)| Some((entry.to_owned(), count.parse().ok()?)));
    parts.unwrap_or_else(|| panic!("{line:?} is not an entry and a number"))
}
