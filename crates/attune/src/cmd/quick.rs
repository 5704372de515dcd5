//! `attune quick`: an automation in one line. It creates an action, a rule and, if needed, a trigger, named `my.NAME`.

mod mine;
mod plan;

use super::{
    follow::{self, Lines},
    session::{Common, Session},
};
use crate::{
    failure::{Failure, code},
    view::{list::yaml, out},
};
use anyhow::Context as _;
use attune_client::{Changes, Error, Method};
use clap::{Args, Subcommand};
use plan::Plan;
use serde_json::json;

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  attune quick --every 10s -- echo hello
  attune quick --cron '30 2 * * *' --timezone Europe/Berlin -- ./backup.sh
  attune quick --webhook deploy --verify github -- ./deploy.sh
  attune quick --event acme.order --if 'payload.total > 100' -- ./notify.sh"
)]
pub struct Quick {
    #[command(subcommand)]
    pub command: Option<QuickCommand>,
    #[command(flatten)]
    pub when: When,
    /// Name [default: from the command]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Run only if this expression is true, such as 'payload.total > 100'
    #[arg(long = "if", value_name = "EXPRESSION")]
    pub condition: Option<String>,
    /// Print the definitions as YAML, and create nothing
    #[arg(long)]
    pub print: bool,
    /// Show the log of the first run [default: on a terminal, with --every]
    #[arg(long, short)]
    pub follow: bool,
    /// Command to run; a single word is a line for the shell
    #[arg(last = true, value_name = "COMMAND")]
    pub words: Vec<String>,
    #[command(flatten)]
    pub common: Common,
}

/// What starts the command.
#[derive(Debug, Args)]
pub struct When {
    /// Run at this interval, such as 10s or 5m
    #[arg(long, value_name = "DURATION")]
    pub every: Option<String>,
    /// Run at the times of a cron expression
    #[arg(long, value_name = "EXPRESSION")]
    pub cron: Option<String>,
    /// Run once, such as at 2027-01-20T15:00:00Z
    #[arg(long, value_name = "INSTANT")]
    pub at: Option<String>,
    /// Run on each request to a new webhook with this name
    #[arg(long, value_name = "NAME")]
    pub webhook: Option<String>,
    /// Run on each event of this trigger
    #[arg(long, value_name = "REF")]
    pub event: Option<String>,
    /// IANA time zone of the cron expression
    #[arg(long, value_name = "ZONE", requires = "cron")]
    pub timezone: Option<String>,
    /// How the webhook verifies its sender, such as github or none
    #[arg(long, value_name = "PROFILE", requires = "webhook")]
    pub verify: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum QuickCommand {
    /// List what `attune quick` has created
    List(Common),
    /// Remove an automation with its definitions
    Rm {
        /// Name, with or without `my.`
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
}

pub fn run(options: &Quick) -> anyhow::Result<()> {
    match &options.command {
        Some(QuickCommand::List(common)) => common.run(mine::list),
        Some(QuickCommand::Rm { names, common }) => common.run(async |session| {
            for name in names {
                mine::remove(session, name.strip_prefix("my.").unwrap_or(name)).await?;
            }
            Ok(())
        }),
        None => {
            let mut plan = Plan::of(options)?;
            if options.print {
                let documents = plan.documents();
                return documents
                    .iter()
                    .try_for_each(|document| out::text(&format!("---\n{}", yaml(document)?)));
            }
            options
                .common
                .run(async |session| create(session, options, &mut plan).await)
        }
    }
}

async fn create(session: &Session, options: &Quick, plan: &mut Plan) -> anyhow::Result<()> {
    match session
        .client
        .post("/api/v1/packs")
        .json(&json!({"ref": "my", "label": "My automations"}))?
        .send()
        .await
    {
        Ok(_) => {}
        Err(error) if error.status() == Some(409) => {}
        Err(error) => return Err(error.into()),
    }
    if options.name.is_none() && options.when.webhook.is_none() {
        free_name(session, plan).await?;
    }
    let name = plan.reference();
    let mut made: Vec<String> = Vec::new();
    // Opened before the rule exists, so that its first run is not missed.
    let mut changes = None;
    let created = async {
        for (path, document) in plan.objects() {
            if path.ends_with("/rules") && (options.follow || session.view.tty && options.when.every.is_some()) {
                changes = Some(watch(session, &name).await?);
            }
            let reply = session.client.post(path).json(document)?.send().await;
            let answer = reply.with_context(|| format!("{name} was not created"))?.json()?;
            made.push(format!("{path}/{name}"));
            crate::noun::warn(&answer);
            if let Some(url) = answer["data"]["webhook_url"].as_str() {
                out::line(url)?;
            }
        }
        anyhow::Ok(())
    };
    let created = created.await;
    if let Err(error) = created {
        for path in made.iter().rev() {
            // The first error is the one to report.
            let _ = session.client.request(Method::DELETE, path).send().await;
        }
        return Err(error);
    }
    eprintln!("created {name}; `attune quick rm {}` removes it", plan.name);
    if let Some(secret) = &plan.secret {
        eprintln!("secret of the webhook, shown only once: {secret}");
    }
    match changes {
        Some(changes) => first_run(session, changes).await,
        None => Ok(()),
    }
}

/// A name that no action has.
async fn free_name(session: &Session, plan: &mut Plan) -> anyhow::Result<()> {
    let base = plan.name.clone();
    for number in 2..1_000 {
        match session
            .client
            .get(&format!("/api/v1/actions/{}", plan.reference()))
            .send()
            .await
        {
            Err(error) if error.status() == Some(404) => return Ok(()),
            Err(error) => return Err(error.into()),
            Ok(_) => plan.rename(&format!("{base}_{number}")),
        }
    }
    Err(Failure::new(code::CONFLICT, "no name is free; choose one with --name").into())
}

async fn watch<'a>(session: &'a Session, action: &str) -> Result<Changes<'a>, Error> {
    let query =
        [("kind", "execution"), ("action_ref", action)].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut changes = session.client.changes(&query);
    changes.open().await?;
    Ok(changes)
}

async fn first_run(session: &Session, mut changes: Changes<'_>) -> anyhow::Result<()> {
    eprintln!("waiting for the first run; Ctrl-C leaves it running");
    let waiting = async {
        let id = loop {
            if let Some(id) = changes.next().await?.data["execution_id"].as_str() {
                break id.to_owned();
            }
        };
        follow::log(session, &id, &mut Lines::default()).await?;
        follow::end(session, &id).await
    };
    tokio::select! {
        ended = waiting => {
            let execution = ended?;
            follow::report(session, &execution);
            follow::ended(execution.status)
        }
        _ = tokio::signal::ctrl_c() => Err(Failure::silent(code::INTERRUPTED).into()),
    }
}
