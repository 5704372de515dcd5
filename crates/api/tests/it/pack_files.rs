//! Packs that are applied as archives.

use crate::test_api::{Answer, Call, TestApi};
use attune_common::packs::archive::{Archive, PackFile};
use attune_domain::identity::Role;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use std::io::Write as _;
use tar::{EntryType, Header};

const GZIP: &str = "application/gzip";

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let file = |(path, text): &(&str, &str)| {
        let file = PackFile {
            executable: false,
            bytes: text.as_bytes().to_vec(),
        };
        ((*path).to_owned(), file)
    };
    let archive = Archive {
        files: files.iter().map(file).collect(),
    };
    archive.pack().expect("it is small").content
}

fn demo(script: &str, label: &str) -> Vec<u8> {
    let action = format!("{{ref: demo.hello, label: {label}, runtime_ref: core.shell, entry_point: actions/hello.sh}}");
    archive(&[
        ("pack.yaml", "{ref: demo, version: 0.1.0}"),
        ("actions/hello.yaml", &action),
        ("actions/hello.sh", script),
    ])
}

async fn apply(api: &TestApi, query: &str, content: Vec<u8>) -> Answer {
    let call = Call::new("POST", &format!("/api/v1/packs{query}"));
    api.send(call.header("content-type", GZIP).raw(content)).await
}

/// Written block by block: a builder would refuse most of these names.
fn evil(entries: &[(&str, EntryType)]) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    for (path, kind) in entries {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_size(0);
        header.set_cksum();
        gz.write_all(header.as_bytes()).expect("memory");
    }
    gz.write_all(&[0; 1024]).expect("memory");
    gz.finish().expect("memory")
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story")]
async fn an_archive_creates_and_updates_a_pack() {
    let api = TestApi::new().await;
    let planned = apply(&api, "?dry_run=true", demo("echo 1", "Hello")).await.expect(200);
    assert_eq!(planned.body["data"]["created"], json!(["demo", "demo.hello"]));
    assert_eq!(planned.body["data"]["dry_run"], true);
    api.get("/api/v1/packs/demo").await.expect(404);

    let source = "?source=git%2Bhttps://example.org/packs.git@0f3c";
    let made = apply(&api, source, demo("echo 1", "Hello")).await.expect(200).body["data"].take();
    assert_eq!(
        made["files"]["added"],
        json!(["actions/hello.sh", "actions/hello.yaml", "pack.yaml"])
    );
    let pack = api.get("/api/v1/packs/demo").await.expect(200).body["data"].take();
    assert_eq!((&pack["hash"], &pack["has_code"]), (&made["hash"], &json!(true)));
    assert_eq!(pack["source"], "git+https://example.org/packs.git@0f3c");
    let action = api.get("/api/v1/actions/demo.hello").await.expect(200);
    assert_eq!(action.body["data"]["entry_kind"], "file");
    let run = api
        .post("/api/v1/executions", json!({"action_ref": "demo.hello"}))
        .await
        .expect(201);
    assert_eq!(run.body["data"]["pack_hash"], made["hash"]);
    let plain = api
        .post("/api/v1/executions", json!({"action_ref": "core.echo"}))
        .await
        .expect(201);
    assert_eq!(plain.body["data"]["pack_hash"], Value::Null);

    let files = api.get("/api/v1/packs/demo/files").await.expect(200);
    assert_eq!(files.body["data"][0]["path"], "actions/hello.sh");
    let download = api.get("/api/v1/packs/demo/archive").await.expect(200);
    assert_eq!(download.raw, demo("echo 1", "Hello"));
    assert_eq!(
        download.header("content-disposition"),
        "attachment; filename=\"demo-0.1.0.tar.gz\""
    );
    api.get("/api/v1/packs/core/archive").await.expect(409);

    // The same again changes nothing.
    let again = apply(&api, source, demo("echo 1", "Hello")).await.expect(200).body["data"].take();
    assert_eq!(
        (&again["changed"], &again["previous_hash"]),
        (&json!(false), &made["hash"])
    );

    // What a person edited is left alone and reported; the files are replaced.
    api.patch("/api/v1/actions/demo.hello", json!({"label": "Mine"}))
        .await
        .expect(200);
    let next = apply(&api, "", demo("echo 2", "Other")).await.expect(200).body["data"].take();
    assert_eq!(next["skipped"][0]["ref"], "demo.hello");
    assert!(
        next["skipped"][0]["reason"]
            .as_str()
            .is_some_and(|text| text.contains("a person edited it"))
    );
    assert_eq!(
        next["files"]["changed"],
        json!(["actions/hello.sh", "actions/hello.yaml"])
    );
    let rerun = format!(
        "/api/v1/executions/{}",
        run.body["data"]["id"].as_str().unwrap_or_default()
    );
    assert_eq!(
        api.get(&rerun).await.expect(200).body["data"]["pack_hash"],
        made["hash"]
    );

    // A definition that is gone from the files stays, and the answer lists it.
    let fewer = archive(&[
        ("pack.yaml", "{ref: demo, version: 0.2.0}"),
        ("runtimes/x.yaml", "{ref: demo.x, kind: process, command: [/bin/sh]}"),
    ]);
    apply(&api, "", fewer).await.expect(200);
    let none = apply(&api, "", archive(&[("pack.yaml", "{ref: demo, version: 0.2.0}")]))
        .await
        .expect(200);
    assert_eq!(none.body["data"]["gone"], json!(["runtime demo.x"]));

    let call = Call::new("POST", "/api/v1/packs").header("content-type", GZIP);
    let call = call.raw(demo("", "X")).token(Some(api.token(Role::Operator)));
    api.send(call).await.expect(403);
    let as_json = api
        .post("/api/v1/packs?dry_run=true", json!({"ref": "other"}))
        .await
        .expect(422);
    assert_eq!(as_json.fields(), ["dry_run"]);
    api.close().await;
}

#[tokio::test]
async fn an_archive_that_attacks_is_refused_by_the_name_of_its_entry() {
    let api = TestApi::new().await;
    for (path, kind, message) in [
        ("lib/x", EntryType::Symlink, "is a symbolic link"),
        ("lib/x", EntryType::Link, "is a hard link"),
        ("lib/x", EntryType::Char, "is a device"),
        ("../x", EntryType::Regular, "contains `..`"),
        ("/etc/x", EntryType::Regular, "is absolute"),
        ("Pack.yaml", EntryType::Regular, "differs from"),
        ("pack.yaml", EntryType::Regular, "is in the archive twice"),
    ] {
        let bytes = evil(&[("pack.yaml", EntryType::Regular), (path, kind)]);
        let answer = apply(&api, "", bytes).await.expect(422);
        let error = &answer.body["errors"][0];
        assert!(
            error["message"].as_str().is_some_and(|text| text.contains(message)),
            "{path}: {error}"
        );
        assert!(
            error["path"].as_str().is_some_and(|at| at.eq_ignore_ascii_case(path)),
            "{path}: {error}"
        );
    }
    let names: Vec<String> = (0..10_001).map(|n| format!("f/{n}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), EntryType::Regular)).collect();
    let answer = apply(&api, "", evil(&many)).await.expect(413);
    assert!(
        answer.body["detail"]
            .as_str()
            .is_some_and(|text| text.contains("more than 10000 files"))
    );
    let declared = Call::new("POST", "/api/v1/packs").header("content-type", GZIP);
    api.send(declared.header("content-length", "67108865"))
        .await
        .expect(413);
    let good = demo("echo 1", "Hello");
    assert_eq!(
        apply(&api, "", good[..good.len() / 2].to_vec())
            .await
            .expect(400)
            .kind(),
        "archive"
    );
    assert_eq!(
        apply(&api, "", b"PK\x03\x04".to_vec()).await.expect(400).kind(),
        "archive"
    );
    assert_eq!(apply(&api, "", Vec::new()).await.expect(400).kind(), "archive");
    let invalid = archive(&[
        ("pack.yaml", "{ref: demo, version: 0.1.0}"),
        ("actions/x.yaml", "{ref: demo.x}"),
    ]);
    let answer = apply(&api, "", invalid).await.expect(422);
    assert!(
        answer.fields().contains(&"actions/x.yaml: entry_point"),
        "{}",
        answer.body
    );
    api.get("/api/v1/packs/demo").await.expect(404);
    api.close().await;
}

#[tokio::test]
async fn an_entry_point_is_a_file_if_the_pack_has_it() {
    let api = TestApi::new().await;
    apply(&api, "", demo("echo 1", "Hello")).await.expect(200);
    let create = |name: &str, entry: &str, kind: Value| json!({"ref": name, "runtime_ref": "core.shell", "entry_point": entry, "entry_kind": kind});
    for (name, entry, given, stored) in [
        ("demo.a", "actions/hello.sh", Value::Null, "file"),
        ("demo.b", "actions/hello.sh", json!("text"), "text"),
        ("demo.c", "echo hi", Value::Null, "text"),
        ("demo.d", "actions/missing.sh", Value::Null, "text"),
    ] {
        let made = api
            .post("/api/v1/actions", create(name, entry, given))
            .await
            .expect(201);
        assert_eq!(made.body["data"]["entry_kind"], stored, "{name}");
    }
    let wrong = create("demo.e", "actions/missing.sh", json!("file"));
    let answer = api.post("/api/v1/actions", wrong).await.expect(422);
    assert_eq!(answer.fields(), ["entry_point"]);
    api.close().await;
}
