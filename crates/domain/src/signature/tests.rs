use super::*;

#[track_caller]
fn schema_of(source: &str) -> Value {
    of_python(source).unwrap().unwrap().parameters_schema
}

#[test]
fn a_typed_function_is_a_schema() {
    let source = r#"
"""The program."""
import os  # a comment with def run(
TEXT = """
def run(wrong: int):
"""
class Other:
    def run(self): pass

async def run(
    name: str,   # who
    times: int = 1_000,
    ratio: float = -0.5, *,
    flag: "bool" = False,
    tags: list[str] = ["a", 'b'],
    labels: typing.Dict[str, int] = {"x": 1},
    level: Literal["low", "high"] = "low",
    host: str | None = None,
    note: Optional[str] = None,
    late: str = None,
    either: Union[int, str, None] = 2,
    what: Annotated[str, "What to do"] = "it",
    anything=None,
    path: pathlib.Path = pathlib.Path("/tmp"),
) -> dict[str, int]:
    """Greets a person
    politely.

    Not shown.
    """
"#;
    let found = of_python(source).unwrap().unwrap();
    assert_eq!(found.description.as_deref(), Some("Greets a person politely."));
    assert_eq!(
        found.parameters_schema,
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["name"],
            "properties": {
                "name": {"type": "string"},
                "times": {"type": "integer", "default": 1000},
                "ratio": {"type": "number", "default": -0.5},
                "flag": {"type": "boolean", "default": false},
                "tags": {"type": "array", "items": {"type": "string"}, "default": ["a", "b"]},
                "labels": {"type": "object", "additionalProperties": {"type": "integer"}, "default": {"x": 1}},
                "level": {"enum": ["low", "high"], "default": "low"},
                "host": {"type": ["string", "null"], "default": null},
                "note": {"type": ["string", "null"], "default": null},
                "late": {"type": ["string", "null"], "default": null},
                "either": {"anyOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"type": "null"}], "default": 2},
                "what": {"type": "string", "description": "What to do", "default": "it"},
                "anything": {"default": null},
                "path": {},
            },
        })
    );
}

#[test]
fn other_parameters_are_allowed_only_where_the_function_takes_them() {
    let object = |others: bool| json!({"type": "object", "properties": {}, "additionalProperties": others});
    assert_eq!(schema_of("def run(): pass"), object(false));
    assert_eq!(schema_of("def run(**parameters): pass"), object(true));
    assert_eq!(schema_of("def run(*args, **kwargs): pass"), object(true));
    assert_eq!(schema_of("def run(x): pass")["required"], json!(["x"]));
}

#[test]
fn the_description_may_be_that_of_the_program() {
    let of = |source| of_python(source).unwrap().unwrap().description;
    assert_eq!(of("'''Hello.'''\ndef run(): return 1").as_deref(), Some("Hello."));
    assert_eq!(of("def run(): 'One line.'").as_deref(), Some("One line."));
    assert_eq!(
        of("def run() -> dict[str, int]:\n\n    # c\n    'Below.'").as_deref(),
        Some("Below.")
    );
    assert_eq!(of("def run():\n    return 'x'"), None);
}

#[test]
fn a_program_without_the_function_has_no_signature() {
    for source in [
        "",
        "def other(): pass",
        "run = 1",
        "class A:\n    def run(self): pass",
        "'''\ndef run(): pass\n'''",
        "# def run():",
        "x = [\ndef run():\n]",
        "def runs(): pass",
    ] {
        assert_eq!(of_python(source), Ok(None), "{source:?}");
    }
}

#[test]
fn what_cannot_be_called_with_names_is_an_error() {
    for (source, expected) in [
        ("def run(a, /): pass", "positional-only"),
        ("def run(a, a): pass", "run.a: is given twice"),
        ("def run(a", "does not end"),
        ("def run(1): pass", "cannot be read"),
    ] {
        let error = of_python(source).unwrap_err();
        assert!(error.contains(expected), "{source}: {error}");
    }
}

#[test]
fn odd_programs_do_not_panic() {
    for source in [
        "def run(x: 'int' = \"",
        "def run(x: list[",
        "def run(x: [[[[[[[[[[[[[[[[[[[[[[[[int]]]]]]]]]]]]]]]]]]]]]]]]] = 1): pass",
        "def run(x={1: 2}, y={'a': {}}, z=(1,), w=(1)): pass",
        "\\",
        "'\\",
        "r'\\'",
        "def run(x=1e999, y=0x10, z=-1): pass",
        "def run(ü: str = 'ä\\N{DASH}'):\r\n    pass",
        ")]}",
    ] {
        let _ = of_python(source);
    }
}
