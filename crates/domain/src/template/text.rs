//! The text of a template: plain text, `{{ expression }}`, `{% if … %}{% elif … %}{% else %}{% endif %}`, `{# comment #}`.
//!
//! The text is parsed here, and the engine only evaluates single expressions, so its cost does not grow with the text. A `-`
//! inside a tag (`{{- … -}}`) removes the blanks on its side.

use super::limits::Limits;
use crate::{
    Ref,
    event::Context,
    expression::{Budget, Expression, next_token},
    secret::{self, Part},
};

const NESTING_MAX: usize = 16;

#[derive(Debug)]
pub enum Node {
    Text(String),
    Value(Expression),
    /// `{{ secrets.pack.name }}`
    Secret(Ref),
    If {
        branches: Vec<(Expression, Vec<Node>)>,
        otherwise: Vec<Node>,
    },
}

/// A `{#` without its end is plain text: `${#list}` of a shell is not a comment.
pub fn is_template(text: &str) -> bool {
    let has_comment = || text.split_once("{#").is_some_and(|(_, rest)| rest.contains("#}"));
    text.contains("{{") || text.contains("{%") || has_comment()
}

pub fn parse(source: &str, limits: &mut Limits) -> Result<Vec<Node>, String> {
    let mut parser = Parser {
        source,
        at: 0,
        trims: false,
        limits,
    };
    let (nodes, end) = parser.block(0)?;
    match end {
        End::Source => Ok(nodes),
        End::Tag(tag) => Err(format!(
            "has `{{% {} %}}` without an `{{% if … %}}` before it",
            tag.verb
        )),
    }
}

/// All of them, in the order in which they are written.
pub fn expressions(nodes: &[Node]) -> Vec<&Expression> {
    let mut found = Vec::new();
    for node in nodes {
        match node {
            Node::Text(_) | Node::Secret(_) => {}
            Node::Value(expression) => found.push(expression),
            Node::If { branches, otherwise } => {
                for (condition, body) in branches {
                    found.push(condition);
                    found.extend(expressions(body));
                }
                found.extend(expressions(otherwise));
            }
        }
    }
    found
}

pub fn render(nodes: &[Node], context: &Context<'_>, out: &mut String, budget: &mut Budget) -> Result<(), String> {
    for node in nodes {
        match node {
            Node::Text(text) => {
                budget.take(text.len())?;
                out.push_str(text);
            }
            Node::Value(expression) => expression.evaluate_text(context, out, budget)?,
            Node::Secret(_) => return Err("may not contain a secret".to_owned()),
            Node::If { branches, otherwise } => {
                render(chosen(branches, otherwise, context, budget)?, context, out, budget)?;
            }
        }
    }
    Ok(())
}

/// The parts of a text that contains secrets.
pub fn render_parts(
    nodes: &[Node],
    context: &Context<'_>,
    out: &mut Vec<Part>,
    budget: &mut Budget,
) -> Result<(), String> {
    for node in nodes {
        match node {
            Node::Secret(reference) => {
                budget.take(reference.as_str().len())?;
                out.push(Part::Secret(reference.clone()));
            }
            Node::If { branches, otherwise } => {
                render_parts(chosen(branches, otherwise, context, budget)?, context, out, budget)?;
            }
            other => {
                let mut text = String::new();
                render(std::slice::from_ref(other), context, &mut text, budget)?;
                match out.last_mut() {
                    Some(Part::Text(before)) => before.push_str(&text),
                    _ => out.push(Part::Text(text)),
                }
            }
        }
    }
    Ok(())
}

type Branches = [(Expression, Vec<Node>)];

fn chosen<'n>(
    branches: &'n Branches,
    otherwise: &'n [Node],
    context: &Context<'_>,
    budget: &mut Budget,
) -> Result<&'n [Node], String> {
    for (condition, body) in branches {
        if condition.holds(context, budget)? {
            return Ok(body);
        }
    }
    Ok(otherwise)
}

/// The secrets that a text may contain.
pub fn secrets(nodes: &[Node]) -> Vec<&Ref> {
    let mut found = Vec::new();
    for node in nodes {
        match node {
            Node::Text(_) | Node::Value(_) => {}
            Node::Secret(reference) => found.push(reference),
            Node::If { branches, otherwise } => {
                for (_, body) in branches {
                    found.extend(secrets(body));
                }
                found.extend(secrets(otherwise));
            }
        }
    }
    found
}

/// A `{% … %}` that ends or separates a block.
struct Tag<'s> {
    verb: &'s str,
    rest: &'s str,
}

enum End<'s> {
    Source,
    Tag(Tag<'s>),
}

struct Parser<'s, 'l> {
    source: &'s str,
    at: usize,
    /// The previous tag removes the blanks after it.
    trims: bool,
    limits: &'l mut Limits,
}

impl<'s> Parser<'s, '_> {
    /// Everything up to the end of the source or the next `elif`, `else`, `endif`.
    fn block(&mut self, depth: usize) -> Result<(Vec<Node>, End<'s>), String> {
        if depth > NESTING_MAX {
            return Err(format!("nests `{{% if %}}` deeper than {NESTING_MAX} levels"));
        }
        let mut nodes = Vec::new();
        loop {
            let Some(opening) = self.text(&mut nodes) else {
                return Ok((nodes, End::Source));
            };
            match opening {
                "{#" => self.comment()?,
                "{{" => {
                    let inner = self.tag("}}")?;
                    nodes.push(
                        match secret::reference(inner).filter(|_| self.limits.may_pass_secrets()) {
                            Some(reference) => {
                                self.limits.count(inner)?;
                                Node::Secret(reference)
                            }
                            None => Node::Value(self.limits.expression(inner)?),
                        },
                    );
                }
                _ => {
                    let inner = self.tag("%}")?;
                    let tag = read_tag(inner)?;
                    if tag.verb != "if" {
                        return Ok((nodes, End::Tag(tag)));
                    }
                    nodes.push(self.branches(tag, depth)?);
                }
            }
        }
    }

    /// The rest of an `if` whose first tag was read.
    fn branches(&mut self, first: Tag<'s>, depth: usize) -> Result<Node, String> {
        let mut branches = Vec::new();
        let mut otherwise = None;
        let mut tag = first;
        loop {
            let condition = match tag.verb {
                "if" | "elif" if otherwise.is_none() => Some(self.limits.expression(tag.rest)?),
                "else" if otherwise.is_none() => None,
                "endif" => {
                    return Ok(Node::If {
                        branches,
                        otherwise: otherwise.unwrap_or_default(),
                    });
                }
                verb => return Err(format!("has `{{% {verb} %}}` after `{{% else %}}`")),
            };
            let (nodes, end) = self.block(depth + 1)?;
            match condition {
                Some(condition) => branches.push((condition, nodes)),
                None => otherwise = Some(nodes),
            }
            tag = match end {
                End::Tag(tag) => tag,
                End::Source => return Err("has an `{% if %}` without `{% endif %}`".to_owned()),
            };
        }
    }

    /// Consumes the plain text before the next tag. Returns the opening of the tag, or `None` at the end.
    fn text(&mut self, nodes: &mut Vec<Node>) -> Option<&'s str> {
        let rest = &self.source[self.at..];
        let opening = ["{{", "{%", "{#"].into_iter().filter_map(|o| rest.find(o)).min();
        let mut text = &rest[..opening.unwrap_or(rest.len())];
        self.at += text.len();
        if self.trims {
            text = text.trim_start();
        }
        let symbol = opening.map(|at| &rest[at..at + 2]);
        if symbol.is_some() {
            self.at += 2;
            if self.source[self.at..].starts_with('-') {
                self.at += 1;
                text = text.trim_end();
            }
        }
        if !text.is_empty() {
            nodes.push(Node::Text(text.to_owned()));
        }
        symbol
    }

    fn comment(&mut self) -> Result<(), String> {
        let Some(len) = self.source[self.at..].find("#}") else {
            return Err("has a comment that does not end: `#}` is missing".to_owned());
        };
        self.trims = self.source[..self.at + len].ends_with('-');
        self.at += len + 2;
        Ok(())
    }

    /// The text up to `closing`, which does not count inside brackets and quotes.
    fn tag(&mut self, closing: &str) -> Result<&'s str, String> {
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            let rest = self.source[self.at..].trim_start();
            let here = self.source.len() - rest.len();
            let (trims, rest) = rest
                .strip_prefix('-')
                .map_or((false, rest), |rest| (rest.starts_with(closing), rest));
            let ends = depth == 0 && (trims || self.source[here..].starts_with(closing));
            if ends {
                self.trims = trims;
                self.at = self.source.len() - rest.len() + closing.len();
                return Ok(&self.source[start..here]);
            }
            let Some(token) = next_token(self.source, self.at)? else {
                return Err(format!("has a tag that does not end: `{closing}` is missing"));
            };
            depth = match token.text {
                "(" | "[" | "{" => depth + 1,
                ")" | "]" | "}" => depth.saturating_sub(1),
                _ => depth,
            };
            self.at = token.range.end;
        }
    }
}

fn read_tag(inner: &str) -> Result<Tag<'_>, String> {
    let inner = inner.trim();
    let (verb, rest) = inner
        .split_once(|c: char| c.is_ascii_whitespace() || c == '(')
        .map_or((inner, ""), |(verb, _)| (verb, &inner[verb.len()..]));
    match (verb, rest.trim()) {
        ("if" | "elif", "") => Err(format!("has `{{% {verb} %}}` without a condition")),
        ("if" | "elif", rest) => Ok(Tag { verb, rest }),
        ("else" | "endif", "") => Ok(Tag { verb, rest: "" }),
        _ => Err(format!(
            "has the statement `{{% {verb} … %}}`: there are only `if`, `elif`, `else` and `endif` (loops could run for ever)"
        )),
    }
}
