//! Like `domain.rs`, for input that the crates of services parse.

use attune_api::auth::Keys;
use attune_common::{
    config::Security,
    packs::{Files, Pack},
};
use attune_domain::json;
use std::sync::LazyLock;

/// A key for tests only.
const JWT_SECRET: &str = "a key for fuzzing, which signs nothing that anybody trusts";

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let security = Security {
        jwt_secret: Some(JWT_SECRET.into()),
        ..Security::default()
    };
    Keys::new(&security).expect("a key")
});

/// The body of a request or of a webhook: an accepted value can be stored and traversed.
pub fn body(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(value) = json::parse(&text) {
        assert_eq!(json::check_json(&value), Ok(()));
        let written = value.to_string();
        assert_eq!(json::parse(&written), Ok(value), "{written}");
    }
}

/// The files of a pack, each after a line `=== path`.
pub fn pack(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut files = Files::new();
    for file in text.split("=== ").skip(1) {
        let (path, content) = file.split_once('\n').unwrap_or((file, ""));
        files.insert(path.trim().to_owned(), content.to_owned());
    }
    if let Err(errors) = Pack::parse(&files) {
        assert!(!errors.is_empty());
    }
}

/// The token after `Bearer`.
pub fn jwt(data: &[u8]) {
    let token = String::from_utf8_lossy(data);
    if let Some(claims) = KEYS.verify(token.trim()) {
        // Only tokens signed with the key, for this purpose.
        assert_eq!((claims.aud.as_str(), claims.typ.as_str()), ("attune-api", "access"));
    }
}
