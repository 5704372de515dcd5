//! Finds the line of a field in a YAML file. The deserializer does not report it, so the text is searched again, but only
//! for errors. The line of a value in braces is that of the opening brace.

use attune_domain::FieldErrors;

/// Adds the line to each error that does not have it.
pub(super) fn with_lines(text: &str, errors: FieldErrors) -> FieldErrors {
    let mut located = FieldErrors::new();
    for error in errors.into_vec() {
        let line = line_of(text, &error.path).filter(|_| !error.message.contains(" at line "));
        let message = match line {
            Some(line) => format!("{} (line {line})", error.message),
            None => error.message,
        };
        located.add(error.path, message);
    }
    located
}

/// A key or a `-`, with its position.
struct Token<'a> {
    line: usize,
    indent: usize,
    content: &'a str,
}

/// The line of a field such as `config.all[1].path`, or of its nearest ancestor in the file.
fn line_of(text: &str, path: &str) -> Option<usize> {
    let tokens = tokens(text);
    let (mut begin, mut end, mut found) = (0, tokens.len(), None);
    for segment in path.replace('[', ".[").split('.').filter(|segment| !segment.is_empty()) {
        let Some(indent) = tokens.get(begin).filter(|_| begin < end).map(|first| first.indent) else {
            break;
        };
        let index = segment
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']')?.parse::<usize>().ok());
        let fits = |at: &usize| {
            let token = &tokens[*at];
            token.indent == indent
                && if index.is_some() {
                    token.content == "-"
                } else {
                    is_key(token.content, segment)
                }
        };
        let Some(at) = (begin..end).filter(fits).nth(index.unwrap_or(0)) else {
            break;
        };
        found = Some(tokens[at].line);
        // A list may have the same indentation as its key.
        let inside = |token: &Token<'_>| {
            token.indent > indent || (index.is_none() && token.indent == indent && token.content == "-")
        };
        begin = at + 1;
        end = begin + tokens[begin..end].iter().take_while(|token| inside(token)).count();
    }
    found
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (number, whole) in text.lines().enumerate() {
        let mut content = whole.trim_start();
        let mut indent = whole.len() - content.len();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let line = number + 1;
        while let Some(rest) = content.strip_prefix("- ") {
            tokens.push(Token {
                line,
                indent,
                content: "-",
            });
            indent += content.len() - rest.trim_start().len();
            content = rest.trim_start();
        }
        tokens.push(Token { line, indent, content });
    }
    tokens
}

fn is_key(content: &str, name: &str) -> bool {
    let unquoted = ['"', '\'']
        .iter()
        .find_map(|quote| content.strip_prefix(*quote))
        .unwrap_or(content);
    let Some(rest) = unquoted.strip_prefix(name) else {
        return false;
    };
    rest.trim_start_matches(['"', '\'']).trim_start().starts_with(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_their_lines() {
        let text = "# a rule\nref: demo.hello\n\nlabel: \"Hello\"\ncondition:\n  all:\n    - path: a\n      operator: equals\n    - path: b\n      \
                    operator: is\n  \"quoted\": 1\naction_params:\n  message: |\n    ref: no\n    text\n  list:\n  - 1\n  - - x\n    - deep: 1\n\
                    trigger: {type: interval, seconds: 0}\n";
        for (path, line) in [
            ("ref", Some(2)),
            ("label", Some(4)),
            ("condition", Some(5)),
            ("condition.all", Some(6)),
            ("condition.all[0]", Some(7)),
            ("condition.all[0].operator", Some(8)),
            ("condition.all[1].path", Some(9)),
            ("condition.all[1].operator", Some(10)),
            ("condition.all[7].operator", Some(6)),
            ("condition.quoted", Some(11)),
            ("action_params.message", Some(13)),
            ("action_params.list", Some(16)),
            ("action_params.list[1]", Some(18)),
            ("action_params.list[1][1].deep", Some(19)),
            ("trigger.seconds", Some(20)),
            ("nothing", None),
            ("nothing.in[0]", None),
            ("", None),
        ] {
            assert_eq!(line_of(text, path), line, "{path}");
        }
    }
}
