//! A definition enters through the API or through the files of a pack. Both give the same verdict on every wrong draft: the
//! same fields and the same messages.

use crate::test_api::TestApi;
use attune_common::packs::{self, Files, LoadError, Pack};
use serde_json::{Value, json};

const MANIFEST: &str = r#"{"ref": "demo", "label": "Demo", "version": "0.1.0"}"#;

/// A valid draft.
fn right(noun: &str) -> Value {
    match noun {
        "pack" => json!({"ref": "demo2"}),
        "trigger" => json!({"ref": "demo.t", "pack_ref": "demo", "kind": "custom"}),
        "action" => json!({"ref": "demo.a", "pack_ref": "demo", "runtime_ref": "core.shell", "entry_point": "echo hi"}),
        _ => json!({"ref": "demo.r", "pack_ref": "demo", "trigger_ref": "core.timer_1m", "action_ref": "core.echo",
                    "action_params": {"message": "hello"}}),
    }
}

/// The same draft with other fields; null removes a field.
fn draft(noun: &str, changes: &Value) -> Value {
    let mut draft = right(noun);
    for (name, value) in changes.as_object().expect("an object") {
        draft[name] = value.clone();
        if value.is_null() {
            draft.as_object_mut().expect("an object").remove(name);
        }
    }
    draft
}

type Findings = Vec<(String, String)>;

/// What the API answers.
async fn through_api(api: &TestApi, noun: &str, draft: &Value) -> Findings {
    let answer = api.post(&format!("/api/v1/{noun}s"), draft.clone()).await;
    let errors = answer.body["errors"].as_array().cloned().unwrap_or_default();
    let text = |error: &Value, name: &str| error[name].as_str().unwrap_or_default().to_owned();
    let found = errors.iter().map(|error| (text(error, "path"), text(error, "message")));
    let mut found: Findings = found.collect();
    found.sort();
    found
}

/// What loading a pack with this file reports.
async fn file(api: &TestApi, noun: &str, draft: &Value) -> Findings {
    let name = draft["ref"].as_str().and_then(|reference| reference.split_once('.'));
    let path = match noun {
        "pack" => "pack.yaml".to_owned(),
        noun => format!("{noun}s/{}.yaml", name.map_or("x", |(_, name)| name)),
    };
    let mut files = Files::from([("pack.yaml".to_owned(), MANIFEST.to_owned())]);
    files.insert(path.clone(), draft.to_string());
    let errors = match Pack::parse(&files) {
        Err(errors) => errors,
        Ok(pack) => match packs::load(&api.database.pool, &pack).await {
            Ok(_) => return Findings::new(),
            Err(LoadError::Invalid(errors)) => errors,
            Err(error) => panic!("{error}"),
        },
    };
    let mut found = Findings::new();
    for error in errors.into_vec() {
        let field = error.path.strip_prefix(&path).expect("an error of this file");
        let line = error.message.rfind(" (line ").filter(|_| error.message.ends_with(')'));
        let message = error.message[..line.unwrap_or(error.message.len())].to_owned();
        found.push((field.trim_start_matches(": ").to_owned(), message));
    }
    found.sort();
    found
}

/// Each row: a noun, what is wrong, and the fields that are named.
fn rows() -> Vec<(&'static str, Value, Vec<&'static str>)> {
    let long = |length: usize| "x".repeat(length);
    let mut rows = Vec::new();
    for noun in ["trigger", "action", "rule"] {
        for (changes, field) in [
            (json!({"ref": "demo.Big"}), "ref"),
            (json!({"ref": "demo"}), "ref"),
            (json!({"ref": "other.x"}), "ref"),
            (json!({"ref": 7}), "ref"),
            (json!({"ref": null}), "ref"),
            (json!({"label": ""}), "label"),
            (json!({"label": "  "}), "label"),
            (json!({"label": long(201)}), "label"),
            (json!({"label": 7}), "label"),
            (json!({"description": long(12_000)}), "description"),
            (json!({"description": []}), "description"),
            (json!({"enabled": "yes"}), "enabled"),
            (json!({"lable": "x"}), "lable"),
        ] {
            rows.push((noun, changes, vec![field]));
        }
    }
    let packs = [
        (json!({"ref": "Demo"}), "ref"),
        (json!({"ref": "a.b"}), "ref"),
        (json!({"ref": null}), "ref"),
        (json!({"label": " "}), "label"),
        (json!({"label": long(201)}), "label"),
        (json!({"description": long(12_000)}), "description"),
        (json!({"version": ""}), "version"),
        (json!({"version": long(65)}), "version"),
        (json!({"version": 1}), "version"),
        (json!({"enabled": 1}), "enabled"),
        (json!({"author": "me"}), "author"),
    ];
    let triggers = [
        (json!({"kind": null}), "kind"),
        (json!({"kind": "sundial"}), "kind"),
        (json!({"kind": "system"}), "kind"),
        (json!({"config": 7}), "config"),
        (
            json!({"config": {"dedup_window_seconds": "1h"}}),
            "config.dedup_window_seconds",
        ),
        (
            json!({"kind": "file_watch", "config": {"path": "/srv", "dedup_window_seconds": 1}}),
            "config.dedup_window_seconds",
        ),
        (json!({"kind": "file_watch", "config": {}}), "config.path"),
        (
            json!({"kind": "file_watch", "config": {"path": "inbox"}}),
            "config.path",
        ),
        (
            json!({"kind": "file_watch", "config": {"path": "/srv", "patterns": ["*.csv", "/etc/*"]}}),
            "config.patterns[1]",
        ),
        (
            json!({"kind": "file_watch", "config": {"path": "/srv", "on": ["arrived"]}}),
            "config.on",
        ),
        (
            json!({"kind": "file_watch", "config": {"path": "/srv", "stable_for_seconds": "2s"}}),
            "config.stable_for_seconds",
        ),
        (
            json!({"kind": "file_watch", "config": {"path": "/srv", "pattern": "*.csv"}}),
            "config.pattern",
        ),
        (json!({"kind": "timer", "config": {}}), "config.type"),
        (
            json!({"kind": "timer", "config": {"type": "interval", "seconds": -1}}),
            "config.seconds",
        ),
        (
            json!({"kind": "timer", "config": {"type": "cron", "expression": "0 0 0 30 2 *"}}),
            "config.expression",
        ),
        (
            json!({"kind": "timer", "config": {"type": "one_shot", "fire_at": "2020-01-01T00:00:00Z"}}),
            "config.fire_at",
        ),
        (
            json!({"kind": "timer", "config": {"type": "interval", "seconds": 1, "max_age_seconds": 2_592_000}}),
            "config.max_age_seconds",
        ),
        (
            json!({"kind": "webhook", "config": {"verify": "github"}}),
            "config.secret",
        ),
        (
            json!({"kind": "webhook", "config": {"verify": "github", "secret": "short"}}),
            "config.secret",
        ),
        (
            json!({"kind": "webhook", "config": {"verify": "none", "method": "POST"}}),
            "config.method",
        ),
        (json!({"payload_schema": {"type": "nonsense"}}), "payload_schema.type"),
        (json!({"payload_schema": 7}), "payload_schema"),
        (json!({"payload_schema": {"$ref": "#/nowhere"}}), "payload_schema.$ref"),
    ];
    let actions = [
        (json!({"entry_point": null}), "entry_point"),
        (json!({"entry_point": ""}), "entry_point"),
        (json!({"entry_point": " \n "}), "entry_point"),
        (json!({"entry_point": long(70_000)}), "entry_point"),
        (json!({"entry_point": "a\u{0}b"}), "entry_point"),
        (json!({"runtime_ref": null}), "runtime_ref"),
        (json!({"runtime_ref": "shell"}), "runtime_ref"),
        (json!({"runtime_ref": "demo.nope"}), "runtime_ref"),
        (json!({"runtime_ref": "core.nope"}), "runtime_ref"),
        (json!({"parameters_schema": 7}), "parameters_schema"),
        (
            json!({"parameters_schema": {"type": "array"}}),
            "parameters_schema.type",
        ),
        (
            json!({"parameters_schema": {"properties": {"n": {"type": "strng"}}}}),
            "parameters_schema.properties.n.type",
        ),
        (
            json!({"parameters_schema": {"properties": {"n": {"type": "integer", "default": "x"}}}}),
            "parameters_schema.properties.n.default",
        ),
        (json!({"output_schema": {"type": 7}}), "output_schema.type"),
        (json!({"output_schema": []}), "output_schema"),
        (json!({"output_format": "xml"}), "output_format"),
        (json!({"pool": "Big"}), "pool"),
        (json!({"pool": long(33)}), "pool"),
        (json!({"timeout_seconds": 0}), "timeout_seconds"),
        (json!({"timeout_seconds": 604_801}), "timeout_seconds"),
        (json!({"timeout_seconds": "1h"}), "timeout_seconds"),
        (json!({"on_lost": "pray"}), "on_lost"),
        (json!({"retry": 3}), "retry"),
        (json!({"retry": {"max_attempts": "three"}}), "retry.max_attempts"),
        (json!({"retry": {"max_attempts": 2, "tries": 3}}), "retry.tries"),
        (json!({"retry": {"max_attempts": 2, "on": ["exploded"]}}), "retry.on"),
        (json!({"concurrency": {"limit": 0}}), "concurrency.limit"),
        (
            json!({"concurrency": {"limit": 1, "key": "{{ event.id }}"}}),
            "concurrency.key",
        ),
        (
            json!({"concurrency": {"limit": 1, "overflow": "drop"}}),
            "concurrency.overflow",
        ),
        (json!({"resources": {"memory_mb": 1}}), "resources.memory_mb"),
        (json!({"resources": {"memory": 512}}), "resources.memory"),
        (json!({"resources": "much"}), "resources"),
        (json!({"labels": ["billing"]}), "labels"),
        (json!({"labels": {"tier": 1}}), "labels.tier"),
        (json!({"labels": {"Team": "billing"}}), "labels.Team"),
        (json!({"labels": {"team": long(257)}}), "labels.team"),
        (json!({"labels": {"team": "{{ secrets.demo.token }}"}}), "labels.team"),
        (json!({"secrets": ["demo.token"]}), "secrets"),
        (json!({"secrets": {"path": "demo.token"}}), "secrets.path"),
        (json!({"secrets": {"LD_PRELOAD": "demo.token"}}), "secrets.LD_PRELOAD"),
        (json!({"secrets": {"TOKEN": "token"}}), "secrets.TOKEN"),
        (json!({"secret_delivery": "mail"}), "secret_delivery"),
        (
            json!({"concurrency": {"limit": 1, "key": "{{ secrets.demo.token }}"}}),
            "concurrency.key",
        ),
        (
            json!({"concurrency": {"limit": 1, "key": "{{ parameters.t }}"},
                   "parameters_schema": {"properties": {"t": {"secret": true}}}}),
            "concurrency.key",
        ),
        (
            json!({"labels": (0..33).map(|n| (format!("l{n}"), "x".into())).collect::<serde_json::Map<_, _>>()}),
            "labels",
        ),
    ];
    let rules = [
        (json!({"trigger_ref": null}), "trigger_ref"),
        (json!({"trigger_ref": "tick"}), "trigger_ref"),
        (json!({"trigger_ref": "demo.nope"}), "trigger_ref"),
        (json!({"trigger_ref": "core.nope"}), "trigger_ref"),
        (json!({"action_ref": null}), "action_ref"),
        (json!({"action_ref": "echo"}), "action_ref"),
        (json!({"action_ref": "demo.nope"}), "action_ref"),
        (json!({"action_params": [1]}), "action_params"),
        (json!({"action_params": {"message": 7}}), "action_params.message"),
        (
            json!({"action_params": {"message": "{{ secrets.demo.token }}"}}),
            "action_params.message",
        ),
        (
            json!({"action_params": {"message": "x {{ secrets.demo.token }}"}}),
            "action_params.message",
        ),
        (
            json!({"action_params": {"message": {"$secret": []}}}),
            "action_params.message",
        ),
        (json!({"condition": "secrets.demo.token == 'x'"}), "condition"),
        (
            json!({"action_params": {"message": "{{ event. }}"}}),
            "action_params.message",
        ),
        (
            json!({"action_params": {"message": "{{ event.paylod.x }}"}}),
            "action_params.message",
        ),
        (json!({"condition": 7}), "condition"),
        (json!({"condition": "1 +"}), "condition"),
        (json!({"condition": "event.paylod.x > 1"}), "condition"),
        (json!({"condition": {"all": 7}}), "condition.all"),
        (json!({"retry": {}}), "retry.max_attempts"),
        (
            json!({"concurrency": {"limit": 1, "key": "{{ event.paylod.x }}"}}),
            "concurrency.key",
        ),
        (json!({"concurrency": []}), "concurrency"),
        (json!({"rate_limit": {"limit": 10}}), "rate_limit.window_seconds"),
        (
            json!({"rate_limit": {"limit": 10, "window_seconds": 60, "burst": 3}}),
            "rate_limit.burst",
        ),
        (json!({"on_failure": "core.echo"}), "on_failure"),
        (json!({"on_failure": {}}), "on_failure.action_ref"),
        (json!({"on_failure": {"action_ref": "echo"}}), "on_failure.action_ref"),
        (
            json!({"on_failure": {"action_ref": "demo.nope"}}),
            "on_failure.action_ref",
        ),
        (
            json!({"on_failure": {"action_ref": "core.echo", "retries": 1}}),
            "on_failure.retries",
        ),
        (
            json!({"on_failure": {"action_ref": "core.echo", "action_params": [1]}}),
            "on_failure.action_params",
        ),
        (
            json!({"on_failure": {"action_ref": "core.echo", "action_params": {"message": 7}}}),
            "on_failure.action_params.message",
        ),
        (
            json!({"on_failure": {"action_ref": "core.echo", "action_params": {"message": "{{ event.paylod.x }}"}}}),
            "on_failure.action_params.message",
        ),
    ];
    rows.extend(packs.map(|(changes, field)| ("pack", changes, vec![field])));
    rows.extend(triggers.map(|(changes, field)| ("trigger", changes, vec![field])));
    rows.extend(actions.map(|(changes, field)| ("action", changes, vec![field])));
    rows.extend(rules.map(|(changes, field)| ("rule", changes, vec![field])));
    rows.push((
        "action",
        json!({"label": " ", "entry_point": "", "pool": "A", "timeout_seconds": 0, "retry": 7, "x": 1}),
        vec!["entry_point", "label", "pool", "retry", "timeout_seconds", "x"],
    ));
    rows
}

#[tokio::test]
async fn packs_and_the_api_give_the_same_verdict() {
    let api = TestApi::new().await;
    api.post("/api/v1/packs", json!({"ref": "demo"})).await.expect(201);
    let rows = rows();
    assert!(rows.len() >= 60, "{}", rows.len());
    let mut wrong = Vec::new();
    for (noun, changes, fields) in rows {
        let draft = draft(noun, &changes);
        let (api, file) = (through_api(&api, noun, &draft).await, file(&api, noun, &draft).await);
        let named: Vec<_> = api.iter().map(|(field, _)| field.as_str()).collect();
        if api != file || named != fields {
            let changes: String = changes.to_string().chars().take(90).collect();
            wrong.push(format!(
                "{noun} {changes}\n  expected {fields:?}\n  API  {api:?}\n  file {file:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{} rows differ:\n{}", wrong.len(), wrong.join("\n"));
    api.close().await;
}

#[tokio::test]
async fn definitions_loaded_from_packs_can_be_patched() {
    let api = TestApi::new().await;
    let files = [
        ("pack.yaml".to_owned(), MANIFEST.to_owned()),
        ("triggers/t.yaml".to_owned(), right("trigger").to_string()),
        (
            "actions/a.yaml".to_owned(),
            draft(
                "action",
                &json!({"entry_point": "x".repeat(65_536), "description": "d".repeat(10_000)}),
            )
            .to_string(),
        ),
        ("rules/r.yaml".to_owned(), right("rule").to_string()),
    ];
    let pack = Pack::parse(&Files::from(files)).expect("the pack is valid");
    packs::load(&api.database.pool, &pack).await.expect("it loads");
    for path in ["packs/demo", "triggers/demo.t", "actions/demo.a", "rules/demo.r"] {
        let path = format!("/api/v1/{path}");
        api.patch(&path, json!({"label": "x"})).await.expect(200);
        api.patch(&path, json!({"enabled": false})).await.expect(200);
    }
    api.close().await;
}

/// An earlier version loaded what is refused today: it can still be renamed and disabled, and its file stays loaded.
#[tokio::test]
async fn definitions_of_earlier_versions_can_be_changed_in_other_fields() {
    let api = TestApi::new().await;
    let files = Files::from([
        ("pack.yaml".to_owned(), MANIFEST.to_owned()),
        ("actions/a.yaml".to_owned(), right("action").to_string()),
    ]);
    let pack = Pack::parse(&files).expect("the pack is valid");
    packs::load(&api.database.pool, &pack).await.expect("it loads");
    api.database
        .execute(
            "update action set entry_point = repeat('x', 70000), description = repeat('d', 12000) where ref = 'demo.a'",
        )
        .await;
    let path = "/api/v1/actions/demo.a";
    api.patch(path, json!({"label": "x"})).await.expect(200);
    api.patch(path, json!({"enabled": false})).await.expect(200);
    let refused = api
        .patch(path, json!({"description": "e".repeat(12_000)}))
        .await
        .expect(422);
    assert_eq!(refused.fields(), ["description"]);
    api.close().await;
}

/// A doubtful value of an earlier version is reported; a new one is refused.
#[tokio::test]
async fn doubtful_values_are_refused_only_where_they_are_new() {
    let api = TestApi::new().await;
    let of = |condition: &str, label: &str| {
        let rule = draft("rule", &json!({"condition": condition, "label": label}));
        Pack::parse(&Files::from([
            ("pack.yaml".to_owned(), MANIFEST.to_owned()),
            ("rules/r.yaml".to_owned(), rule.to_string()),
        ]))
        .expect("the pack is valid")
    };
    let load = async |pack: Pack| packs::load(&api.database.pool, &pack).await;
    let refused = load(of("event.paylod.x == 1", "R")).await.expect_err("a new doubt");
    assert!(refused.to_string().contains("rules/r.yaml: condition: "), "{refused}");
    load(of("event.payload.x == 1", "R")).await.expect("it loads");
    api.database
        .execute("set attune.loading = 'on'; update rule set condition = '\"event.paylod.x == 1\"' where ref = 'demo.r'; reset attune.loading")
        .await;
    let report = load(of("event.paylod.x == 1", "R")).await.expect("it exists already");
    assert!(report.updated.is_empty() && !report.doubts.is_empty(), "{report}");
    load(of("event.paylod.x == 1", "Renamed"))
        .await
        .expect("the condition is unchanged");
    api.close().await;
}
