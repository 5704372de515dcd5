//! `edit`: changes fields, or opens the object in the user's editor.

use super::{
    Call,
    read::{path_of, writable},
    write::{object, written},
};
use crate::{child, cmd::session::Session, failure::Failure, view::list::yaml};
use anyhow::Context as _;
use attune_client::{Error, Method, Problem};
use attune_common::config::variable;
use serde_json::Value;
use std::{
    fmt::Write as _,
    fs,
    io::{IsTerminal as _, Write as _, stdin},
    path::{Path, PathBuf},
};

pub async fn edit(session: &Session, call: &Call) -> anyhow::Result<()> {
    if !call.texts("field").is_empty() || call.text("file").is_some() {
        return change(session, call).await;
    }
    let editor = ["ATTUNE_EDITOR", "VISUAL", "EDITOR"].into_iter().find_map(variable);
    let editor = match editor {
        Some(editor) => editor,
        None if stdin().is_terminal() => "vi".to_owned(),
        None => return Err(Failure::usage("not a terminal: give fields or --file, or set EDITOR").into()),
    };
    let (noun, key) = (call.noun(), call.key());
    let path = path_of(noun, &key);
    let reply = session.client.get(&path).send().await?;
    let version = reply.header("etag").unwrap_or_default().to_owned();
    let before = yaml(&writable(noun, &reply.data()?))?;
    let file = keep(&key, &before)?;
    loop {
        child::edit(&editor, &file)?;
        let text = fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
        let after = without_errors(&text);
        if after == before {
            fs::remove_file(&file)?;
            eprintln!("nothing was changed");
            return Ok(());
        }
        let saved = save(session, &path, &version, &after).await;
        match saved {
            Ok(reply) => {
                fs::remove_file(&file)?;
                return written(session, call, &reply, "changed");
            }
            Err(error) => {
                let problem = error.downcast_ref::<Error>().and_then(Error::problem);
                let again = problem.filter(|problem| problem.status == 422 && stdin().is_terminal());
                let Some(problem) = again else {
                    let kept = format!("{key} was not changed; your text is in {}", file.display());
                    return Err(error.context(kept));
                };
                fs::write(&file, format!("{}{after}", errors(problem)))?;
            }
        }
    }
}

/// Changes the given fields only.
async fn change(session: &Session, call: &Call) -> anyhow::Result<()> {
    let mut fields = object(call)?;
    fields.remove("ref");
    let mut request = session
        .client
        .request(Method::PATCH, &path_of(call.noun(), &call.key()));
    if let Some(version) = call.text("if-version") {
        request = request.header("if-match", version);
    }
    let reply = request.json(&fields)?.send().await;
    written(
        session,
        call,
        &reply.with_context(|| format!("{} was not changed", call.key()))?,
        "changed",
    )
}

async fn save(session: &Session, path: &str, version: &str, text: &str) -> anyhow::Result<attune_client::Reply> {
    let object: Value =
        serde_norway::from_str(text).map_err(|error| Failure::usage(format!("the text is not YAML: {error}")))?;
    let mut request = session.client.request(Method::PUT, path);
    if !version.is_empty() {
        request = request.header("if-match", version);
    }
    Ok(request.json(&object)?.send().await?)
}

/// A file for the editor, which stays when the change fails.
fn keep(key: &str, text: &str) -> anyhow::Result<PathBuf> {
    let mut file = tempfile::Builder::new()
        .prefix(&format!("attune-{key}-"))
        .suffix(".yaml")
        .tempfile()?;
    file.write_all(text.as_bytes())?;
    let (_, path) = file.keep().context("failed to keep the file for the editor")?;
    Ok(Path::new(&path).to_owned())
}

const MARK: &str = "# error: ";

fn errors(problem: &Problem) -> String {
    let mut text = format!("{MARK}{problem}\n");
    for error in &problem.errors {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{MARK}{}: {}", error.path, error.message);
    }
    text
}

fn without_errors(text: &str) -> String {
    let lines = text.split_inclusive('\n').filter(|line| !line.starts_with(MARK));
    lines.collect()
}
