//! Turns a claimed execution into something that can run.

use crate::{
    actions::ActionCache,
    code::{Code, PackDir},
    conclude::RunResult,
    language::Language,
    log::Log,
    native::{Call, Http},
    runner::{Command, Invocation, RunControl, Runner, Stop},
};
use attune_common::{
    service::Context,
    store::{execution_queue::Claimed, rule_set::ActionRow},
};
use attune_domain::{
    definition::{EntryKind, OutputFormat, RuntimeKind},
    resources::Resources,
    variables,
};
use std::{sync::Arc, time::Duration};

/// An execution that is ready to run.
#[derive(Debug)]
pub enum Prepared {
    Process {
        invocation: Box<Invocation>,
        output_format: OutputFormat,
        language: Option<Language>,
        /// Keeps the files of the pack while it runs.
        code: Option<Arc<PackDir>>,
    },
    Native(Call),
}

/// Looks up the action and builds its invocation. The error is the end of the execution.
pub async fn prepare(
    context: &Context,
    actions: &ActionCache,
    code: &Code,
    execution: &Claimed,
    stop: &Stop,
) -> Result<Prepared, RunResult> {
    let hash = execution.pack_hash.as_deref();
    let action = actions.get(context, &execution.action_ref, hash, stop).await?;
    if action.runtime_kind == RuntimeKind::Native {
        return Ok(Prepared::Native(Call {
            name: action.entry_point.clone(),
            parameters: execution.parameters.clone(),
            timeout: timeout(execution),
        }));
    }
    let language = Language::of(action.runtime_kind);
    let code = match hash {
        Some(hash) => Some(code.get(context, hash, stop).await?),
        None => None,
    };
    let mut environment = vec![
        ("ATTUNE_ACTION".to_owned(), execution.action_ref.to_string()),
        ("ATTUNE_TRACE_ID".to_owned(), execution.trace_id.simple().to_string()),
    ];
    environment.extend(
        execution
            .rule_ref
            .as_ref()
            .map(|rule| ("ATTUNE_RULE".to_owned(), rule.to_string())),
    );
    environment.extend(
        execution
            .event_id
            .map(|event| ("ATTUNE_EVENT_ID".to_owned(), event.to_string())),
    );
    let command = command(&action, language, code.as_deref())?;
    let invocation = Invocation {
        execution_id: execution.id,
        attempt: u32::try_from(execution.attempt).unwrap_or(1),
        template: language.and_then(|language| language.template(&command)),
        command,
        pack_dir: code.as_ref().map(|code| code.path.clone()),
        environment,
        parameters: execution.parameters.clone(),
        variables: variables::of(&action.parameters_schema).map(str::to_owned).collect(),
        resources: resources(&action)?,
        timeout: timeout(execution),
        kill_grace: Duration::from_secs(context.config.worker.kill_grace_seconds),
    };
    Ok(Prepared::Process {
        invocation: Box::new(invocation),
        output_format: action.output_format,
        language,
        code,
    })
}

/// What the action's process executes: the runtime's command with the script, or with the path of a file of the pack.
fn command(action: &ActionRow, language: Option<Language>, code: Option<&PackDir>) -> Result<Command, RunResult> {
    let file = match (action.entry_kind, code) {
        (EntryKind::Text, _) => {
            return Ok(Command::Script {
                interpreter: match language {
                    Some(language) => language.interpreter(&action.command, "text"),
                    None => action.command.clone(),
                },
                text: action.entry_point.clone(),
            });
        }
        (EntryKind::File, Some(code)) => code.path.join(&action.entry_point),
        (EntryKind::File, None) => {
            let message = "its entry point is a file, but its pack carried none when this execution was created";
            return Err(RunResult::failed(format!("action {}: {message}", action.r#ref)));
        }
    };
    if !file.is_file() {
        return Err(RunResult::failed(format!(
            "action {}: its pack has no file {:?}",
            action.r#ref, action.entry_point
        )));
    }
    let interpreter = match language {
        Some(language) => language.interpreter(&action.command, "file"),
        None if action.file_command.is_empty() => action.command.clone(),
        None => action.file_command.clone(),
    };
    Ok(Command::Script {
        interpreter,
        text: file.to_string_lossy().into_owned(),
    })
}

fn timeout(execution: &Claimed) -> Duration {
    Duration::from_secs(u64::try_from(execution.timeout_seconds).unwrap_or(1))
}

fn resources(action: &ActionRow) -> Result<Resources, RunResult> {
    let Some(resources) = &action.resources else {
        return Ok(Resources::default());
    };
    resources
        .parse()
        .map_err(|errors| RunResult::failed(format!("action {} is misconfigured: {errors}", action.r#ref)))
}

impl Prepared {
    pub fn is_process(&self) -> bool {
        matches!(self, Self::Process { .. })
    }

    pub async fn run(self, runner: &Runner, http: &Http, control: RunControl, log: &Log) -> RunResult {
        match self {
            Self::Process {
                invocation,
                output_format,
                language,
                code,
            } => {
                let control = RunControl {
                    sink: Some(log.output_sink()),
                    ..control
                };
                let mut ended = runner.run(*invocation, control).await;
                if let Some(language) = language {
                    language.explain(&mut ended);
                }
                drop(code);
                log.complete(&ended.stdout, &ended.stderr).await;
                RunResult::of_process(ended, output_format)
            }
            Self::Native(call) => call.run(http, &control.stop).await,
        }
    }
}
