//! Splits a Rust file into code, string literals and comments, so that a rule can read one of them.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Code,
    Text,
    Comment,
}

/// A run of one kind. Line comments that follow each other on adjacent lines are one piece, because sentences cross lines.
#[derive(Debug)]
pub struct Piece {
    pub kind: Kind,
    /// The line on which it begins, counted from 1.
    pub line: usize,
    pub text: String,
}

pub fn pieces(source: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(next) = rest.chars().next() {
        let previous = pieces.last().and_then(|piece: &Piece| piece.text.chars().next_back());
        let in_word = previous.is_some_and(is_word);
        let (kind, length) = if rest.starts_with("//") {
            (Kind::Comment, rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (Kind::Comment, block_comment(rest))
        } else if let Some(length) = string(rest).filter(|_| !in_word || next == '"') {
            (Kind::Text, length)
        } else if let Some(length) = character(rest) {
            (Kind::Code, length)
        } else {
            let plain = rest[next.len_utf8()..].find(['/', '"', '\'', 'r', 'b', 'c']);
            (Kind::Code, plain.map_or(rest.len(), |at| next.len_utf8() + at))
        };
        let (text, after) = rest.split_at(length);
        push(&mut pieces, kind, line, text);
        line += text.matches('\n').count();
        rest = after;
    }
    pieces.retain(|piece| piece.kind != Kind::Code || !piece.text.trim().is_empty());
    pieces
}

fn push(pieces: &mut Vec<Piece>, kind: Kind, line: usize, text: &str) {
    let count = pieces.len();
    let blank = |piece: &Piece| piece.kind == Kind::Code && piece.text.trim().is_empty();
    let continues = match kind {
        Kind::Code => count.checked_sub(1).filter(|&last| pieces[last].kind == Kind::Code),
        Kind::Text => None,
        Kind::Comment => count
            .checked_sub(2)
            .filter(|&last| pieces[last].kind == Kind::Comment && blank(&pieces[last + 1]))
            .filter(|&last| pieces[last].line + pieces[last].text.lines().count() == line),
    };
    if let Some(last) = continues {
        if kind == Kind::Comment {
            pieces.truncate(last + 1);
            pieces[last].text.push('\n');
        }
        pieces[last].text.push_str(text);
    } else {
        pieces.push(Piece {
            kind,
            line,
            text: text.to_owned(),
        });
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// The length of the block comment at the beginning; they nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of the string literal at the beginning, if there is one: `"…"`, `r#"…"#`, with `b` or `c` in front.
fn string(text: &str) -> Option<usize> {
    let unprefixed = text.strip_prefix(['b', 'c']).unwrap_or(text);
    let raw = unprefixed.strip_prefix('r');
    let body = raw.unwrap_or(unprefixed);
    let hashes = body.len() - body.trim_start_matches('#').len();
    let inside = body.trim_start_matches('#').strip_prefix('"')?;
    let begin = text.len() - inside.len();
    if raw.is_some() {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(inside.find(&end).map_or(text.len(), |at| begin + at + end.len()));
    }
    if hashes > 0 {
        return None;
    }
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(begin + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// The length of the character literal at the beginning; `None` for a lifetime.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    if let Some(escape) = inside.strip_prefix('\\') {
        let first = escape.chars().next()?.len_utf8();
        return Some(2 + first + escape[first..].find('\'')? + 1);
    }
    let first = inside.chars().next()?.len_utf8();
    inside[first..].starts_with('\'').then_some(1 + first + 1)
}

#[test]
fn pieces_of_a_file() {
    let source = "//! One\n//! two\nfn a<'a>() { f(\"x // \\\" y\", '\"', r#\"raw \"q\" \"#) } // end\n/* b /* c */ */ let br = 1;";
    let found: Vec<_> = pieces(source)
        .into_iter()
        .map(|piece| (piece.kind, piece.line, piece.text))
        .collect();
    let expected = [
        (Kind::Comment, 1, "//! One\n//! two"),
        (Kind::Code, 2, "\nfn a<'a>() { f("),
        (Kind::Text, 3, "\"x // \\\" y\""),
        (Kind::Code, 3, ", '\"', "),
        (Kind::Text, 3, "r#\"raw \"q\" \"#"),
        (Kind::Code, 3, ") } "),
        (Kind::Comment, 3, "// end\n/* b /* c */ */"),
        (Kind::Code, 4, " let br = 1;"),
    ];
    assert_eq!(found, expected.map(|(kind, line, text)| (kind, line, text.to_owned())));
}
