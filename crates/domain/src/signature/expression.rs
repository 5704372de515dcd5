//! Annotations as JSON schemas, and literals as JSON values.

use super::{closing, lexer::Token, lexer::tokens as read, split};
use serde_json::{Map, Value, json};

/// Deeper annotations and literals are not understood.
const DEPTH_MAX: usize = 16;

pub(super) fn schema(tokens: &[Token]) -> Value {
    schema_at(tokens, DEPTH_MAX).unwrap_or_else(|| json!({}))
}

pub(super) fn literal(tokens: &[Token]) -> Option<Value> {
    literal_at(tokens, DEPTH_MAX)
}

/// None if it is not understood: everything is allowed.
fn schema_at(tokens: &[Token], depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    let alternatives = split(tokens, '|');
    if alternatives.len() > 1 {
        return union(&alternatives, depth);
    }
    // `typing.Optional` and `t.Optional` are `Optional`.
    let (name, rest) = match tokens {
        [Token::Text(Some(text))] => return schema_at(&read(text), depth),
        [.., Token::Symbol('.'), Token::Name(name)] | [Token::Name(name)] => (name, None),
        _ => {
            let open = tokens.iter().position(|token| *token == Token::Symbol('['))?;
            let (Token::Name(name), inner) = (tokens.get(open.checked_sub(1)?)?, tokens.get(open + 1..)?) else {
                return None;
            };
            (name, Some(inner.get(..closing(inner)?)?))
        }
    };
    let arguments = rest.map(|inner| split(inner, ',')).unwrap_or_default();
    let argument = |at: usize| arguments.get(at).and_then(|tokens| schema_at(tokens, depth));
    Some(match name.as_str() {
        "str" => json!({"type": "string"}),
        "int" => json!({"type": "integer"}),
        "float" => json!({"type": "number"}),
        "bool" => json!({"type": "boolean"}),
        "None" => json!({"type": "null"}),
        "dict" | "Dict" | "Mapping" | "MutableMapping" => match argument(1) {
            Some(values) => json!({"type": "object", "additionalProperties": values}),
            None => json!({"type": "object"}),
        },
        "list" | "List" | "Sequence" | "Iterable" | "set" | "Set" | "frozenset" => match argument(0) {
            Some(items) => json!({"type": "array", "items": items}),
            None => json!({"type": "array"}),
        },
        "tuple" | "Tuple" => json!({"type": "array"}),
        "Optional" => or_null(argument(0)?),
        "Union" => union(&arguments, depth)?,
        "Literal" => {
            let values = arguments.iter().map(|tokens| literal_at(tokens, depth));
            json!({"enum": values.collect::<Option<Vec<_>>>()?})
        }
        "Annotated" => annotated(argument(0), &arguments),
        _ => return None,
    })
}

/// `Annotated[str, "The host"]`: a text describes the parameter.
fn annotated(schema: Option<Value>, arguments: &[&[Token]]) -> Value {
    let mut schema = schema.unwrap_or_else(|| json!({}));
    let description = arguments.iter().skip(1).find_map(|tokens| match tokens {
        [Token::Text(Some(text))] => Some(text.clone()),
        _ => None,
    });
    if let Some(description) = description {
        schema["description"] = description.into();
    }
    schema
}

fn union(alternatives: &[&[Token]], depth: usize) -> Option<Value> {
    let mut all = Vec::new();
    for alternative in alternatives {
        all.push(schema_at(alternative, depth)?);
    }
    let null = json!({"type": "null"});
    let optional = all.contains(&null);
    all.retain(|schema| *schema != null);
    let schema = match all.len() {
        0 => return Some(null),
        1 => all.remove(0),
        _ => json!({"anyOf": all}),
    };
    Some(if optional { or_null(schema) } else { schema })
}

/// The schema that also allows null.
pub(super) fn or_null(schema: Value) -> Value {
    match schema.get("type") {
        Some(Value::String(kind)) if kind != "null" => {
            let both = json!([kind, "null"]);
            let mut schema = schema;
            schema["type"] = both;
            schema
        }
        Some(_) => schema,
        None if schema.as_object().is_some_and(Map::is_empty) => schema,
        None => json!({"anyOf": [schema, {"type": "null"}]}),
    }
}

fn literal_at(tokens: &[Token], depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    match tokens {
        [Token::Name(name)] => match name.as_str() {
            "None" => Some(Value::Null),
            "True" => Some(true.into()),
            "False" => Some(false.into()),
            _ => None,
        },
        [Token::Number(number)] => self::number(number),
        [Token::Symbol('-'), Token::Number(number)] => self::number(&format!("-{number}")),
        // Adjacent literals are one text.
        [Token::Text(_), ..] => {
            let texts = tokens.iter().map(|token| match token {
                Token::Text(text) => text.clone(),
                _ => None,
            });
            texts.collect::<Option<String>>().map(Value::from)
        }
        [Token::Symbol('[' | '('), inner @ ..] => {
            let items = split(whole(inner)?, ',');
            // `(1)` is a number, `(1,)` a tuple.
            if tokens.first() == Some(&Token::Symbol('(')) && !inner.contains(&Token::Symbol(',')) && items.len() == 1 {
                return literal_at(items.first()?, depth);
            }
            let values = items.into_iter().map(|item| literal_at(item, depth));
            values.collect::<Option<Vec<_>>>().map(Value::from)
        }
        [Token::Symbol('{'), inner @ ..] => {
            let entries = split(whole(inner)?, ',').into_iter().map(|entry| {
                let (key, value) = match split(entry, ':').as_slice() {
                    [key, value] => (literal_at(key, depth)?, literal_at(value, depth)?),
                    _ => return None,
                };
                Some((key.as_str()?.to_owned(), value))
            });
            entries.collect::<Option<Map<_, _>>>().map(Value::from)
        }
        _ => None,
    }
}

/// The inside of a bracket that was opened before and ends with the tokens.
fn whole(inner: &[Token]) -> Option<&[Token]> {
    let end = closing(inner)?;
    (end + 1 == inner.len()).then(|| inner.get(..end))?
}

fn number(text: &str) -> Option<Value> {
    let text = text.replace('_', "");
    let integer = text.parse::<i64>().ok().map(Value::from);
    integer.or_else(|| {
        text.parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .map(Value::from)
    })
}
