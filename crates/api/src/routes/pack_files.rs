//! The files of packs: uploaded as an archive, listed, downloaded.

use crate::{
    answer::{List, One},
    api::Api,
    audit,
    auth::Caller,
    definitions::or_not_found,
    problem::Problem,
    request::{Name, body, form},
};
use attune_common::{
    packs::{
        self, Archive, FileChanges, LoadError, Pack, Refused, Report, Unusable,
        archive::{Format, PACKED_BYTES_MAX},
    },
    store::{pack, pack_archive},
};
use attune_domain::definition::FileEntry;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

const SOURCE_CHARS_MAX: usize = 1_024;

form! {
    pub struct Upload {
        /// Of an archive: only answer what would change.
        dry_run: bool = false,
        /// Of an archive: where it comes from, to show with the pack, such as `git+https://example.org/packs.git@0f3c…`.
        source: Option<String>,
    }
}

/// What became of the definitions and the files of a pack.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppliedPack {
    pub pack_ref: String,
    /// The sha256 of the files in their normal form.
    pub hash: Option<String>,
    pub previous_hash: Option<String>,
    /// Nothing was written: this is what would change.
    pub dry_run: bool,
    pub changed: bool,
    pub created: Vec<String>,
    pub updated: Vec<String>,
    pub unchanged: Vec<String>,
    /// Definitions that were left alone.
    pub skipped: Vec<Skipped>,
    /// Definitions of an earlier content that the files do not have any more, with their nouns. They stay.
    pub gone: Vec<String>,
    pub files: FileChanges,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Skipped {
    pub r#ref: String,
    pub reason: String,
}

/// The format of a body that is an archive.
pub fn format_of(headers: &HeaderMap) -> Option<Format> {
    let given = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    match given.split(';').next().unwrap_or_default().trim() {
        "application/gzip" | "application/x-gzip" | "application/x-tar+gzip" => Some(Format::TarGz),
        "application/zip" | "application/x-zip-compressed" => Some(Format::Zip),
        _ => None,
    }
}

/// Applies an archive: definitions and files, in one transaction.
pub async fn apply(
    api: &Api,
    caller: &Caller,
    options: &Upload,
    declared: Format,
    request: Request,
) -> Result<One<AppliedPack>, Problem> {
    if options
        .source
        .as_ref()
        .is_some_and(|source| source.chars().count() > SOURCE_CHARS_MAX)
    {
        let message = format!("must have at most {SOURCE_CHARS_MAX} characters");
        return Err(Problem::field("source", message));
    }
    // Archives are large: one at a time.
    let _permit = api.uploads.try_acquire().map_err(|_| busy())?;
    let (parts, body) = request.into_parts();
    let bytes = body::read_with(&parts.headers, body, PACKED_BYTES_MAX, |_| Ok(())).await?;
    let pack = tokio::task::spawn_blocking(move || read(&bytes, declared))
        .await
        .map_err(|_| Problem::internal())?
        .map_err(unusable)?;
    let mut tx = api.begin().await?;
    let report = packs::write(&mut tx, &pack, options.source.as_deref())
        .await
        .map_err(|error| match error {
            LoadError::Invalid(errors) => Problem::invalid(errors),
            LoadError::Database(error) => error.into(),
        })?;
    if options.dry_run {
        tx.rollback().await?;
    } else {
        audit::note(&mut tx, caller, "apply", &format!("pack {}", report.pack)).await?;
        api.commit_definitions(tx).await?;
        report.log();
    }
    Ok(answer(report, options.dry_run))
}

fn read(bytes: &[u8], declared: Format) -> Result<Pack, Unusable> {
    if Format::of(bytes).is_some_and(|found| found != declared) {
        let message = "the body is not an archive of the kind that its content-type names".to_owned();
        return Err(Refused::Malformed(message).into());
    }
    Pack::of(&Archive::of_bytes(bytes)?)
}

fn answer(report: Report, dry_run: bool) -> One<AppliedPack> {
    let changed = report.changes();
    let skipped = report.left_alone.into_iter().map(|r#ref| Skipped {
        r#ref,
        reason: "a person edited it since it was loaded; to take the file, delete it and apply the pack again"
            .to_owned(),
    });
    let mut one = One::new(AppliedPack {
        pack_ref: report.pack,
        hash: report.hash,
        previous_hash: report.previous_hash,
        dry_run,
        changed,
        created: report.created,
        updated: report.updated,
        unchanged: report.unchanged,
        skipped: skipped.collect(),
        gone: report.gone,
        files: report.files,
    });
    let unfit = report
        .mismatches
        .iter()
        .map(|rule| format!("every event of this rule fails: {rule}"));
    let doubts = report
        .doubts
        .iter()
        .map(|doubt| format!("{}: {}", doubt.path, doubt.message));
    one.warnings = unfit.chain(doubts).collect();
    one
}

fn busy() -> Problem {
    let detail = "another archive is being applied; retry";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(2)
}

fn unusable(error: Unusable) -> Problem {
    match error {
        Unusable::Invalid(errors) => Problem::invalid(errors),
        Unusable::Refused(Refused::TooLarge(detail)) => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
        }
        Unusable::Refused(Refused::Entry { path, message }) => Problem::field(path, message),
        Unusable::Refused(Refused::Malformed(detail)) => Problem::new(StatusCode::BAD_REQUEST, "archive", detail),
        Unusable::Refused(Refused::Io(error)) => {
            tracing::error!(%error, "failed to read an archive in memory");
            Problem::internal()
        }
    }
}

pub async fn files(State(api): State<Api>, Name(key): Name) -> Result<List<FileEntry>, Problem> {
    let pack = or_not_found(pack::get(&api.pool, &key).await?, &key)?;
    let files = pack_archive::files(&api.pool, pack.id).await?;
    Ok(List::whole(files.ok_or_else(|| without_files(&pack.r#ref))?))
}

pub async fn download(State(api): State<Api>, Name(key): Name) -> Result<Response, Problem> {
    let pack = or_not_found(pack::get(&api.pool, &key).await?, &key)?;
    let hash = pack.hash.as_ref().ok_or_else(|| without_files(&pack.r#ref))?;
    let content = pack_archive::content(&api.pool, hash).await?;
    let content = content.ok_or_else(|| without_files(&pack.r#ref))?;
    let is_plain = |letter: &char| letter.is_ascii_alphanumeric() || ".-_+".contains(*letter);
    let version: String = pack.pack_version.chars().filter(is_plain).collect();
    let headers = [
        (header::CONTENT_TYPE, "application/gzip".to_owned()),
        (header::ETAG, format!("\"{hash}\"")),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{}-{version}.tar.gz\"", pack.r#ref),
        ),
    ];
    Ok((headers, content).into_response())
}

fn without_files(reference: &str) -> Problem {
    let detail = format!("the pack {reference} was not loaded from files, so there are none to show");
    Problem::conflict("no_files", detail)
}
