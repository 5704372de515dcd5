//! Follows an execution to its end: prints its log, and returns how it ended.

use super::session::Session;
use crate::{
    failure::{Failure, code},
    view::{
        cell::{for_terminal, one_line},
        moment::Zone,
        out,
    },
};
use attune_client::Error;
use attune_domain::{execution::ExecutionStatus, occurrence::Execution};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How long a restart of the server may take.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(500);

/// How log lines are printed.
#[derive(Debug, Default)]
pub struct Lines {
    /// The time in front of each line.
    pub times: bool,
    /// A text in front of each line.
    pub prefix: String,
    /// Only this stream.
    pub stream: Option<&'static str>,
    pub attempt: Option<i64>,
    /// The beginning of a line whose end has not arrived, by stream.
    pub open: BTreeMap<String, String>,
}

impl Lines {
    pub fn piece(&mut self, session: &Session, piece: &Value) -> anyhow::Result<()> {
        let stream = piece["stream"].as_str().unwrap_or_default();
        let other_stream = self.stream.is_some_and(|wanted| wanted != stream);
        if other_stream || self.attempt.is_some_and(|attempt| piece["attempt"] != attempt) {
            return Ok(());
        }
        let text = piece["text"].as_str().unwrap_or_default();
        if !self.times && self.prefix.is_empty() {
            return show(session, text);
        }
        let open = self.open.entry(stream.to_owned()).or_default();
        open.push_str(text);
        let Some(end) = open.rfind('\n') else { return Ok(()) };
        let rest = open.split_off(end + 1);
        let lines = std::mem::replace(open, rest);
        self.print(session, &lines, piece["at"].as_str())
    }

    /// Prints what has no line break at its end.
    pub fn end(&mut self, session: &Session) -> anyhow::Result<()> {
        for (_, rest) in std::mem::take(&mut self.open) {
            self.print(session, &rest, None)?;
        }
        Ok(())
    }

    fn print(&self, session: &Session, lines: &str, at: Option<&str>) -> anyhow::Result<()> {
        let at = at.and_then(|at| at.parse::<DateTime<Utc>>().ok());
        let zone = session
            .view
            .zone
            .unwrap_or(if session.view.tty { Zone::Mine } else { Zone::Utc });
        let at = match at {
            Some(at) if self.times => format!("{}  ", zone.clock(at)),
            _ => String::new(),
        };
        let prefix = &self.prefix;
        for line in lines.lines() {
            show(session, &format!("{at}{prefix}{line}\n"))?;
        }
        Ok(())
    }
}

fn show(session: &Session, text: &str) -> anyhow::Result<()> {
    if session.view.tty {
        out::text(&for_terminal(text))
    } else {
        out::text(text)
    }
}

/// Prints the log of an execution until it has ended.
pub async fn log(session: &Session, id: &str, lines: &mut Lines) -> anyhow::Result<()> {
    let mut after = String::new();
    loop {
        let page: Value = patiently(async || {
            let path = format!("/api/v1/executions/{id}/logs");
            let request = session.client.get(&path).query("follow", "true");
            let request = if after.is_empty() {
                request
            } else {
                request.query("after", &after)
            };
            request.data().await
        })
        .await?;
        for piece in page["logs"].as_array().into_iter().flatten() {
            lines.piece(session, piece)?;
        }
        page["next"].as_str().unwrap_or_default().clone_into(&mut after);
        if page["complete"] == true {
            return lines.end(session);
        }
    }
}

/// Waits for the end of an execution.
pub async fn end(session: &Session, id: &str) -> anyhow::Result<Execution> {
    let mut pause = POLL;
    loop {
        let path = format!("/api/v1/executions/{id}");
        let execution: Execution = patiently(async || session.client.get(&path).data().await).await?;
        if execution.status.is_terminal() {
            return Ok(execution);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(POLL * 4);
    }
}

/// Repeats a request while the server restarts.
pub async fn patiently<T>(request: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
    let started = Instant::now();
    loop {
        match request().await {
            Err(Error::Unreachable { .. }) if started.elapsed() < PATIENCE => tokio::time::sleep(POLL).await,
            Err(Error::Refused(problem)) if problem.status >= 500 && started.elapsed() < PATIENCE => {
                tokio::time::sleep(POLL).await;
            }
            ended => return ended,
        }
    }
}

/// One line about the end, on standard error.
pub fn report(session: &Session, execution: &Execution) {
    let id = execution.id;
    let good = execution.status == ExecutionStatus::Succeeded;
    let took = execution.started_at.zip(execution.finished_at);
    let took = took.map_or(String::new(), |(from, to)| {
        let seconds = to.signed_duration_since(from).as_seconds_f64();
        format!(" after {seconds:.1} s")
    });
    let error = execution
        .error
        .as_deref()
        .filter(|error| *error != execution.status.as_str());
    let why = error.map(|error| format!(": {error}")).unwrap_or_default();
    let mark = session.view.mark(good);
    let (status, attempt) = (execution.status, execution.attempt);
    eprintln!("{mark} {status}{took}{} · attempt {attempt}", one_line(&why));
    if !good {
        eprintln!("  attune why {id} · attune execution rerun {id}");
    }
}

/// The exit code of `--wait` and `--follow`.
pub fn outcome(status: ExecutionStatus) -> u8 {
    match status {
        ExecutionStatus::Succeeded => 0,
        ExecutionStatus::TimedOut => 11,
        ExecutionStatus::Canceled => 12,
        ExecutionStatus::Lost => 13,
        ExecutionStatus::Skipped => 14,
        _ => 10,
    }
}

pub fn ended(status: ExecutionStatus) -> anyhow::Result<()> {
    match outcome(status) {
        0 => Ok(()),
        code => Err(Failure::silent(code).into()),
    }
}

/// Runs until Ctrl-C, which leaves the execution alone unless `cancel` is set.
pub async fn until_interrupted<T>(
    session: &Session,
    id: &str,
    cancel: bool,
    waiting: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::select! {
        ended = waiting => ended,
        _ = tokio::signal::ctrl_c() => {
            if cancel {
                session.client.post(&format!("/api/v1/executions/{id}/cancel")).send().await?;
                eprintln!("canceled the execution {id}");
            } else {
                eprintln!("the execution {id} continues; `attune logs -f {id}` follows it, `attune execution cancel {id}` stops it");
            }
            Err(Failure::silent(code::INTERRUPTED).into())
        }
    }
}
