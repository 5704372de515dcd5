//! `attune support-bundle`: what helps to find a problem, in one archive. It has no payloads, parameters and outputs.

use super::{
    session::{Common, Session},
    status::rows,
};
use anyhow::Context as _;
use clap::Args;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Lines of a log.
const LINES: usize = 500;
/// Fields of events, executions and webhooks that hold data of users.
const DATA: [&str; 12] = [
    "payload",
    "parameters",
    "parameters_preview",
    "result",
    "output_tail",
    "error",
    "last_error",
    "config",
    "detail",
    "body",
    "headers",
    "query",
];

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  attune support-bundle
  attune support-bundle -O bundle.tar.gz --data-dir /var/lib/attune")]
pub struct Bundle {
    /// File to write
    #[arg(
        long = "file",
        short = 'O',
        value_name = "FILE",
        default_value = "attune-support.tar.gz"
    )]
    pub file: PathBuf,
    /// Include payloads, parameters and outputs, which may contain secrets
    #[arg(long)]
    pub with_payloads: bool,
    #[command(flatten)]
    pub common: Common,
}

pub fn run(options: &Bundle) -> anyhow::Result<()> {
    options.common.run(async |session| {
        let files = collect(session, options).await;
        for (name, text) in &files {
            eprintln!("{name}  {} bytes", text.len());
        }
        write(&options.file, &files).with_context(|| format!("failed to write {}", options.file.display()))?;
        eprintln!("wrote {}; read it before you send it to anyone", options.file.display());
        Ok(())
    })
}

/// The content of each file. What cannot be read is an error message in its place.
async fn collect(session: &Session, options: &Bundle) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let versions = json!({"program": env!("CARGO_PKG_VERSION"), "url": session.client.url(), "at": session.view.now});
    files.insert("versions.json".to_owned(), versions.to_string());
    let lists = [
        ("services", "/api/v1/services"),
        ("timers", "/api/v1/timers"),
        ("queue", "/api/v1/queue"),
        ("retention", "/api/v1/retention"),
        ("packs", "/api/v1/packs"),
        ("rules", "/api/v1/rules"),
    ];
    for (name, path) in lists {
        let read = match name {
            "services" | "retention" => session.client.get(path).data().await.map_err(anyhow::Error::from),
            _ => rows(session, path, &[]).await,
        };
        let read = read.map(|rows| rows.iter().map(|row| shown(name, row, options.with_payloads)).collect());
        files.insert(format!("{name}.json"), written(read));
    }
    let failed = [("status", "failed,timed_out,lost"), ("limit", "100")];
    let failed = failed.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let read: Result<Vec<Value>, _> = session.client.get("/api/v1/executions").queries(&failed).data().await;
    let read = read.map(|rows| rows.iter().map(|row| shown("", row, options.with_payloads)).collect());
    files.insert(
        "failed-executions.json".to_owned(),
        written(read.map_err(anyhow::Error::from)),
    );
    for (name, path) in [("health.json", "/health"), ("metrics.txt", "/metrics")] {
        let text = match session.client.get(path).send().await {
            Ok(reply) => String::from_utf8_lossy(&reply.body).into_owned(),
            Err(error) => error.to_string(),
        };
        files.insert(name.to_owned(), text);
    }
    if let Some(folder) = &options.common.api.data_dir
        && let Ok(log) = std::fs::read_to_string(folder.join("postgres.log"))
    {
        let lines: Vec<&str> = log.lines().collect();
        files.insert(
            "postgres.log".to_owned(),
            lines[lines.len().saturating_sub(LINES)..].join("\n"),
        );
    }
    files
}

fn written(read: anyhow::Result<Vec<Value>>) -> String {
    let shown = read.and_then(|rows| Ok(serde_json::to_string_pretty(&rows)?));
    shown.unwrap_or_else(|error| format!("{error:#}"))
}

/// A row without data of users. Of a rule, only what it connects.
fn shown(name: &str, row: &Value, with_payloads: bool) -> Value {
    if with_payloads {
        return row.clone();
    }
    let mut fields: Map<String, Value> = row.as_object().cloned().unwrap_or_default();
    // The state of a service is about Attune.
    fields.retain(|field, _| name == "services" || !DATA.contains(&field.as_str()));
    if name == "rules" {
        fields
            .retain(|field, _| ["ref", "enabled", "trigger_ref", "action_ref", "updated_at"].contains(&field.as_str()));
    }
    Value::Object(fields)
}

fn write(file: &Path, files: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let out = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)?;
    let mut archive = tar::Builder::new(GzEncoder::new(out, Compression::default()));
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(text.len().try_into()?);
        archive.append_data(&mut header, format!("attune-support/{name}"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()?.flush()?;
    Ok(())
}
