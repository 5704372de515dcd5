//! Rules of links: every link has a target, and every document is reachable from the README.

use super::{File, exists, files, nothing_breaks, prose, tidy};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

struct Link<'a> {
    place: String,
    file: String,
    anchor: Option<&'a str>,
}

/// The relative links of a document.
fn links(document: &File) -> Vec<Link<'_>> {
    let folder = Path::new(&document.name).parent().unwrap_or(Path::new(""));
    let mut links = Vec::new();
    for (place, line) in document.lines() {
        for rest in line.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = match target.split_once('#') {
                Some((file, anchor)) => (file, Some(anchor)),
                None => (target, None),
            };
            let file = if file.is_empty() {
                document.name.clone()
            } else {
                let path = tidy(&folder.join(file));
                path.to_str().expect("the path is text").to_owned()
            };
            links.push(Link {
                place: place.clone(),
                file,
                anchor,
            });
        }
    }
    links
}

fn documents() -> BTreeMap<String, File> {
    let documents = files(&["."], ".md");
    let named = |file: File| {
        let name = tidy(Path::new(&file.name));
        let name = name.to_str().expect("the path is text").to_owned();
        (name.clone(), File { name, text: file.text })
    };
    documents.into_iter().map(named).collect()
}

/// The anchor of a heading, as GitHub generates it.
fn slug(heading: &str) -> String {
    let letters = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    letters.collect::<String>().trim().to_lowercase().replace(' ', "-")
}

#[test]
fn every_link_has_a_target() {
    let documents = documents();
    let mut broken = Vec::new();
    for document in documents.values() {
        for link in links(document) {
            if !exists(&link.file) {
                broken.push(format!("{}: there is no {}", link.place, link.file));
            } else if let (Some(anchor), Some(target)) = (link.anchor, documents.get(&link.file)) {
                let text = prose(&target.text);
                let headings = text.lines().filter(|line| line.starts_with('#'));
                if !headings
                    .map(|line| slug(line.trim_start_matches('#')))
                    .any(|slug| slug == anchor)
                {
                    broken.push(format!("{}: {} has no heading #{anchor}", link.place, link.file));
                }
            }
        }
    }
    nothing_breaks("these links have no target:", &broken);
}

#[test]
fn every_document_is_reachable_from_the_readme() {
    let documents = documents();
    let mut reached = BTreeSet::new();
    let mut next = vec!["README.md".to_owned()];
    while let Some(name) = next.pop() {
        if !reached.insert(name.clone()) {
            continue;
        }
        match documents.get(&name) {
            Some(document) => next.extend(links(document).into_iter().map(|link| link.file)),
            // A link to a folder reaches every file in it.
            None => next.extend(documents.keys().filter(|document| lies_in(document, &name)).cloned()),
        }
    }
    let lost: Vec<String> = documents
        .keys()
        .filter(|name| !reached.contains(*name))
        .cloned()
        .collect();
    nothing_breaks(
        "link these documents from README.md, or from a document that is linked there:",
        &lost,
    );
}

fn lies_in(document: &str, folder: &str) -> bool {
    Path::new(document).parent() == Some(Path::new(folder.trim_end_matches('/')))
}
