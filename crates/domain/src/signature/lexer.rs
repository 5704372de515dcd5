//! The tokens of a Python program, as far as a signature needs them. What it cannot read ends the program.

use std::{iter::Peekable, str::CharIndices};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Name(String),
    Number(String),
    /// The content of a string literal. None for one whose value depends on more than its text (`f""`, `b""`).
    Text(Option<String>),
    Symbol(char),
    /// `->` and `**`.
    Arrow,
    Power,
    /// The end of a logical line, and whether the next one is indented.
    Line {
        indented: bool,
    },
}

pub(super) fn tokens(source: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        source,
        rest: source.char_indices().peekable(),
        depth: 0,
        tokens: Vec::new(),
    };
    lexer.run();
    lexer.tokens
}

struct Lexer<'a> {
    source: &'a str,
    rest: Peekable<CharIndices<'a>>,
    /// Open brackets: a line break inside of them does not end the logical line.
    depth: usize,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn run(&mut self) {
        while let Some((at, character)) = self.rest.next() {
            match character {
                '#' => while self.rest.next_if(|(_, next)| *next != '\n').is_some() {},
                '\n' if self.depth == 0 => self.end_line(),
                '\\' => {
                    self.rest.next_if(|(_, next)| *next == '\r');
                    self.rest.next_if(|(_, next)| *next == '\n');
                }
                _ if character.is_whitespace() => {}
                '"' | '\'' => self.text(character, ""),
                '0'..='9' => {
                    let number = self.word(at, |next| next.is_alphanumeric() || next == '.' || next == '_');
                    self.tokens.push(Token::Number(number));
                }
                '_' => self.name(at),
                _ if character.is_alphabetic() => self.name(at),
                '-' if self.rest.next_if(|(_, next)| *next == '>').is_some() => self.tokens.push(Token::Arrow),
                '*' if self.rest.next_if(|(_, next)| *next == '*').is_some() => self.tokens.push(Token::Power),
                _ => {
                    match character {
                        '(' | '[' | '{' => self.depth += 1,
                        ')' | ']' | '}' => self.depth = self.depth.saturating_sub(1),
                        _ => {}
                    }
                    self.tokens.push(Token::Symbol(character));
                }
            }
        }
    }

    /// Blank lines and lines with only a comment do not count.
    fn end_line(&mut self) {
        let indented = self.rest.peek().is_some_and(|(_, next)| matches!(next, ' ' | '\t'));
        match self.tokens.last_mut() {
            Some(Token::Line { indented: last }) => *last = indented,
            _ => self.tokens.push(Token::Line { indented }),
        }
    }

    fn word(&mut self, start: usize, part: impl Fn(char) -> bool) -> String {
        while self.rest.next_if(|(_, next)| part(*next)).is_some() {}
        let end = self.rest.peek().map_or(self.source.len(), |(at, _)| *at);
        self.source.get(start..end).unwrap_or_default().to_owned()
    }

    fn name(&mut self, start: usize) {
        let name = self.word(start, |next| next.is_alphanumeric() || next == '_');
        let prefix = name.to_ascii_lowercase();
        if prefix.len() <= 2
            && prefix.chars().all(|letter| "rbuf".contains(letter))
            && let Some((_, quote)) = self.rest.next_if(|(_, next)| matches!(next, '"' | '\''))
        {
            return self.text(quote, &prefix);
        }
        self.tokens.push(Token::Name(name));
    }

    fn text(&mut self, quote: char, prefix: &str) {
        let mut is_quote = || self.rest.next_if(|(_, next)| *next == quote).is_some();
        let quotes = match (is_quote(), is_quote()) {
            (true, true) => 3,
            (true, false) => return self.tokens.push(Token::Text(Some(String::new()))),
            _ => 1,
        };
        let raw = prefix.contains('r');
        let (mut content, mut known, mut closing) = (String::new(), !prefix.contains(['b', 'f']), 0);
        while let Some((_, character)) = self.rest.next() {
            if character == quote {
                closing += 1;
                if closing == quotes {
                    break;
                }
                continue;
            }
            content.extend(std::iter::repeat_n(quote, closing));
            closing = 0;
            if character != '\\' || raw {
                content.push(character);
                if character == '\\'
                    && let Some((_, escaped)) = self.rest.next()
                {
                    content.push(escaped);
                }
                continue;
            }
            match self.rest.next().map(|(_, escaped)| escaped) {
                Some('\n') | None => {}
                Some('n') => content.push('\n'),
                Some('t') => content.push('\t'),
                Some('r') => content.push('\r'),
                Some(escaped @ ('\\' | '\'' | '"')) => content.push(escaped),
                // A character by its number or name, or none of these.
                Some(_) => known = false,
            }
        }
        self.tokens.push(Token::Text(known.then_some(content)));
    }
}
