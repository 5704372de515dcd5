//! The vocabulary: how often the code uses words that docs/development/STYLE.md replaces by the field's terms.

use super::{
    File, ratchet, rust,
    source::{Kind, pieces},
};
use std::collections::{BTreeMap, HashMap};

const STYLE: &str = "docs/development/STYLE.md";
const HEADING: &str = "## Counted words\n";
/// This many among 10,000 lines are fine. Only what has more needs an entry in words.txt.
const GOAL: usize = 10;

/// Text in words. Punctuation is a word of its own, so that no phrase crosses it.
type Words = Vec<String>;

/// The table of STYLE.md: phrases to count, and longer phrases in which they do not count.
struct Vocabulary {
    counted: Phrases,
    exempt: Phrases,
}

/// Phrases by their first word.
struct Phrases(HashMap<String, Vec<Words>>);

impl Phrases {
    fn new(phrases: impl IntoIterator<Item = Words>) -> Self {
        let mut by_first = HashMap::<String, Vec<Words>>::new();
        for phrase in phrases {
            by_first.entry(phrase[0].clone()).or_default().push(phrase);
        }
        Self(by_first)
    }

    /// The phrase at the beginning of a text, even when it continues on the next line.
    fn at(&self, text: &[String]) -> Option<&Words> {
        let begins = |phrase: &&Words| {
            let words = text.iter().filter(|word| *word != "\n");
            words.take(phrase.len()).eq(phrase.iter())
        };
        self.0.get(text.first()?)?.iter().find(begins)
    }
}

impl Vocabulary {
    fn read() -> Self {
        let style = File::read(STYLE).text;
        let section = style.split_once(HEADING).expect("STYLE.md has the table").1;
        let section = section.split("\n## ").next().unwrap_or_default();
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        let (mut counted, mut exempt) = (Vec::new(), Vec::new());
        for row in rows {
            let cells: Vec<&str> = row.split(" | ").collect();
            let phrases = |cell: &str| cell.split('`').skip(1).step_by(2).map(words).collect::<Vec<_>>();
            counted.extend(phrases(cells[0]));
            exempt.extend(phrases(cells.get(2).copied().unwrap_or_default()));
        }
        assert!(counted.len() > 20, "{STYLE} has a table of words under {HEADING:?}");
        Self {
            counted: Phrases::new(counted),
            exempt: Phrases::new(exempt),
        }
    }

    /// The phrases that occur, with the number of line ends in front of each.
    fn find(&self, text: &Words) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        let (mut at, mut line) = (0, 0);
        while at < text.len() {
            if text[at] == "\n" {
                line += 1;
                at += 1;
            } else if let Some(phrase) = self.exempt.at(&text[at..]) {
                at += phrase.len();
            } else if let Some(phrase) = self.counted.at(&text[at..]) {
                found.push((line, phrase.join(" ")));
                at += 1;
            } else {
                at += 1;
            }
        }
        found
    }
}

/// Splits at everything but letters and digits, and inside identifiers at `_` and in front of capitals.
fn words(text: &str) -> Words {
    let mut words = vec![String::new()];
    let mut lower = false;
    for c in text.chars() {
        let last = words.last_mut().expect("there is a last word");
        if c.is_alphanumeric() {
            if c.is_uppercase() && lower {
                words.push(c.to_lowercase().collect());
            } else {
                last.extend(c.to_lowercase());
            }
        } else {
            let ends = matches!(c, '.' | ',' | ';' | ':' | '(' | ')' | '"' | '\n');
            if ends {
                words.push(c.to_string());
            }
            words.push(String::new());
        }
        lower = c.is_lowercase() || c.is_ascii_digit();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The text of a piece, without the signs of comments in front of its lines.
fn plain(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Comment => {
            let lines = text
                .lines()
                .map(|line| line.trim_start().trim_start_matches(['/', '!', '*']));
            lines.collect::<Vec<_>>().join("\n")
        }
        Kind::Code | Kind::Text => text.to_owned(),
    }
}

/// `attune src` or `attune tests`, and how many lines a file has there.
fn rooms(file: &File) -> [(String, usize); 2] {
    let name = file.name.split('/').nth(1).unwrap_or_default();
    let lines = file.text.lines().count();
    let code = if file.is_test() { 0 } else { file.code().lines().count() };
    [(format!("{name} src"), code), (format!("{name} tests"), lines - code)]
}

#[test]
fn counted_words_stay_rare() {
    let vocabulary = Vocabulary::read();
    let (mut lines, mut counts) = (BTreeMap::<String, usize>::new(), BTreeMap::<String, usize>::new());
    for file in rust() {
        let rooms = rooms(&file);
        for (room, count) in &rooms {
            *lines.entry(room.clone()).or_default() += count;
        }
        for piece in pieces(&file.text) {
            for (line, phrase) in vocabulary.find(&words(&plain(piece.kind, &piece.text))) {
                let line = piece.line + line;
                let (room, _) = &rooms[usize::from(line > rooms[0].1)];
                *counts.entry(room.clone()).or_default() += 1;
                // Shown when the test fails, or with --no-capture.
                println!("{}:{line}: {phrase}", file.name);
            }
        }
    }
    counts.retain(|room, count| *count * 10_000 > lines[room] * GOAL);
    ratchet::compare(
        "words",
        &format!("{STYLE} names better words for what is listed above;"),
        &counts,
    );
}

#[test]
fn phrases_are_found_in_names_and_sentences() {
    let vocabulary = Vocabulary {
        counted: Phrases::new(["blue", "as if", "ring"].map(words)),
        exempt: Phrases::new(["same as if", "as if not", "ring up"].map(words)),
    };
    let found = |text: &str| vocabulary.find(&words(text));
    let one = |line, phrase: &str| vec![(line, phrase.to_owned())];
    assert_eq!(found("BlueTwice"), one(0, "blue"));
    assert_eq!(found("fn was_blue()"), one(0, "blue"));
    assert_eq!(found("works as\nif new"), one(0, "as if"));
    assert_eq!(found("a\nb ring"), one(1, "ring"));
    assert_eq!(
        found("same as if new; as if not; ring up; such as. If; rings; unblue"),
        []
    );
}
