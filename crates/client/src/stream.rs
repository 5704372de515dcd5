//! The live stream: server-sent events, with reconnection.
//!
//! After a lost connection it continues at the last id, and drops replayed changes that it has returned already.

mod parse;

use crate::{Error, Problem, Request, transport::Transport};
use http_body_util::BodyExt as _;
use hyper::{Method, body::Incoming};
use parse::{Frame, Parser};
use serde_json::Value;
use std::{
    collections::{HashSet, VecDeque},
    time::{Duration, Instant},
};

/// The server sends something every 4 seconds.
const SILENCE: Duration = Duration::from_secs(20);
/// How long an unreachable server is retried.
const PATIENCE: Duration = Duration::from_secs(120);
/// Changes that are remembered in order to recognize replayed ones.
const REMEMBERED: usize = 4_096;

/// A message of the stream.
#[derive(Debug, Clone)]
pub struct Change {
    /// Such as `execution.failed`. `missed`: changes were lost, and `data` states why.
    pub kind: String,
    pub data: Value,
}

impl Change {
    fn key(&self) -> String {
        let ids = ["execution_id", "enforcement_id", "event_id", "attempt", "seq"];
        let ids = ids.map(|name| self.data[name].to_string());
        format!("{} {}", self.kind, ids.join(" "))
    }
}

#[derive(Debug)]
pub struct Changes<'a> {
    transport: &'a Transport,
    query: Vec<(String, String)>,
    body: Option<Incoming>,
    parser: Parser,
    last_id: Option<String>,
    pause: Duration,
    seen: HashSet<String>,
    order: VecDeque<String>,
}

impl<'a> Changes<'a> {
    pub(crate) fn new(transport: &'a Transport, query: &[(String, String)]) -> Self {
        Self {
            transport,
            query: query.to_vec(),
            body: None,
            parser: Parser::default(),
            last_id: None,
            pause: Duration::from_secs(2),
            seen: HashSet::new(),
            order: VecDeque::new(),
        }
    }

    /// Connects, so that every later change is returned.
    pub async fn open(&mut self) -> Result<(), Error> {
        if self.body.is_none() {
            self.body = Some(self.connect().await?);
        }
        Ok(())
    }

    /// Waits for the next change. An error means that reconnecting is not possible.
    pub async fn next(&mut self) -> Result<Change, Error> {
        loop {
            if let Some(frame) = self.parser.pop() {
                if let Some(change) = self.accept(frame) {
                    return Ok(change);
                }
                continue;
            }
            match &mut self.body {
                None => self.reconnect().await?,
                Some(body) => match tokio::time::timeout(SILENCE, body.frame()).await {
                    Ok(Some(Ok(frame))) => {
                        if let Some(bytes) = frame.data_ref() {
                            self.parser.push(bytes);
                        }
                    }
                    Ok(None | Some(Err(_))) | Err(_) => self.lose(),
                },
            }
        }
    }

    fn lose(&mut self) {
        self.body = None;
        self.parser = Parser::default();
    }

    async fn reconnect(&mut self) -> Result<(), Error> {
        let started = Instant::now();
        loop {
            if self.last_id.is_some() {
                tokio::time::sleep(self.pause).await;
            }
            match self.connect().await {
                Ok(body) => {
                    self.body = Some(body);
                    return Ok(());
                }
                Err(error) if self.last_id.is_none() || started.elapsed() > PATIENCE || !is_passing(&error) => {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
    }

    async fn connect(&self) -> Result<Incoming, Error> {
        let mut request = Request::new(self.transport, Method::GET, "/api/v1/stream").queries(&self.query);
        request = request.header("accept", "text/event-stream");
        if let Some(id) = &self.last_id {
            request = request.header("last-event-id", id.clone());
        }
        let (status, _, body) = self.transport.open(&request.message).await?;
        if status < 400 {
            return Ok(body);
        }
        let body = body.collect().await.map_err(|error| self.transport.lost(&error))?;
        Err(Error::Refused(Box::new(Problem::of(status, &body.to_bytes()))))
    }

    /// The change of a frame, unless it is none or was returned already.
    fn accept(&mut self, frame: Frame) -> Option<Change> {
        if let Some(pause) = frame.retry {
            self.pause = pause;
        }
        if frame.id.is_some() {
            self.last_id = frame.id;
        }
        let kind = frame.event?;
        match kind.as_str() {
            "heartbeat" | "resumed" => return None,
            "end" => {
                self.lose();
                return None;
            }
            _ => {}
        }
        let data = serde_json::from_str(&frame.data).unwrap_or_default();
        let change = Change { kind, data };
        if change.kind == "missed" {
            return Some(change);
        }
        let known = !self.remember(change.key());
        (!known || change.data["replayed"] != true).then_some(change)
    }

    fn remember(&mut self, key: String) -> bool {
        if !self.seen.insert(key.clone()) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }
}

/// Whether the error may go away by itself.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. } => true,
        Error::Refused(problem) => problem.status == 429 || problem.status >= 500,
        Error::Setup(_) | Error::Unexpected(_) => false,
    }
}
