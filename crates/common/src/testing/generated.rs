//! Generated documentation in `docs/generated/`. A test fails if the file differs from the program's output.

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
        "docs/generated/{name} is outdated: run this test with ATTUNE_UPDATE_GENERATED=1 and commit the file"
    );
}
