//! What a success looks like: `{"data": …}` for one thing, `{"data": […], "pagination": …}` for a list.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Debug, Serialize)]
pub struct One<T> {
    pub data: T,
    /// What was taken and will not do what its author hopes.
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
    /// For `?cursor=`, when there is more.
    pub next: Option<String>,
    pub limit: u16,
}

impl<T> List<T> {
    /// A page of rows, of which one more than `limit` was read.
    pub fn of(mut rows: Vec<T>, limit: u16, key: impl Fn(&T) -> String) -> Self {
        let more = rows.len() > usize::from(limit);
        rows.truncate(usize::from(limit));
        let next = rows.last().filter(|_| more).map(key);
        Self {
            data: rows,
            pagination: Pagination { next, limit },
        }
    }

    /// Everything there is.
    pub fn whole(rows: Vec<T>) -> Self {
        let limit = u16::try_from(rows.len()).unwrap_or(u16::MAX);
        Self::of(rows, limit, |_| String::new())
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

/// A definition, with the version that `If-Match` asks for.
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

/// Something new, and where it is.
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
