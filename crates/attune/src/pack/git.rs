//! Packs in git repositories, through the program `git`.

use anyhow::{Context as _, bail, ensure};
use attune_common::packs::Archive;
use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

/// `git+https://example.org/packs.git@v1.2#github`
#[derive(Debug, PartialEq, Eq)]
pub struct Address {
    url: String,
    /// A tag, a branch or a commit.
    revision: Option<String>,
    /// The folder of the pack in the repository.
    folder: Option<String>,
}

/// The files of a pack, and the address with the commit that they are from.
pub struct Fetched {
    pub archive: Archive,
    pub source: String,
}

impl Address {
    /// Nothing for what is not an address of a repository.
    pub fn parse(text: &str) -> anyhow::Result<Option<Self>> {
        let Some(text) = text.strip_prefix("git+") else {
            return Ok(None);
        };
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        ensure!(
            ["https", "http", "ssh", "file"].contains(&scheme),
            "git+{text}: must begin with git+https://, git+http://, git+ssh:// or git+file://"
        );
        let (rest, folder) = match rest.split_once('#') {
            Some((rest, folder)) => (rest, Some(folder.trim_matches('/').to_owned())),
            None => (rest, None),
        };
        // A name in front of the first slash belongs to the host: ssh://git@host/…
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        ensure!(
            !(host.contains('@') && host.contains(':') && scheme.starts_with("http")),
            "an address must not contain a password: use a credential helper of git"
        );
        let (path, revision) = match path.split_once('@') {
            Some((path, revision)) => (path, Some(revision.to_owned())),
            None => (path, None),
        };
        let named = revision.iter().chain(&folder);
        for name in named {
            ensure!(
                !name.is_empty() && !name.starts_with('-'),
                "git+{text}: {name:?} is not a revision or a folder"
            );
        }
        Ok(Some(Self {
            url: format!("{scheme}://{host}{path}"),
            revision,
            folder,
        }))
    }

    pub fn fetch(&self) -> anyhow::Result<Fetched> {
        let place = tempfile::tempdir().context("failed to create a folder")?;
        let at = place.path();
        let revision = self.revision.as_deref().unwrap_or("HEAD");
        git(at, &["init", "-q"])?;
        let shallow = ["fetch", "-q", "--depth=1", "--no-tags", "--", &self.url, revision];
        let name = if git(at, &shallow).is_ok() {
            "FETCH_HEAD".to_owned()
        } else {
            // Few servers hand out a commit by its hash: everything is fetched, and the commit is found in it.
            let everything = [
                "fetch",
                "-q",
                "--",
                &self.url,
                "+refs/heads/*:refs/heads/*",
                "+refs/tags/*:refs/tags/*",
            ];
            git(at, &everything).with_context(|| format!("failed to fetch {}", self.url))?;
            revision.to_owned()
        };
        let commit = git(
            at,
            &[
                "rev-parse",
                "--verify",
                "-q",
                "--end-of-options",
                &format!("{name}^{{commit}}"),
            ],
        )
        .with_context(|| format!("{} has no revision {revision}", self.url))?;
        let commit = String::from_utf8_lossy(&commit.stdout).trim().to_owned();
        let tree = match &self.folder {
            Some(folder) => format!("{commit}:{folder}"),
            None => commit.clone(),
        };
        let packed = git(at, &["archive", "--format=tar.gz", &tree])
            .with_context(|| format!("{} has no folder {}", self.url, self.folder.as_deref().unwrap_or("/")))?;
        Ok(Fetched {
            archive: Archive::of_bytes(&packed.stdout)?,
            source: self.at(&commit),
        })
    }

    /// The address with a commit in the place of its revision.
    fn at(&self, commit: &str) -> String {
        let folder = self
            .folder
            .as_ref()
            .map_or_else(String::new, |folder| format!("#{folder}"));
        format!("git+{}@{commit}{folder}", self.url)
    }
}

/// Without questions, without hooks, and without transports that run programs.
#[expect(clippy::disallowed_methods, reason = "packs come from git through its program")]
fn git(folder: &Path, arguments: &[&str]) -> anyhow::Result<Output> {
    let output = Command::new("git")
        .args(["-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .output()
        .context("failed to start git; install it, or give a folder or an archive")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!(
            "git {}: {}",
            arguments[0],
            text.trim().lines().last().unwrap_or("failed")
        );
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_repositories() {
        let address = |text: &str| Address::parse(text).unwrap().unwrap();
        let plain = address("git+https://example.org/a/b.git");
        assert_eq!(
            (plain.url.as_str(), &plain.revision, &plain.folder),
            ("https://example.org/a/b.git", &None, &None)
        );
        let full = address("git+ssh://git@example.org/a/b.git@feature/x#packs/demo/");
        assert_eq!(full.url, "ssh://git@example.org/a/b.git");
        assert_eq!(
            (full.revision.as_deref(), full.folder.as_deref()),
            (Some("feature/x"), Some("packs/demo"))
        );
        assert_eq!(full.at("0f3c"), "git+ssh://git@example.org/a/b.git@0f3c#packs/demo");
        assert_eq!(Address::parse("./folder").unwrap(), None);
        for wrong in [
            "git+ext::sh -c id",
            "git+ext://x",
            "git+https://me:secret@example.org/x.git",
            "git+https://example.org/x.git@--upload-pack=id",
            "git+https://example.org/x.git@",
        ] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }
}
