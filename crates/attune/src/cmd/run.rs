//! `attune run`: runs an action, and follows it if requested.

use super::{
    follow::{self, Lines},
    input,
    session::{Common, Session},
};
use crate::{
    failure::Failure,
    noun::table,
    view::{list, out, term::Format},
};
use anyhow::Context as _;
use attune_domain::{ActionRef, occurrence::Execution};
use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  attune run core.echo message=hello
  attune run core.sleep seconds:=3 --wait
  attune run acme.import @parameters.json -f

Exit codes with --wait or --follow:
  0 succeeded   10 failed   11 timed out   12 canceled   13 lost   14 skipped   130 Ctrl-C (the execution continues)")]
#[expect(clippy::struct_excessive_bools, reason = "independent options")]
pub struct Run {
    /// Ref of the action
    #[arg(value_name = "ACTION")]
    pub action: ActionRef,
    #[arg(value_name = "FIELD", help = input::HELP)]
    pub fields: Vec<String>,
    /// Show the log until the execution has ended
    #[arg(long, short)]
    pub follow: bool,
    /// Wait for the end
    #[arg(long)]
    pub wait: bool,
    /// Wait for the end, and print only the output of the action as JSON
    #[arg(long)]
    pub json_output: bool,
    /// Exit with the exit code of the action
    #[arg(long)]
    pub exit_code_of_action: bool,
    /// Cancel the execution on Ctrl-C
    #[arg(long)]
    pub cancel_on_interrupt: bool,
    /// Key with which the server recognizes a repetition of this command
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    #[command(flatten)]
    pub common: Common,
}

pub fn run(options: &Run) -> anyhow::Result<()> {
    let parameters = Value::Object(input::fields(&options.fields, false)?);
    options
        .common
        .run(async |session| start(session, options, parameters).await)
}

async fn start(session: &Session, options: &Run, parameters: Value) -> anyhow::Result<()> {
    let key = options
        .idempotency_key
        .clone()
        .unwrap_or_else(|| Uuid::now_v7().to_string());
    let body = json!({"action_ref": options.action, "parameters": parameters});
    let made = session
        .client
        .post("/api/v1/executions")
        .idempotency_key(key)
        .json(&body)?
        .send()
        .await
        .with_context(|| format!("{} was not started", options.action))?;
    let id = made.data::<Execution>()?.id.to_string();
    if !(options.follow || options.wait || options.json_output || options.exit_code_of_action) {
        return match session.view.format {
            Format::Table | Format::Name => out::line(&id),
            _ => list::one(&made.data()?, table::EXECUTION.shape(), &session.view),
        };
    }
    eprintln!("execution {id}  {}", options.action);
    let waiting = async {
        if options.follow {
            let mut lines = Lines {
                times: session.view.tty,
                ..Lines::default()
            };
            follow::log(session, &id, &mut lines).await?;
        }
        follow::end(session, &id).await
    };
    let execution = follow::until_interrupted(session, &id, options.cancel_on_interrupt, waiting).await?;
    if options.json_output {
        let output = execution
            .result
            .as_ref()
            .map_or(&Value::Null, |result| &result["output"]);
        out::json(output)?;
    } else if !options.follow && !matches!(session.view.format, Format::Table) {
        list::one(&json!(execution), table::EXECUTION.shape(), &session.view)?;
    }
    follow::report(session, &execution);
    match execution.exit_code.filter(|_| options.exit_code_of_action) {
        Some(0) => Ok(()),
        // Negative or larger codes do not exist on this platform.
        Some(code) => Err(Failure::silent(u8::try_from(code).unwrap_or(1)).into()),
        None => follow::ended(execution.status),
    }
}
