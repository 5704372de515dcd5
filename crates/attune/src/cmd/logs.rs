//! `attune logs`: the output of an execution, or of all executions of a rule.

use super::{
    follow::{self, Lines},
    session::{Common, Session},
};
use crate::failure::Failure;
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  attune logs 019ab3f4-5c21-7e0f-9d1c-2f3a4b5c6d7e
  attune logs -f 019ab3f4-5c21-7e0f-9d1c-2f3a4b5c6d7e --times
  attune logs -f --rule core.hello")]
pub struct Logs {
    /// Id of an execution
    #[arg(value_name = "ID", required_unless_present = "rule")]
    pub id: Option<Uuid>,
    /// Wait for more until the execution has ended
    #[arg(long, short)]
    pub follow: bool,
    /// Follow all executions of this rule
    #[arg(long, value_name = "REF", conflicts_with_all = ["id", "attempt", "tail"], requires = "follow")]
    pub rule: Option<String>,
    /// Only this attempt
    #[arg(long, value_name = "N")]
    pub attempt: Option<i64>,
    /// Only the last lines
    #[arg(long, value_name = "LINES", conflicts_with = "follow")]
    pub tail: Option<usize>,
    /// Only standard error
    #[arg(long)]
    pub stderr: bool,
    /// Show the time of each line
    #[arg(long)]
    pub times: bool,
    #[command(flatten)]
    pub common: Common,
}

impl Logs {
    fn lines(&self, prefix: String) -> Lines {
        Lines {
            times: self.times,
            prefix,
            stream: self.stderr.then_some("stderr"),
            attempt: self.attempt,
            ..Lines::default()
        }
    }
}

pub fn run(options: &Logs) -> anyhow::Result<()> {
    options.common.run(async |session| match (&options.rule, options.id) {
        (Some(rule), _) => of_rule(session, options, rule).await,
        (None, Some(id)) => of_execution(session, options, &id.to_string()).await,
        (None, None) => Err(Failure::usage("give the id of an execution, or --rule").into()),
    })
}

async fn of_execution(session: &Session, options: &Logs, id: &str) -> anyhow::Result<()> {
    let mut lines = options.lines(String::new());
    if options.follow {
        let waiting = async {
            follow::log(session, id, &mut lines).await?;
            follow::end(session, id).await
        };
        let execution = follow::until_interrupted(session, id, false, waiting).await?;
        return follow::ended(execution.status);
    }
    let page: Value = session
        .client
        .get(&format!("/api/v1/executions/{id}/logs"))
        .data()
        .await?;
    let mut pieces = page["logs"].as_array().cloned().unwrap_or_default();
    if let Some(tail) = options.tail {
        keep_tail(&mut pieces, tail, options.stderr);
    }
    for piece in &pieces {
        lines.piece(session, piece)?;
    }
    lines.end(session)
}

/// Keeps the last lines, counted from the end of the last piece.
fn keep_tail(pieces: &mut Vec<Value>, mut lines: usize, only_stderr: bool) {
    pieces.retain(|piece| !only_stderr || piece["stream"] == "stderr");
    for index in (0..pieces.len()).rev() {
        let text = pieces[index]["text"].as_str().unwrap_or_default().to_owned();
        let all: Vec<&str> = text.split_inclusive('\n').collect();
        if all.len() >= lines {
            pieces[index]["text"] = json!(all[all.len() - lines..].concat());
            pieces.drain(..index);
            return;
        }
        lines -= all.len();
    }
}

/// Each line begins with the end of its execution's id.
async fn of_rule(session: &Session, options: &Logs, rule: &str) -> anyhow::Result<()> {
    let query =
        [("rule_ref", rule), ("kind", "execution.log")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut changes = session.client.changes(&query);
    let mut open: BTreeMap<String, Lines> = BTreeMap::new();
    loop {
        let change = changes.next().await?;
        if change.kind == "missed" {
            eprintln!(
                "some output was missed: {}",
                change.data["reason"].as_str().unwrap_or("the stream was interrupted")
            );
            continue;
        }
        let id = change.data["execution_id"].as_str().unwrap_or_default();
        let short = &id[id.len().saturating_sub(6)..];
        let lines = open
            .entry(id.to_owned())
            .or_insert_with(|| options.lines(format!("{short}  ")));
        lines.piece(session, &change.data)?;
        // The oldest executions have ended long ago.
        if open.len() > 1_000 {
            open.pop_first();
        }
    }
}

#[test]
fn the_tail_of_a_log_has_whole_lines() {
    let mut pieces = vec![
        json!({"stream": "stdout", "text": "1\n2\n"}),
        json!({"stream": "stderr", "text": "e\n"}),
        json!({"stream": "stdout", "text": "3\n4\n"}),
    ];
    let mut all = pieces.clone();
    keep_tail(&mut all, 4, false);
    let text: String = all.iter().filter_map(|piece| piece["text"].as_str()).collect();
    assert_eq!(text, "2\ne\n3\n4\n");
    keep_tail(&mut pieces, 5, true);
    assert_eq!(pieces, [json!({"stream": "stderr", "text": "e\n"})]);
}
