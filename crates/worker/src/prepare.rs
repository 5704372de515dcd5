//! Turns a claimed execution into something that can run.

use crate::{
    actions::ActionCache,
    code::{Code, PackDir},
    conclude::RunResult,
    language::Language,
    log::Log,
    native::{Call, Http},
    redact::Redactor,
    runner::{Command, Invocation, RunControl, Runner, Stop},
    secrets::{self, Denied, Opened, Used},
};
use attune_common::{
    pool_key::PoolKeys,
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
        used: Used,
    },
    Native {
        call: Call,
        used: Used,
    },
}

/// What a worker has for all its executions. Clones share it.
#[derive(Clone)]
pub struct Equipment {
    pub actions: Arc<ActionCache>,
    code: Code,
    /// Opens secrets.
    keys: Option<Arc<PoolKeys>>,
    http: Arc<Http>,
}

impl Equipment {
    pub fn new(context: &Context, code: Code, keys: Option<Arc<PoolKeys>>) -> Self {
        Self {
            actions: Arc::default(),
            code,
            keys,
            http: Arc::new(Http::new(&context.config.worker.http)),
        }
    }
}

/// Looks up the action, opens its secrets and builds its invocation. The error is the end of the execution.
pub async fn prepare(
    context: &Context,
    equipment: &Equipment,
    execution: &Claimed,
    stop: &Stop,
) -> Result<Prepared, Denied> {
    let keys = equipment.keys.as_deref();
    let hash = execution.pack_hash.as_deref();
    let action = equipment
        .actions
        .get(context, &execution.action_ref, hash, stop)
        .await?;
    if action.runtime_kind == RuntimeKind::Native {
        let opened = secrets::open(context, keys, &action, execution, stop).await?;
        let call = Call {
            name: action.entry_point.clone(),
            parameters: opened.parameters,
            redactor: opened.redactor,
            timeout: timeout(execution),
        };
        let used = opened.used;
        return Ok(Prepared::Native { call, used });
    }
    let language = Language::of(action.runtime_kind);
    let code = match hash {
        Some(hash) => Some(equipment.code.get(context, hash, stop).await?),
        None => None,
    };
    let mut environment = facts(execution);
    let command = command(&action, language, code.as_deref())?;
    let limits = resources(&action)?;
    let Opened {
        parameters,
        environment: secret_environment,
        files,
        redactor,
        used,
    } = secrets::open(context, keys, &action, execution, stop).await?;
    environment.extend(secret_environment);
    let invocation = Invocation {
        execution_id: execution.id,
        attempt: u32::try_from(execution.attempt).unwrap_or(1),
        template: language.and_then(|language| language.template(&command)),
        command,
        pack_dir: code.as_ref().map(|code| code.path.clone()),
        environment,
        parameters,
        files,
        redactor,
        variables: variables::of(&action.parameters_schema).map(str::to_owned).collect(),
        resources: limits,
        timeout: timeout(execution),
        kill_grace: Duration::from_secs(context.config.worker.kill_grace_seconds),
    };
    Ok(Prepared::Process {
        invocation: Box::new(invocation),
        output_format: action.output_format,
        language,
        code,
        used,
    })
}

/// The variables that tell an action why it runs.
fn facts(execution: &Claimed) -> Vec<(String, String)> {
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
    environment
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

    /// Runs it. Also returns which secrets it used.
    pub async fn run(
        self,
        runner: &Runner,
        equipment: &Equipment,
        control: RunControl,
        log: &Log,
    ) -> (RunResult, Used) {
        match self {
            Self::Process {
                invocation,
                output_format,
                language,
                code,
                used,
            } => {
                let control = RunControl {
                    sink: Some(log.output_sink()),
                    ..control
                };
                let redactor: Option<Arc<Redactor>> = invocation.redactor.clone();
                let mut ended = runner.run(*invocation, control).await;
                if let Some(language) = language {
                    language.explain(&mut ended);
                }
                drop(code);
                log.complete(&ended.stdout, &ended.stderr).await;
                let result = RunResult::of_process(ended, output_format);
                let result = match redactor {
                    Some(redactor) => result.redacted(&redactor),
                    None => result,
                };
                (result, used)
            }
            Self::Native { call, used } => (call.run(&equipment.http, &control.stop).await, used),
        }
    }
}
