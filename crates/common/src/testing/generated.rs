//! Documentation that tests write: `docs/generated/`. The text in the repository is what the program says, or a test fails.

use crate::config::variable;
use std::{fs, path::Path};

/// Compares `docs/generated/<name>` with `text`. With `ATTUNE_UPDATE_GENERATED=1` the file is written instead.
pub fn compare(name: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs/generated")
        .join(name);
    if variable("ATTUNE_UPDATE_GENERATED").is_some() {
        fs::write(&file, text).expect("docs/generated can be written");
        return;
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        committed, text,
        "docs/generated/{name} is not what the program says: run this test with ATTUNE_UPDATE_GENERATED=1 and commit the file"
    );
}
