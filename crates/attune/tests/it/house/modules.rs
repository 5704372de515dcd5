//! The modules of a crate as files, and which of them use which.
//!
//! A file uses another when it names something of it: `use crate::a::b::C`, `super::C`, `b::C` of its own module `b`. The
//! name is followed through `use` in the files on its way, so that a re-export counts as the file that has the item.
//! `mod b;` and `pub use b::C` put names into place and do not count; nor does anything behind the last `#[cfg(test)]`.

use super::{
    File,
    source::{Kind, pieces},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    slice,
};

/// A module's path inside its crate; the root is empty.
type Path = Vec<String>;
/// What each file uses.
pub type Uses = BTreeMap<String, BTreeMap<String, Use>>;

pub struct Use {
    /// Where and by which name, for messages.
    pub place: String,
    pub direction: Direction,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To a file below its own module.
    Inwards,
    /// To the file of a module that it belongs to.
    Outwards,
    Across,
}

struct Module {
    file: String,
    /// Other paths with a meaning in this module: what `use` binds, by name; `*` for each glob.
    imports: Vec<(String, Vec<String>)>,
    /// Paths in the code and in `use`, with their lines; not those of re-exports.
    paths: Vec<(usize, Vec<String>)>,
    /// Names of items, for globs.
    items: BTreeSet<String>,
}

/// The uses among the files below `crates/<name>/src/`. Names of files are relative to it.
pub fn uses(files: &[File], folder: &str) -> Uses {
    let mut modules = BTreeMap::new();
    let has_library = files.iter().any(|file| file.name == format!("{folder}lib.rs"));
    for file in files
        .iter()
        .filter(|file| file.name.starts_with(folder) && !file.is_test())
    {
        let name = &file.name[folder.len()..];
        if name == "main.rs" && has_library {
            // A program on top of the library, which sees it from outside.
            continue;
        }
        modules.insert(module_path(name), Module::read(name, file.code()));
    }
    let mut uses = Uses::new();
    for (path, module) in &modules {
        for (line, names) in &module.paths {
            let Some(target) = resolve(&modules, path, names, 0) else {
                continue;
            };
            if target == *path {
                continue;
            }
            let direction = if target.starts_with(path) {
                Direction::Inwards
            } else if path.starts_with(&target) {
                Direction::Outwards
            } else {
                Direction::Across
            };
            let place = format!("{}:{line} {}", module.file, names.join("::"));
            let target = modules[&target].file.clone();
            uses.entry(module.file.clone())
                .or_default()
                .entry(target)
                .or_insert(Use { place, direction });
        }
    }
    uses
}

/// `store/mod.rs` and `store.rs` are the module `store`; `lib.rs` and `main.rs` are the root.
fn module_path(file: &str) -> Path {
    let stem = file.trim_end_matches(".rs");
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    if matches!(stem, "lib" | "main") {
        return Path::new();
    }
    stem.split('/').map(str::to_owned).collect()
}

/// The module in which a path ends, if it is in this crate.
fn resolve(modules: &BTreeMap<Path, Module>, from: &Path, names: &[String], depth: usize) -> Option<Path> {
    let mut at = from.clone();
    let mut rest = names;
    while let Some((name, after)) = rest.split_first() {
        match name.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => drop(at.pop()),
            name => {
                let child: Path = at.iter().cloned().chain([name.to_owned()]).collect();
                if !modules.contains_key(&child) {
                    // Too deep: imports that name each other.
                    return if depth < 8 {
                        Some(behind(modules, &at, name, after, depth))
                    } else {
                        None
                    };
                }
                at = child;
            }
        }
        rest = after;
    }
    modules.contains_key(&at).then_some(at)
}

/// The module that has the item `name` of the module `at`: itself, or the one that it imports it from.
fn behind(modules: &BTreeMap<Path, Module>, at: &Path, name: &str, after: &[String], depth: usize) -> Path {
    let module = &modules[at];
    if module.items.contains(name) {
        return at.clone();
    }
    let follow = |path: &[String]| {
        let local = matches!(path.first().map(String::as_str), Some("crate" | "self" | "super"));
        let child = || {
            path.first()
                .is_some_and(|first| modules.contains_key(&[at.as_slice(), slice::from_ref(first)].concat()))
        };
        if local || child() {
            resolve(modules, at, path, depth + 1)
        } else {
            None
        }
    };
    for (_, path) in module.imports.iter().filter(|(bound, _)| bound == name) {
        if let Some(found) = follow(&[path.as_slice(), after].concat()) {
            return found;
        }
    }
    for (_, path) in module.imports.iter().filter(|(bound, _)| bound == "*") {
        let found = follow(&[path.as_slice(), &[name.to_owned()]].concat());
        if let Some(found) = found.filter(|found| modules[found].items.contains(name)) {
            return found;
        }
    }
    at.clone()
}

impl Module {
    fn read(file: &str, code: &str) -> Self {
        let tokens = tokens(code);
        let mut module = Self {
            file: file.to_owned(),
            imports: Vec::new(),
            paths: Vec::new(),
            items: BTreeSet::new(),
        };
        let mut children = BTreeSet::new();
        let mut relative = Vec::new();
        let mut at = 0;
        let word = |at: usize| tokens.get(at).map_or("", |token| token.1.as_str());
        while at < tokens.len() {
            let (line, token) = (tokens[at].0, word(at));
            let before = if at > 0 { word(at - 1) } else { "" };
            if token == "use" {
                let exported = matches!(before, "pub" | ")");
                let mut found = Vec::new();
                at = tree(&tokens, at + 1, &[], &mut found);
                for (line, bound, path) in found {
                    if !exported {
                        relative.push((line, path.clone()));
                    }
                    module.imports.push((bound, path));
                }
                continue;
            }
            let macro_name = usize::from(word(at + 1) == "!");
            if is_item(token) && is_name(word(at + 1 + macro_name)) {
                let name = word(at + 1 + macro_name).to_owned();
                if token == "mod" && word(at + 2) == ";" {
                    children.insert(name);
                } else {
                    module.items.insert(name);
                }
            }
            let visibility = before == "in" && at > 1 && word(at - 2) == "(";
            if is_name(token) && word(at + 1) == "::" && before != "::" && !visibility {
                let mut path = vec![token.to_owned()];
                while word(at + 1) == "::" && is_name(word(at + 2)) {
                    path.push(word(at + 2).to_owned());
                    at += 2;
                }
                relative.push((line, path));
            }
            at += 1;
        }
        let local = |path: &[String]| {
            let first = path.first().map(String::as_str).unwrap_or_default();
            matches!(first, "crate" | "self" | "super") || children.contains(first)
        };
        module.paths = relative.into_iter().filter(|(_, path)| local(path)).collect();
        module
    }
}

fn is_item(token: &str) -> bool {
    matches!(
        token,
        "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union" | "mod" | "macro_rules"
    )
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c == '_' || c.is_alphabetic())
}

/// Reads the tree behind `use` (or inside its braces) and returns where it ends.
fn tree(
    tokens: &[(usize, String)],
    mut at: usize,
    before: &[String],
    found: &mut Vec<(usize, String, Vec<String>)>,
) -> usize {
    let mut path = before.to_vec();
    let mut bound = None;
    let mut line = 0;
    while let Some((at_line, token)) = tokens.get(at) {
        at += 1;
        match token.as_str() {
            "::" => {}
            "{" => {
                loop {
                    at = tree(tokens, at, &path, found);
                    if tokens.get(at - 1).is_none_or(|(_, token)| token != ",") {
                        break;
                    }
                }
                path.clear();
            }
            "as" => bound = tokens.get(at).map(|(_, name)| name.clone()),
            "*" => bound = Some("*".to_owned()),
            "," | "}" | ";" => break,
            name if bound.is_none() => {
                line = *at_line;
                path.push(name.to_owned());
            }
            _ => {}
        }
    }
    let is_self = path.len() > 1 && path.last().is_some_and(|name| name == "self");
    if is_self {
        path.pop();
    }
    if path.len() > before.len() || bound.is_some() || is_self {
        let name = bound.or_else(|| path.last().cloned()).unwrap_or_default();
        found.push((line, name, path));
    }
    at
}

/// Names, `::` and single signs of the code, with their lines.
fn tokens(code: &str) -> Vec<(usize, String)> {
    let mut tokens: Vec<(usize, String)> = Vec::new();
    for piece in pieces(code).into_iter().filter(|piece| piece.kind == Kind::Code) {
        for (index, line) in piece.text.lines().enumerate() {
            let mut word = String::new();
            let mut rest = line.chars().peekable();
            let place = piece.line + index;
            while let Some(c) = rest.next() {
                if c == '_' || c.is_alphanumeric() {
                    word.push(c);
                    continue;
                }
                if !word.is_empty() {
                    tokens.push((place, std::mem::take(&mut word)));
                }
                if c == ':' && rest.next_if_eq(&':').is_some() {
                    tokens.push((place, "::".to_owned()));
                } else if !c.is_whitespace() {
                    tokens.push((place, c.to_string()));
                }
            }
            if !word.is_empty() {
                tokens.push((place, word));
            }
        }
    }
    tokens
}
