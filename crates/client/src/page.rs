//! A list that is read page by page: only one page is in memory.

use crate::{Error, Request, transport::Transport};
use hyper::Method;
use serde_json::Value;

#[derive(Debug)]
pub struct Pages<'a> {
    transport: &'a Transport,
    path: String,
    query: Vec<(String, String)>,
    cursor: Option<String>,
    ended: bool,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(transport: &'a Transport, path: &str, query: &[(String, String)]) -> Self {
        Self {
            transport,
            path: path.to_owned(),
            query: query.to_vec(),
            cursor: None,
            ended: false,
        }
    }

    /// The rows of the next page, or none after the last one.
    pub async fn next(&mut self) -> Result<Option<Vec<Value>>, Error> {
        if self.ended {
            return Ok(None);
        }
        let mut request = Request::new(self.transport, Method::GET, &self.path).queries(&self.query);
        if let Some(cursor) = &self.cursor {
            request = request.query("cursor", cursor);
        }
        let mut answer = request.send().await?.json()?;
        self.cursor = answer["pagination"]["next"].as_str().map(str::to_owned);
        self.ended = self.cursor.is_none();
        match answer["data"].take() {
            Value::Array(rows) => Ok(Some(rows)),
            _ => Err(Error::Unexpected(format!("{} is not a list", self.path))),
        }
    }

    /// Whether more rows follow those that were read.
    pub fn has_more(&self) -> bool {
        !self.ended
    }
}
