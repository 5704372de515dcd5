//! The parameters of an action that is a typed Python function: `def run(name: str, times: int = 1)`.
//!
//! The program is parsed and never executed: loading a pack does not run its code and does not require Python. A type or a
//! default that cannot be parsed is left out of the schema.

mod expression;
mod lexer;

use crate::json::join_path;
use expression::{literal, schema};
use lexer::{Token, tokens};
use serde_json::{Map, Value, json};

/// The schema and the description of an action, derived from its function.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    pub parameters_schema: Value,
    /// The first paragraph of the documentation of the function, or else of the program.
    pub description: Option<String>,
}

/// The top-level function `run` of a Python program. None if the program does not define it.
pub fn of_python(source: &str) -> Result<Option<Signature>, String> {
    let tokens = tokens(source);
    let Some(definition) = find_run(&tokens) else {
        return Ok(None);
    };
    let end = closing(definition).ok_or("the parameter list of run() does not end")?;
    let parameters_schema = parameters(definition.get(..end).unwrap_or_default())?;
    let body = definition.get(end..).unwrap_or_default();
    let description =
        documentation(body).or_else(
            || match tokens.iter().find(|token| !matches!(token, Token::Line { .. })) {
                Some(Token::Text(Some(text))) => paragraph(text),
                _ => None,
            },
        );
    Ok(Some(Signature {
        parameters_schema,
        description,
    }))
}

/// The tokens behind `def run(`.
fn find_run(tokens: &[Token]) -> Option<&[Token]> {
    let name = |token: Option<&Token>, expected: &str| matches!(token, Some(Token::Name(name)) if name == expected);
    let mut starts_line = true;
    for at in 0..tokens.len() {
        let rest = tokens.get(at..)?;
        if starts_line {
            let rest = if name(rest.first(), "async") {
                rest.get(1..)?
            } else {
                rest
            };
            let [first, second, third, behind @ ..] = rest else {
                return None;
            };
            if name(Some(first), "def") && name(Some(second), "run") && *third == Token::Symbol('(') {
                return Some(behind);
            }
        }
        starts_line = matches!(rest.first(), Some(Token::Line { indented: false }));
    }
    None
}

/// Where the bracket that is open at the start is closed.
fn closing(tokens: &[Token]) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Symbol('(' | '[' | '{') => depth += 1,
            Token::Symbol(')' | ']' | '}') if depth == 0 => return Some(at),
            Token::Symbol(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The parts between the separators that are outside of brackets.
fn split(tokens: &[Token], separator: char) -> Vec<&[Token]> {
    let mut depth = 0_usize;
    let parts = tokens.split(|token| {
        match token {
            Token::Symbol('(' | '[' | '{') => depth += 1,
            Token::Symbol(')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && *token == Token::Symbol(separator)
    });
    parts.filter(|part| !part.is_empty()).collect()
}

fn parameters(tokens: &[Token]) -> Result<Value, String> {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    let mut others = false;
    for parameter in split(tokens, ',') {
        match parameter {
            [Token::Symbol('*'), ..] => {}
            [Token::Power, ..] => others = true,
            [Token::Symbol('/')] => {
                return Err("run() must not have positional-only parameters: it is called with names".to_owned());
            }
            [Token::Name(name), rest @ ..] => {
                let (property, has_default) = property(rest);
                if !has_default {
                    required.push(name.clone());
                }
                if properties.insert(name.clone(), property).is_some() {
                    let path = join_path("run", name);
                    return Err(format!("{path}: is given twice"));
                }
            }
            _ => return Err("the parameter list of run() cannot be read".to_owned()),
        }
    }
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": others});
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    Ok(schema)
}

/// The schema of a parameter from its annotation and its default, and whether it has a default.
fn property(tokens: &[Token]) -> (Value, bool) {
    let mut parts = split(tokens, '=').into_iter();
    let mut first = parts.next().unwrap_or_default();
    let has_annotation = matches!(first.first(), Some(Token::Symbol(':')));
    let default = if has_annotation {
        first = first.get(1..).unwrap_or_default();
        parts.next()
    } else {
        tokens.first().map(|_| std::mem::take(&mut first))
    };
    let mut property = schema(first);
    let value = default.and_then(literal);
    if let Some(value) = value {
        if value.is_null() {
            property = expression::or_null(property);
        }
        property["default"] = value;
    }
    (property, default.is_some())
}

fn documentation(body: &[Token]) -> Option<String> {
    let colon = split_at_body(body)?;
    match colon {
        [Token::Line { .. }, Token::Text(Some(text)), ..] | [Token::Text(Some(text)), ..] => paragraph(text),
        _ => None,
    }
}

/// What follows the colon of the definition.
fn split_at_body(tokens: &[Token]) -> Option<&[Token]> {
    let mut depth = 0_usize;
    let at = tokens.iter().skip(1).position(|token| {
        match token {
            Token::Symbol('(' | '[' | '{') => depth += 1,
            Token::Symbol(')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && *token == Token::Symbol(':')
    })?;
    tokens.get(at + 2..)
}

fn paragraph(text: &str) -> Option<String> {
    let lines = text.trim().lines().map(str::trim).take_while(|line| !line.is_empty());
    let joined = lines.collect::<Vec<_>>().join(" ");
    (!joined.is_empty()).then_some(joined)
}

#[cfg(test)]
mod tests;
