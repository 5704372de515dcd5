//! How actions run, derived from the configuration.

use crate::{
    code,
    runner::{
        self,
        isolation::{self, Access, Bounds, InEffect, Isolation, IsolationMode},
    },
    spool,
};
use anyhow::{Context as _, ensure};
use attune_common::{
    config::{Config, RunActionsAs, Worker, variable},
    saturating,
    service::Context,
    store::db,
};
use attune_domain::resources::Resources;
use nix::unistd::geteuid;
use serde_json::json;
use std::time::Duration;

/// Where this worker's actions run, and which installation it belongs to. Enough to clean up after a predecessor.
pub fn base(context: &Context) -> runner::Settings {
    let mut settings = runner::Settings {
        installation: db::place(&context.pool),
        sweep_interval: sweep_interval(context.config.worker.lease()),
        ..runner::Settings::default()
    };
    if let Some(directory) = &context.config.worker.work_dir {
        settings.scratch_directory.clone_from(directory);
    }
    settings
}

/// All settings. Chooses and prepares the isolation, which does not change afterwards.
pub fn load(context: &Context) -> anyhow::Result<(runner::Settings, InEffect)> {
    let config = &context.config;
    let worker = &config.worker;
    let mut settings = runner::Settings {
        bounds: bounds(worker)?,
        passed: passed(worker)?,
        ..base(context)
    };
    let (chosen, in_effect) = isolation::choose(isolation_mode(worker)?, access(config), &settings.scratch_directory)
        .context("failed to isolate actions")?;
    settings.templates_max = match &chosen {
        Isolation::Landlock(_) => 0,
        Isolation::None | Isolation::Users(_) => worker.python.templates_max,
    };
    settings.isolation = chosen;
    Ok((settings, in_effect))
}

fn sweep_interval(lease: Duration) -> Duration {
    runner::settings::SWEEP_INTERVAL
        .min(lease / 3)
        .max(Duration::from_millis(100))
}

/// Running actions as root must be configured explicitly.
fn isolation_mode(worker: &Worker) -> anyhow::Result<IsolationMode> {
    match (worker.run_actions_as, geteuid().is_root()) {
        (RunActionsAs::Isolated, _) => Ok(IsolationMode::Isolated {
            uid_base: worker.uid_base,
        }),
        (RunActionsAs::Root, true) | (RunActionsAs::Service, false) => Ok(IsolationMode::Off),
        (RunActionsAs::Service, true) => anyhow::bail!(
            "worker.run_actions_as is \"service\", but the worker runs as root; set it to \"root\" to run actions as root, or remove it"
        ),
        (RunActionsAs::Root, false) => anyhow::bail!(
            "worker.run_actions_as is \"root\", but the worker does not run as root; start it as root, or remove the setting"
        ),
    }
}

fn bounds(worker: &Worker) -> anyhow::Result<Bounds> {
    for (name, resources) in [
        ("resources", &worker.resources),
        ("resources_max", &worker.resources_max),
    ] {
        Resources::parse(&json!(resources)).with_context(|| format!("invalid worker.{name}"))?;
    }
    if let Some(excess) = worker.resources.excess(&worker.resources_max) {
        anyhow::bail!("worker.{excess} in worker.resources_max");
    }
    Ok(Bounds {
        defaults: worker.resources,
        max: worker.resources_max,
        slots: saturating::u64(worker.slots()),
    })
}

/// The variables of this process that are passed to actions.
fn passed(worker: &Worker) -> anyhow::Result<Vec<(String, String)>> {
    let mut passed = Vec::new();
    for name in &worker.pass_env {
        let reserved = name.is_empty() || name.starts_with("ATTUNE") || name.contains(['=', '\0']);
        ensure!(
            !reserved,
            "worker.pass_env contains {name:?}; must be a variable name that does not start with ATTUNE"
        );
        passed.extend(variable(name).map(|value| (name.clone(), value)));
    }
    Ok(passed)
}

/// The files that actions may access if they run as the worker's own user.
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
        packs: Some(code::folder(worker)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_workers_are_cleaned_up_after_within_a_lease() {
        assert_eq!(sweep_interval(Duration::from_secs(60)), Duration::from_secs(10));
        assert_eq!(sweep_interval(Duration::from_secs(6)), Duration::from_secs(2));
    }
}
