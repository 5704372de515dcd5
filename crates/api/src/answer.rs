//! Successful answers: `{"data": …}` for one object, `{"data": […], "pagination": …}` for a list.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use serde::Serialize;
use std::io;
use utoipa::ToSchema;

/// The size of a page, whatever the limit of rows is.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug, Serialize)]
pub struct One<T> {
    pub data: T,
    /// What was accepted but will not work as intended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl<T> One<T> {
    pub fn new(data: T) -> Self {
        Self {
            data,
            warnings: Vec::new(),
        }
    }
}

#[derive(Debug, Serialize)]
pub struct List<T> {
    pub data: Vec<T>,
    pub pagination: Pagination,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Pagination {
    /// The `cursor` of the next page; null on the last page.
    pub next: Option<String>,
    /// The limit of this page.
    pub limit: u16,
}

impl<T: Serialize> List<T> {
    /// A page. The caller reads one row more than `limit`.
    pub fn of(rows: Vec<T>, limit: u16, key: impl Fn(&T) -> String) -> Self {
        Self::of_more(rows, limit, false, key)
    }

    /// The same; with `more`, rows are missing for another reason than `limit`. A page has at most [`PAGE_BYTES_MAX`], but
    /// at least one row.
    pub fn of_more(mut rows: Vec<T>, limit: u16, more: bool, key: impl Fn(&T) -> String) -> Self {
        let fitting = fitting(&rows).clamp(1, usize::from(limit).max(1));
        let more = more || rows.len() > fitting;
        rows.truncate(fitting);
        let next = rows.last().filter(|_| more).map(key);
        Self {
            data: rows,
            pagination: Pagination { next, limit },
        }
    }

    /// A complete list, without pages.
    pub fn whole(rows: Vec<T>) -> Self {
        let limit = u16::try_from(rows.len()).unwrap_or(u16::MAX);
        Self {
            data: rows,
            pagination: Pagination { next: None, limit },
        }
    }
}

/// How many of the rows fit on a page.
fn fitting(rows: &[impl Serialize]) -> usize {
    let mut bytes = Counted(0);
    let fits = |row| serde_json::to_writer(&mut bytes, row).is_err() || bytes.0 <= PAGE_BYTES_MAX;
    rows.iter().map(fits).take_while(|fits| *fits).count()
}

/// Counts the bytes that are written.
struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T: Serialize> IntoResponse for One<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

impl<T: Serialize> IntoResponse for List<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

/// A definition with its version, for `ETag` and `If-Match`.
#[derive(Debug)]
pub struct Versioned<T> {
    pub version: i64,
    pub data: T,
    pub warnings: Vec<String>,
}

impl<T> Versioned<T> {
    pub fn new(version: i64, data: T) -> Self {
        Self {
            version,
            data,
            warnings: Vec::new(),
        }
    }
}

impl<T: Serialize> IntoResponse for Versioned<T> {
    fn into_response(self) -> Response {
        let body = One {
            data: self.data,
            warnings: self.warnings,
        };
        (AppendHeaders([(header::ETAG, tag(self.version))]), body).into_response()
    }
}

/// A new object and its path.
#[derive(Debug)]
pub struct Created<T> {
    pub location: String,
    pub body: T,
}

impl<T: IntoResponse> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let mut response = self.body.into_response();
        *response.status_mut() = StatusCode::CREATED;
        if let Ok(location) = HeaderValue::from_str(&self.location) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

pub fn tag(version: i64) -> String {
    format!("\"{version}\"")
}
