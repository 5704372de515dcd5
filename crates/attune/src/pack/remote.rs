//! The commands on packs that use the API.

use super::{
    lock::{self, Locked},
    source::{self, Opened},
};
use crate::{
    cli::{PackApply, PackDiff, PackExport, PackList, PackNamed, PackRemove},
    failure::{Failure, code},
    view::out,
};
use anyhow::{Context as _, ensure};
use attune_client::{Client, Method, encoded};
use attune_common::packs::{Archive, Pack};
use serde_json::Value;
use std::{
    fs::{self, Permissions},
    io::{BufRead as _, IsTerminal as _, Write as _, stdin},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::Duration,
};

/// An archive may take a while.
const UPLOAD: Duration = Duration::from_secs(150);

pub async fn apply(client: &Client, options: &PackApply) -> anyhow::Result<()> {
    let mut locked = Vec::new();
    for text in &options.sources {
        let opened = source::open(text)?;
        let (pack, answer) = send(client, &opened, false).await?;
        locked.push(Locked {
            r#ref: pack.manifest.r#ref.clone(),
            source: opened.source,
            version: pack.manifest.version.clone(),
            sha256: answer["data"]["hash"].as_str().unwrap_or_default().to_owned(),
        });
        print(&answer, &pack, options.json);
    }
    match &options.lock {
        Some(path) => lock::record(path, &locked),
        None => Ok(()),
    }
}

/// Applies what a lock file names, if it is still the same.
pub async fn apply_locked(client: &Client, path: &Path, as_json: bool) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let all = lock::read(path)?;
    ensure!(
        !all.is_empty(),
        Failure::new(1, format!("{} names no pack", path.display()))
    );
    for locked in all {
        let place = if locked.source.starts_with("git+") {
            locked.source.clone()
        } else {
            folder.join(&locked.source).to_string_lossy().into_owned()
        };
        let opened = Opened {
            source: locked.source.clone(),
            ..source::open(&place)?
        };
        let found = opened.archive.pack()?.hash;
        ensure!(
            found == locked.sha256,
            Failure::new(
                1,
                format!(
                    "{}: the files have the sha256 {found}; {} has {}",
                    locked.r#ref,
                    path.display(),
                    locked.sha256
                )
            )
        );
        let (pack, answer) = send(client, &opened, false).await?;
        print(&answer, &pack, as_json);
    }
    Ok(())
}

/// What applying would change.
pub async fn diff(client: &Client, options: &PackDiff, exit_code: bool) -> anyhow::Result<()> {
    let mut changed = false;
    for text in &options.sources {
        let opened = source::open(text)?;
        let (pack, answer) = send(client, &opened, true).await?;
        changed |= answer["data"]["changed"] == true;
        print(&answer, &pack, options.json);
    }
    ensure!(
        !(changed && exit_code),
        Failure::new(code::DIFFERENT, "there are differences")
    );
    Ok(())
}

async fn send(client: &Client, opened: &Opened, dry_run: bool) -> anyhow::Result<(Pack, Value)> {
    let pack = Pack::of(&opened.archive).map_err(|error| invalid(&opened.source, &error.into()))?;
    let content = pack
        .packed
        .as_ref()
        .map(|packed| packed.content.clone())
        .unwrap_or_default();
    let source = if opened.source.starts_with("git+") {
        format!("&source={}", encoded(&opened.source))
    } else {
        String::new()
    };
    let path = format!("/api/v1/packs?dry_run={dry_run}{source}");
    let request = client.post(&path).bytes("application/gzip", content).timeout(UPLOAD);
    Ok((pack, request.send().await?.json()?))
}

fn invalid(source: &str, error: &anyhow::Error) -> Failure {
    let broken = attune_common::packs::Broken::new(Path::new(source), error);
    Failure::new(6, format!("{source} is not valid\n  {}", broken.errors.join("\n  ")))
}

fn print(answer: &Value, pack: &Pack, as_json: bool) {
    let data = &answer["data"];
    if as_json {
        println!("{data}");
        return;
    }
    let short = |hash: &Value| {
        hash.as_str()
            .map_or("none".to_owned(), |hash| hash.chars().take(12).collect())
    };
    println!(
        "{} {}  sha256 {} (before: {})",
        pack.manifest.r#ref,
        pack.manifest.version,
        short(&data["hash"]),
        short(&data["previous_hash"])
    );
    let texts = |list: &Value| -> Vec<String> {
        let list = list.as_array().into_iter().flatten();
        list.filter_map(|text| Some(text.as_str()?.to_owned())).collect()
    };
    for (sign, what, list) in [("+", "created", &data["created"]), ("~", "updated", &data["updated"])] {
        for name in texts(list) {
            println!("  {sign} {name} {what}");
        }
    }
    for (sign, list) in [("+", "added"), ("~", "changed"), ("-", "removed")] {
        for path in texts(&data["files"][list]) {
            println!("  {sign} file {path}");
        }
    }
    println!("  = {} unchanged", texts(&data["unchanged"]).len());
    for skipped in data["skipped"].as_array().into_iter().flatten() {
        let (name, reason) = (skipped["ref"].as_str(), skipped["reason"].as_str());
        eprintln!(
            "  ! {} left alone: {}",
            name.unwrap_or_default(),
            reason.unwrap_or_default()
        );
    }
    for name in texts(&data["gone"]) {
        eprintln!("  ! {name} is not in the files any more and stays; delete or disable it");
    }
    for warning in texts(&answer["warnings"]) {
        eprintln!("  ! {warning}");
    }
    if data["dry_run"] == true {
        println!("Nothing was written.");
    }
}

pub async fn list(client: &Client, options: &PackList) -> anyhow::Result<()> {
    let mut pages = client.pages("/api/v1/packs", &[("limit".to_owned(), "200".to_owned())]);
    while let Some(packs) = pages.next().await? {
        for pack in packs {
            if options.json {
                out::line(&pack.to_string())?;
            } else {
                let text = |name: &str| pack[name].as_str().unwrap_or("-").to_owned();
                let state = if pack["enabled"] == true { "enabled" } else { "disabled" };
                let hash: String = text("hash").chars().take(12).collect();
                let (name, version, label) = (text("ref"), text("version"), text("label"));
                out::line(&format!("{name}\t{version}\t{state}\t{hash}\t{label}"))?;
            }
        }
    }
    Ok(())
}

pub async fn show(client: &Client, options: &PackNamed) -> anyhow::Result<()> {
    let path = format!("/api/v1/packs/{}", encoded(&options.pack));
    let mut pack: Value = client.get(&path).data().await?;
    if !pack["hash"].is_null() {
        pack["files"] = client.get(&format!("{path}/files")).data().await?;
    }
    if options.json {
        println!("{pack}");
        return Ok(());
    }
    for name in [
        "ref",
        "label",
        "description",
        "version",
        "enabled",
        "hash",
        "source",
        "updated_at",
    ] {
        match &pack[name] {
            Value::Null => {}
            Value::String(text) => println!("{name}\t{text}"),
            other => println!("{name}\t{other}"),
        }
    }
    for file in pack["files"].as_array().into_iter().flatten() {
        let mode = if file["executable"] == true { "x" } else { "-" };
        println!(
            "file\t{mode}\t{}\t{}",
            file["bytes"],
            file["path"].as_str().unwrap_or_default()
        );
    }
    Ok(())
}

pub async fn export(client: &Client, options: &PackExport) -> anyhow::Result<()> {
    let path = format!("/api/v1/packs/{}", encoded(&options.pack));
    let pack: Value = client.get(&path).data().await?;
    let content = client
        .get(&format!("{path}/archive"))
        .timeout(UPLOAD)
        .send()
        .await?
        .body;
    let archive = Archive::of_bytes(&content)?;
    if let Some(folder) = &options.directory {
        write_folder(&archive, folder)?;
        println!("{}", folder.display());
        return Ok(());
    }
    let name = |field: &str| pack[field].as_str().unwrap_or_default().replace('/', "_");
    let file = options
        .output
        .clone()
        .unwrap_or_else(|| format!("{}-{}.tar.gz", name("ref"), name("version")).into());
    fs::write(&file, content).with_context(|| format!("failed to write {}", file.display()))?;
    println!("{}", file.display());
    Ok(())
}

/// The folder must be new, so that it has only the files of the pack.
fn write_folder(archive: &Archive, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir(folder).with_context(|| format!("failed to create the folder {}", folder.display()))?;
    for (path, file) in &archive.files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, &file.bytes).with_context(|| format!("failed to write {}", path.display()))?;
        if file.executable {
            fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

pub async fn remove(client: &Client, options: &PackRemove) -> anyhow::Result<()> {
    if !options.yes {
        ensure!(
            stdin().is_terminal(),
            Failure::new(2, "not a terminal: confirm the removal with --yes")
        );
        eprint!("remove the pack {}? Type its ref to confirm: ", options.pack);
        std::io::stderr().flush().ok();
        let mut answer = String::new();
        stdin().lock().read_line(&mut answer)?;
        ensure!(answer.trim() == options.pack, Failure::new(1, "nothing was removed"));
    }
    let path = format!("/api/v1/packs/{}?cascade={}", encoded(&options.pack), options.cascade);
    client.request(Method::DELETE, &path).send().await?;
    println!("removed {}", options.pack);
    Ok(())
}
