//! No cycle of uses among the files of a crate: it can be read from the bottom to the top.
//!
//! A module and the modules inside it belong together: a parent may call its children while they use its types. So a
//! cycle counts if it closes without uses of a parent's own children, or without uses of a child's own parents.
//! `health → service → health` counts, and so does `event → expression/mod → expression/scope → event`.

use super::{
    File,
    modules::{Direction, Uses, uses},
    ratchet, rust,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The files that are reached from one, with the file in front of each on the shortest way.
fn reached<'a>(uses: &'a Uses, from: &'a str, without: Direction) -> BTreeMap<&'a str, &'a str> {
    let mut reached = BTreeMap::new();
    let mut next = VecDeque::from([from]);
    while let Some(file) = next.pop_front() {
        for (used, how) in uses.get(file).into_iter().flatten() {
            if how.direction != without && !reached.contains_key(used.as_str()) {
                reached.insert(used.as_str(), file);
                next.push_back(used);
            }
        }
    }
    reached
}

/// The shortest way from a file back to itself: the places in the code, in order.
fn cycle(uses: &Uses, file: &str, without: Direction) -> Option<Vec<String>> {
    let reached = reached(uses, file, without);
    let mut places = Vec::new();
    let mut at = file;
    loop {
        let before = *reached.get(at)?;
        places.push(uses[before][at].place.clone());
        at = before;
        if at == file {
            places.reverse();
            return Some(places);
        }
    }
}

#[test]
fn no_cycle_inside_a_crate() {
    let files = rust();
    let folder = |file: &File| Some(file.name.split_once("/src/")?.0.to_owned() + "/src/");
    let folders: BTreeSet<String> = files.iter().filter_map(folder).collect();
    let mut found = BTreeMap::new();
    for folder in folders {
        let uses = uses(&files, &folder);
        for file in uses.keys() {
            let cycle = |without| cycle(&uses, file, without);
            if let Some(cycle) = cycle(Direction::Inwards).or_else(|| cycle(Direction::Outwards)) {
                // Shown when the test fails, or with --no-capture.
                println!("{folder}{file} is in a cycle:\n    {}", cycle.join("\n    "));
                found.insert(format!("{folder}{file}"), 1);
            }
        }
    }
    let rule = "files of a crate do not use each other in a circle: move what both need into a file below both. \
                The list above has the shortest cycle of each file;";
    ratchet::compare("cycles", rule, &found);
}

#[test]
fn a_use_is_followed_through_re_exports() {
    let file = |name: &str, text: &str| File {
        name: format!("crates/x/src/{name}"),
        text: text.to_owned(),
    };
    let files = [
        file("lib.rs", "mod a;\nmod b;\npub use b::c::Deep;\n"),
        file(
            "a.rs",
            "use crate::{Deep, b::{self, Shown as S}};\nfn a() { super::b::own(); b::Shown::new(); }\n",
        ),
        file(
            "b/mod.rs",
            "pub mod c;\npub use c::Shown;\npub fn own() { c::f(); }\npub(in crate::a) struct P;",
        ),
        file(
            "b/c.rs",
            "pub struct Shown;\npub struct Deep;\npub fn f() {}\n#[cfg(test)]\nmod tests { use crate::a; }",
        ),
        file(
            "b/d.rs",
            "// crate::a::a\nfn d() { super::own(); let text = \"crate::a::a\"; }",
        ),
    ];
    let found = uses(&files, "crates/x/src/");
    let found: Vec<String> = found
        .iter()
        .flat_map(|(file, used)| used.keys().map(move |used| format!("{file} → {used}")))
        .collect();
    assert_eq!(
        found,
        [
            "a.rs → b/c.rs",
            "a.rs → b/mod.rs",
            "b/d.rs → b/mod.rs",
            "b/mod.rs → b/c.rs"
        ]
    );
}
