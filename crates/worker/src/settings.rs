//! From the configuration to how actions are run.

use crate::{
    runner::{
        self,
        isolation::{self, Access, Bounds, Reached, Wanted},
    },
    spool,
};
use anyhow::{Context as _, ensure};
use attune_common::{
    config::{Config, RunActionsAs, Worker, variable},
    service::Context,
    store::db,
};
use attune_domain::resources::Resources;
use nix::unistd::geteuid;
use serde_json::json;

/// Where this worker's actions run, and which installation it belongs to. Enough to clear up after a predecessor.
pub fn place(context: &Context) -> runner::Settings {
    let mut settings = runner::Settings {
        installation: db::place(&context.pool),
        ..runner::Settings::default()
    };
    if let Some(directory) = &context.config.worker.work_dir {
        settings.scratch_directory.clone_from(directory);
    }
    settings
}

/// Prepares isolation on the way: it is chosen once.
pub fn of(context: &Context) -> anyhow::Result<(runner::Settings, Reached)> {
    let config = &context.config;
    let worker = &config.worker;
    let mut settings = runner::Settings {
        bounds: bounds(worker)?,
        passed: passed(worker)?,
        ..place(context)
    };
    let (chosen, reached) = isolation::choose(wanted(worker)?, access(config), &settings.scratch_directory)
        .context("failed to isolate actions")?;
    settings.isolation = chosen;
    Ok((settings, reached))
}

/// Root must be named: nobody runs actions as root by accident.
fn wanted(worker: &Worker) -> anyhow::Result<Wanted> {
    match (worker.run_actions_as, geteuid().is_root()) {
        (RunActionsAs::Isolated, _) => Ok(Wanted::Isolated {
            uid_base: worker.uid_base,
        }),
        (RunActionsAs::Root, true) | (RunActionsAs::Service, false) => Ok(Wanted::Nothing),
        (RunActionsAs::Service, true) => anyhow::bail!(
            "worker.run_actions_as is \"service\", and the service runs as root: write \"root\" if actions should be root, or leave it out"
        ),
        (RunActionsAs::Root, false) => anyhow::bail!(
            "worker.run_actions_as is \"root\", and the worker does not run as root: start it as root, or leave the setting out"
        ),
    }
}

fn bounds(worker: &Worker) -> anyhow::Result<Bounds> {
    for (name, resources) in [
        ("resources", &worker.resources),
        ("resources_max", &worker.resources_max),
    ] {
        Resources::parse(&json!(resources)).with_context(|| format!("worker.{name} cannot be used"))?;
    }
    if let Some(excess) = worker.resources.excess(&worker.resources_max) {
        anyhow::bail!("worker.{excess} in worker.resources_max");
    }
    Ok(Bounds {
        usual: worker.resources,
        most: worker.resources_max,
        slots: worker.slots().try_into().unwrap_or(u64::MAX),
    })
}

/// Variables that this process has and that actions are to see.
fn passed(worker: &Worker) -> anyhow::Result<Vec<(String, String)>> {
    let mut passed = Vec::new();
    for name in &worker.pass_env {
        let reserved = name.is_empty() || name.starts_with("ATTUNE") || name.contains(['=', '\0']);
        ensure!(
            !reserved,
            "worker.pass_env names {name:?}: variables of Attune's own are never passed on"
        );
        passed.extend(variable(name).map(|value| (name.clone(), value)));
    }
    Ok(passed)
}

/// What actions may reach where they run as the worker's own user.
fn access(config: &Config) -> Access {
    let worker = &config.worker;
    let mut hidden = worker.hidden.clone();
    hidden.extend(config.private().iter().cloned());
    hidden.push(spool::folder(worker));
    hidden.extend(worker.work_dir.iter().cloned());
    Access {
        readable: isolation::readable().chain(worker.readable.iter().cloned()).collect(),
        writable: worker.writable.clone(),
        hidden,
    }
}
