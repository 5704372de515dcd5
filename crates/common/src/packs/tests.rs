use super::{Files, Pack, core, read::read_folder};
use serde_json::json;
use std::path::Path;

fn small() -> Files {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    Files::from([
        file("pack.yaml", "{ref: demo, label: Demo, version: 0.1.0}"),
        file(
            "runtimes/sh.yaml",
            "{ref: demo.sh, label: Shell, kind: process, command: [/bin/sh, -c]}",
        ),
        file(
            "triggers/tick.yaml",
            "{ref: demo.tick, label: Tick, kind: timer, config: {type: interval, seconds: 5}}",
        ),
        file(
            "actions/greet.yaml",
            "{ref: demo.greet, label: Greet, runtime_ref: demo.sh, entry_point: echo hi}",
        ),
        file(
            "rules/hello.yaml",
            "{ref: demo.hello, label: Hello, trigger_ref: demo.tick, action_ref: demo.greet}",
        ),
    ])
}

fn errors_with(path: &str, text: &str) -> String {
    let mut files = small();
    files.insert(path.to_owned(), text.to_owned());
    Pack::parse(&files).expect_err("the pack is wrong").to_string()
}

#[test]
fn the_embedded_core_pack_is_the_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packs/core");
    let found = read_folder(&folder).expect("the folder can be read");
    assert!(found.unreadable.is_empty(), "{}", found.unreadable);
    assert_eq!(core::files(), found.files);
}

#[test]
fn the_core_pack_is_valid() {
    let pack = core().expect("the core pack is valid");
    assert_eq!(
        (pack.runtimes.len(), pack.triggers.len(), pack.actions.len()),
        (4, 13, 4)
    );
}

#[test]
fn defaults_are_those_of_the_api() {
    let pack = Pack::parse(&small()).expect("the small pack is valid");
    let action = &pack.actions[0];
    assert_eq!(
        (action.pool.as_str(), action.timeout_seconds, action.enabled),
        ("default", 3600, true)
    );
    assert_eq!(action.parameters_schema, json!({"type": "object"}));
    assert_eq!(pack.rules[0].action_params, json!({}));
}

/// Each wrong file is refused with its name and its field.
fn check(path: &str, text: &str, expected: &str) {
    let errors = errors_with(path, text);
    assert!(
        errors.contains(expected),
        "{path}: {text}\n  errors   {errors}\n  expected {expected}"
    );
}

#[test]
fn errors_name_file_and_field() {
    check(
        "pack.yaml",
        "{ref: demo, label: Demo, version: 1, lable: x}",
        "pack.yaml: lable: unknown field; expected one of: ref, label, description",
    );
    check(
        "pack.yaml",
        "{ref: Demo, label: Demo, version: 0.1.0}",
        "pack.yaml: ref: must be lower-case letters",
    );
    check(
        "pack.yaml",
        "{label: Demo, version: 0.1.0}",
        "pack.yaml: ref: is missing",
    );
    check("pack.yaml", "{ref: demo, label: [", "pack.yaml: ");
    check("triggers/tick.yml", "{}", "triggers/tick.yml: must end with .yaml");
    check("trigger/tick.yaml", "{}", "trigger/tick.yaml: is in the wrong place");
    check(
        "triggers/tick.yaml",
        "{ref: demo.tick, label: Tick, kind: timr}",
        "triggers/tick.yaml: kind: must be one of timer, webhook",
    );
    check(
        "triggers/tock.yaml",
        "{ref: demo.tick, label: Tick, kind: custom}",
        "triggers/tock.yaml: ref: demo.tick must be in a file of its name, tick.yaml",
    );
    check(
        "triggers/tock.yaml",
        "{ref: core.tock, label: Tick, kind: custom}",
        "triggers/tock.yaml: ref: must begin with the name of its pack: `demo.`",
    );
    check(
        "triggers/tick.yaml",
        "{ref: demo.tick, label: Tick, kind: timer, config: {type: interval, seconds: -1}}",
        "triggers/tick.yaml: config.seconds: ",
    );
    check(
        "triggers/tick.yaml",
        "{ref: demo.tick, label: Tick, kind: timer, config: {type: cron, expression: 0 0 0 30 2 *}}",
        "triggers/tick.yaml: config.expression: never occurs",
    );
    check(
        "triggers/tick.yaml",
        "{ref: demo.tick, label: Tick, kind: webhook, config: 7}",
        "triggers/tick.yaml: config: must be an object",
    );
    check(
        "runtimes/sh.yaml",
        "{ref: demo.sh, label: Shell, kind: process}",
        "runtimes/sh.yaml: command: must name the program",
    );
}

#[test]
fn action_errors_are_named() {
    check(
        "actions/greet.yaml",
        "{ref: demo.greet, label: Greet, runtime_ref: demo.bash, entry_point: x, pool: A, timeout_seconds: 0}",
        "actions/greet.yaml: runtime_ref: there is no runtime demo.bash; \
         actions/greet.yaml: pool: must be lower-case letters, digits and `_`, starting with a letter, at most 32 characters; \
         actions/greet.yaml: timeout_seconds: must be a whole number from 1 to 604800",
    );
    check(
        "actions/greet.yaml",
        "{ref: demo.greet, label: '', runtime_ref: demo.sh, entry_point: ''}",
        "actions/greet.yaml: label: must not be blank; actions/greet.yaml: entry_point: must not be blank",
    );
    check(
        "actions/greet.yaml",
        "{ref: demo.greet, label: Greet, runtime_ref: demo.sh, entry_point: x, parameters_schema: {properties: {a: {type: strng}}}}",
        "actions/greet.yaml: parameters_schema.properties.a",
    );
    check(
        "actions/greet.yaml",
        "{ref: demo.greet, label: Greet, runtime_ref: demo.sh, entry_point: x, output_schema: {type: 7}}",
        "actions/greet.yaml: output_schema",
    );
    check(
        "actions/greet.yaml",
        "{ref: demo.greet, label: Greet, runtime_ref: demo.sh, entry_point: \"a\\0b\"}",
        "actions/greet.yaml: entry_point: holds the character U+0000",
    );
}

#[test]
fn rule_errors_are_named() {
    check(
        "rules/hello.yaml",
        "{ref: demo.hello, label: Hello, trigger_ref: demo.tick, action_ref: demo.greet, action_params: {a: ['{{ event. }}']}, condition: 7}",
        "rules/hello.yaml: action_params.a[0]",
    );
    check(
        "rules/hello.yaml",
        "{ref: demo.hello, label: Hello, trigger_ref: demo.tick, action_ref: demo.greet, condition: {all: 7}}",
        "rules/hello.yaml: condition",
    );
    check(
        "rules/hello.yaml",
        "{ref: demo.hello, label: Hello, trigger_ref: demo.tock, action_ref: hello}",
        "rules/hello.yaml: action_ref: \"hello\" is not a reference",
    );
}

#[test]
fn parameters_that_never_match_the_action_are_reported() {
    let greet = |schema: &str| {
        format!("{{ref: demo.greet, label: Greet, runtime_ref: demo.sh, entry_point: x, parameters_schema: {schema}}}")
    };
    let mut files = small();
    files.insert(
        "actions/greet.yaml".to_owned(),
        greet("{required: [text], properties: {text: {type: string}}}"),
    );
    let rule = |params: &str| {
        format!(
            "{{ref: demo.hello, label: Hello, trigger_ref: demo.tick, action_ref: demo.greet, action_params: {params}}}"
        )
    };
    let mut check = |params: &str, wrong: &str| {
        files.insert("rules/hello.yaml".to_owned(), rule(params));
        let errors = Pack::parse(&files).err().unwrap_or_default().to_string();
        assert_eq!(errors, wrong);
    };
    check("{text: '{{ event.id }}'}", "");
    check("{}", "rules/hello.yaml: action_params.text: is required");
    check("{text: 7}", "rules/hello.yaml: action_params.text: must be text");
    files = small();
    files.insert(
        "actions/greet.yaml".to_owned(),
        greet("{properties: {n: {type: integer, default: x}}}"),
    );
    let errors = Pack::parse(&files)
        .expect_err("a default that does not fit")
        .to_string();
    assert!(
        errors.starts_with("actions/greet.yaml: parameters_schema.properties.n.default: violates its own schema"),
        "{errors}"
    );
}

#[test]
fn likely_mistakes_are_reported() {
    let mut files = small();
    files.insert(
        "triggers/hook.yaml".to_owned(),
        "{ref: demo.hook, label: Hook, kind: webhook, config: {verify: github, secret: short}}".to_owned(),
    );
    files.insert(
        "rules/hello.yaml".to_owned(),
        r#"{ref: demo.hello, label: Hello, trigger_ref: demo.tick, action_ref: demo.greet, condition: rule.name == 1,
            action_params: {a: "{{ event['paylod'].x | default(1) }}"}}"#
            .to_owned(),
    );
    let pack = Pack::parse(&files).expect("it works");
    let doubts = pack.doubts().to_string();
    for doubt in [
        "triggers/hook.yaml: config.secret: has 5 characters",
        "rules/hello.yaml: condition: names rule.name",
        "rules/hello.yaml: action_params.a: the expression `event['paylod'].x | default(1)` names event.paylod",
    ] {
        assert!(doubts.contains(doubt), "{doubt}: {doubts}");
    }
    assert!(super::core().is_ok_and(|core| core.doubts().is_empty()));
}

#[test]
fn numbers_are_exact_or_refused_by_name() {
    let rule = |params: &str| {
        format!(
            "{{ref: demo.hello, label: Hello, trigger_ref: demo.tick, action_ref: demo.greet, action_params: {{n: {params}}}}}"
        )
    };
    for (written, held) in [
        ("9007199254740993", json!(9_007_199_254_740_993_i64)),
        ("18446744073709551615", json!(u64::MAX)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("0x1F", json!(31)),
        ("0.1", json!(0.1)),
        ("1E5", json!(100_000.0)),
        ("-0.0", json!(0.0)),
        (
            "'123456789012345678901234567890'",
            json!("123456789012345678901234567890"),
        ),
        ("'0.1234567890123456789'", json!("0.1234567890123456789")),
        ("[1, [0.5], {a: .5}]", json!([1, [0.5], {"a": 0.5}])),
    ] {
        let mut files = small();
        files.insert("rules/hello.yaml".to_owned(), rule(written));
        let pack = Pack::parse(&files).expect(written);
        assert_eq!(pack.rules[0].action_params["n"], held, "{written}");
    }
    for (written, path) in [
        ("18446744073709551616", "n"),
        ("-9223372036854775809", "n"),
        ("123456789012345678901234567890", "n"),
        ("1234567890123456789012345678901234567890123456789", "n"),
        ("0xFFFFFFFFFFFFFFFFFF", "n"),
        ("0.1234567890123456789", "n"),
        ("9007199254740993.0", "n"),
        ("1e-400", "n"),
        (".inf", "n"),
        ("-.INF", "n"),
        (".nan", "n"),
        ("[1, {a: 2.5, b: [3, 0.1234567890123456789]}]", "n[1].b[1]"),
        ("{a: 1, b: 2, a: 3}", "n.a"),
    ] {
        let errors = errors_with("rules/hello.yaml", &rule(written));
        let expected = format!("rules/hello.yaml: action_params.{path}: is ");
        assert!(errors.starts_with(&expected), "{written}: {errors}");
    }
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    };
    for (path, text) in small() {
        write(&path, format!("\u{feff}{text}").as_bytes());
    }
    let utf_16 = |bytes: fn(u16) -> [u8; 2]| {
        let text = "\u{feff}ref: demo.tick\nlabel: Tück\nkind: custom\n";
        text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>()
    };
    for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
        write("triggers/tick.yaml", &utf_16(bytes));
        let pack = Pack::read(folder.path()).expect("the pack is valid");
        assert_eq!(pack.triggers[0].label(), "Tück");
        assert_eq!(pack.manifest.r#ref, "demo");
    }
    write("triggers/tick.yaml", b"label: caf\xe9");
    let error = format!("{:#}", Pack::read(folder.path()).expect_err("not UTF-8"));
    assert!(
        error.contains("triggers/tick.yaml") && error.contains("UTF-8"),
        "{error}"
    );
    // The text of a file may come from elsewhere than a folder.
    let mut files = small();
    files.insert(
        "pack.yaml".to_owned(),
        "\u{feff}{ref: demo, label: Demo, version: 0.1.0}".to_owned(),
    );
    assert!(Pack::parse(&files).is_ok());
}

/// Each file that cannot be read or parsed is named with what is wrong with it, and hides nothing of the others.
#[test]
fn everything_wrong_in_a_folder_is_reported_at_once() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let at = |path: &str| folder.path().join(path);
    for folder in ["actions/dir.yaml", "rules", "triggers"] {
        std::fs::create_dir_all(at(folder)).expect("a folder can be made");
    }
    std::os::unix::fs::symlink("/etc/hostname", at("actions/link.yaml")).expect("a link can be made");
    let big = "#".repeat(1024 * 1024 + 1);
    for (path, text) in [
        ("pack.yaml", b"ref: 5\nlabel: []\nversion: 1.0\n".as_slice()),
        ("actions/bytes.yaml", b"label: caf\xe9"),
        ("actions/big.yaml", big.as_bytes()),
        ("actions/open.yaml", b"ref: demo.open\nlabel: \"open\n"),
        (
            "actions/wrong.yaml",
            b"ref: demo.wrong\nlabel: 7\ntimeout_seconds: 5m\nretry: {max_attempts: \"3\", factor: 99}\n",
        ),
        (
            "rules/r.yaml",
            b"ref: demo.r\ntrigger_ref: demo.t\naction_ref: demo.open\nrate_limit: {limit: 0, window_seconds: 1,000}\n",
        ),
        ("triggers/t.yaml", b"ref: demo.t\nkind: sundial\nconfig: 5\n"),
    ] {
        std::fs::write(at(path), text).expect("a file can be written");
    }
    let error = Pack::read(folder.path()).expect_err("the pack is broken");
    let lines: Vec<String> = super::Broken::new(folder.path(), &error).lines().collect();
    let expected = [
        "pack.yaml: ref: must be text (line 1)",
        "pack.yaml: label: must be text (line 2)",
        "pack.yaml: version: must be text (line 3)",
        "triggers/t.yaml: kind: must be one of timer, webhook, file_watch, custom, system (line 2)",
        "actions/open.yaml: found unexpected end of stream at line 3 column 1",
        "actions/wrong.yaml: label: must be text (line 2)",
        "actions/wrong.yaml: entry_point: is missing",
        "actions/wrong.yaml: timeout_seconds: must be a whole number from 1 to 604800, without a unit; write `300` (line 3)",
        "actions/wrong.yaml: retry.max_attempts: must be a whole number from 1 to 100, not a string; write `3` (line 4)",
        "actions/wrong.yaml: retry.factor: must be a number from 1 to 10 (line 4)",
        "rules/r.yaml: rate_limit.limit: must be a whole number from 1 to 10000 (line 4)",
        "rules/r.yaml: rate_limit.000: unknown field; write numbers without thousands separators (line 4)",
        "actions/big.yaml: has 1048577 bytes, at most 1048576 are allowed",
        "actions/bytes.yaml: cannot be read: it is not UTF-8 after its first 10 bytes",
        "actions/dir.yaml: is not a file",
        "actions/link.yaml: is a symbolic link, and links are not followed",
    ];
    for expected in expected {
        let expected = format!("{}/{expected}", folder.path().display());
        assert!(
            lines.iter().any(|line| line.starts_with(&expected)),
            "{expected}: {lines:#?}"
        );
    }
    // The action of the rule has a file, although it cannot be parsed.
    let follow_on = lines
        .iter()
        .find(|line| line.contains("action_ref") || line.contains("name of its pack"));
    assert_eq!(follow_on, None, "{lines:#?}");
}

#[test]
fn a_pack_needs_its_manifest() {
    let mut files = small();
    files.remove("pack.yaml");
    let errors = Pack::parse(&files).expect_err("the manifest is missing").to_string();
    assert!(errors.contains("pack.yaml: is missing"), "{errors}");
}
