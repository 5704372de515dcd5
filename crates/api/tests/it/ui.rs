//! The web UI: pages for browsers, assets, and their headers. The files are those of `ui/dist`, whatever it contains.

use crate::test_api::{Call, TestApi};
use axum::http::{HeaderMap, StatusCode};
use std::{collections::BTreeSet, fs, io::Read as _, path::PathBuf};

fn dist() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../ui/dist")
}

fn browser(path: &str) -> Call {
    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    Call::new("GET", path).token(None).header("accept", accept)
}

async fn page(api: &TestApi, path: &str) -> (StatusCode, HeaderMap, String) {
    api.send_text(browser(path)).await
}

/// The nonce in a page.
fn nonce(html: &str) -> &str {
    let (_, rest) = html.split_once("property=\"csp-nonce\"").expect("the meta element");
    let (_, rest) = rest.split_once("nonce=\"").expect("its nonce");
    rest.split('"').next().expect("its end")
}

#[tokio::test]
async fn browsers_get_the_page_and_programs_the_entry_point() {
    let api = TestApi::new().await;
    let (status, headers, html) = page(&api, "/").await;
    assert_eq!(
        (status.as_u16(), &headers["content-type"]),
        (200, &"text/html; charset=utf-8".parse().expect("a value"))
    );
    assert!(html.contains("csp-nonce"), "{html}");
    for accept in ["application/json", "*/*"] {
        let entry = api
            .send(Call::new("GET", "/").token(None).header("accept", accept))
            .await;
        assert_eq!(entry.expect(200).body["data"]["name"], "attune", "{accept}");
    }
    let entry = api.send(Call::new("GET", "/").token(None)).await;
    assert_eq!(entry.expect(200).body["data"]["name"], "attune");
    api.close().await;
}

#[tokio::test]
async fn a_page_has_a_strict_policy_and_a_nonce_of_its_own() {
    let api = TestApi::new().await;
    let (_, headers, html) = page(&api, "/").await;
    let (_, _, again) = page(&api, "/").await;
    let own = nonce(&html);
    assert!(own.len() >= 22, "128 bits: {own:?}");
    assert_ne!(own, nonce(&again));
    assert!(!html.contains("NONCE__"), "{html}");
    let text = |name: &str| headers.get(name).map_or("", |value| value.to_str().expect("text"));
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{own}'; img-src 'self' data:; font-src 'self'; \
         connect-src 'self'; form-action 'self'; base-uri 'self'; frame-ancestors 'none'; object-src 'none'"
    );
    let expected = [
        ("content-security-policy", policy.as_str()),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
        // The public URL of the tests is https.
        ("strict-transport-security", "max-age=31536000"),
        ("content-encoding", ""),
    ];
    for (name, value) in expected {
        assert_eq!(text(name), value, "{name}");
    }
    let mut api = api;
    api.configured(|config| config.api.public_url = None);
    let (_, headers, _) = page(&api, "/").await;
    assert!(!headers.contains_key("strict-transport-security"));
    api.close().await;
}

#[tokio::test]
async fn the_status_of_a_page() {
    let api = TestApi::new().await;
    let pages = fs::read_to_string(dist().join("pages.json")).expect("the list of pages");
    let pages: Vec<String> = serde_json::from_str(&pages).expect("a list");
    assert!(pages.len() > 10);
    for pattern in pages {
        let path = pattern.replace(['{', '}'], "");
        let (status, _, html) = page(&api, &path).await;
        assert_eq!(status, 200, "{path}");
        assert!(html.contains("csp-nonce"), "{path}");
    }
    for unknown in ["/no_such_page", "/executions/a/b/c", "/apis"] {
        let (status, headers, html) = page(&api, unknown).await;
        assert_eq!(status, 404, "{unknown}");
        assert!(html.contains("csp-nonce"), "{unknown}");
        assert!(headers.contains_key("content-security-policy"));
        // Programs get a problem.
        api.send(Call::new("GET", unknown)).await.expect(404);
    }
    for machine in [
        "/api/v1/nothing",
        "/auth/nothing",
        "/assets/nothing.js",
        "/assets/../index.html",
        "/health/nothing",
    ] {
        let (status, headers, body) = page(&api, machine).await;
        assert_eq!(status, 404, "{machine}");
        assert_eq!(headers["content-type"], "application/problem+json", "{machine}: {body}");
    }
    let written = Call::new("POST", "/executions").header("accept", "text/html");
    api.send(written).await.expect(404);
    api.close().await;
}

#[tokio::test]
async fn assets_are_immutable_and_compressed() {
    let api = TestApi::new().await;
    let listed = fs::read_dir(dist().join("assets")).expect("the folder");
    let listed = listed.map(|entry| entry.expect("a file").file_name().into_string().expect("text"));
    let listed: BTreeSet<String> = listed.collect();
    let names: BTreeSet<&str> = listed
        .iter()
        .map(|name| name.trim_end_matches(".br").trim_end_matches(".gz"))
        .collect();
    let has = |extension| listed.iter().any(|name| name.rsplit('.').next() == Some(extension));
    assert!(has("br") && has("gz"));
    for name in names {
        let get = async |encodings: &str, tag: &str| {
            let call = Call::new("GET", &format!("/assets/{name}")).token(None);
            api.send(call.header("accept-encoding", encodings).header("if-none-match", tag))
                .await
        };
        let plain = get("identity", "").await.expect(200);
        assert_eq!(plain.header("content-encoding"), "", "{name}");
        assert_eq!(
            plain.header("cache-control"),
            "public, max-age=31536000, immutable",
            "{name}"
        );
        assert_eq!(plain.header("x-content-type-options"), "nosniff");
        assert_ne!(plain.header("content-type"), "application/octet-stream", "{name}");
        let (tag, size) = (plain.header("etag").to_owned(), plain.raw.len());
        assert_eq!(get("identity", &tag).await.expect(304).raw.len(), 0, "{name}");
        if listed.contains(&format!("{name}.gz")) {
            let packed = get("gzip", "").await.expect(200);
            assert_eq!(packed.header("content-encoding"), "gzip", "{name}");
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(packed.raw.as_slice())
                .read_to_end(&mut unpacked)
                .expect("gzip");
            assert_eq!(unpacked, plain.raw, "{name}");
        }
        if listed.contains(&format!("{name}.br")) {
            let packed = get("gzip, deflate, br", "").await.expect(200);
            assert_eq!(packed.header("content-encoding"), "br", "{name}");
            assert!(packed.raw.len() < size, "{name}");
            assert_ne!(packed.header("etag"), tag, "{name}: another representation");
            assert!(packed.header("vary").contains("accept-encoding"), "{name}");
        }
        let (status, ..) = api.send_text(browser(&format!("/assets/{name}.br"))).await;
        assert_eq!(status, 404, "compressed files have no address of their own");
    }
    api.close().await;
}
