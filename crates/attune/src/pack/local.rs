//! The commands on packs that need neither a database nor the API.

use crate::cli::{PackBuild, PackNew};
use anyhow::{Context as _, ensure};
use attune_common::packs::{Archive, Pack};
use attune_domain::reference::is_name;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Writes the files of a small pack that works.
pub fn new(options: &PackNew) -> anyhow::Result<()> {
    let name = &options.name;
    ensure!(
        is_name(name),
        "{name:?} is not the name of a pack: lower-case letters, digits and `_`, beginning with a letter"
    );
    let folder = options.folder.clone().unwrap_or_else(|| PathBuf::from(name));
    fs::create_dir(&folder).with_context(|| format!("failed to create the folder {}", folder.display()))?;
    let files = [
        ("pack.yaml", format!("ref: {name}\nlabel: {name}\nversion: 0.1.0\n")),
        (
            "actions/hello.yaml",
            format!(
                "ref: {name}.hello\nlabel: Hello\nruntime_ref: core.shell\nentry_point: actions/hello.sh\n\
                 parameters_schema:\n  type: object\n  additionalProperties: false\n  properties:\n    \
                 name: {{type: string, default: World}}\n"
            ),
        ),
        ("actions/hello.sh", "echo \"Hello $name\"\n".to_owned()),
        (
            "README.md",
            format!("# {name}\n\nApply it with `attune pack apply .`, and run it with the action {name}.hello.\n"),
        ),
    ];
    for (path, text) in files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
    }
    println!("{}", folder.display());
    Ok(())
}

/// Writes the normal form of a pack. The same files give the same bytes.
pub fn build(options: &PackBuild) -> anyhow::Result<()> {
    let archive = Archive::of_folder(&options.folder)
        .with_context(|| format!("failed to read the pack in {}", options.folder.display()))?;
    let pack = Pack::of(&archive)?;
    let manifest = &pack.manifest;
    let packed = pack.packed.context("the pack has no files")?;
    let output = options
        .output
        .clone()
        .unwrap_or_else(|| default_name(&manifest.r#ref, &manifest.version));
    fs::write(&output, &packed.content).with_context(|| format!("failed to write {}", output.display()))?;
    println!("{}  {}", packed.hash, output.display());
    Ok(())
}

fn default_name(reference: &str, version: &str) -> PathBuf {
    Path::new(&format!("{reference}-{}.tar.gz", version.replace('/', "_"))).to_owned()
}
