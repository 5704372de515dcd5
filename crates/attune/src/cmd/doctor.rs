//! `attune doctor`: checks an installation, and names a command for each problem.

use super::{
    session::{Common, Session, block_on},
    status::{self, Part},
};
use crate::{
    ctx::local,
    failure::{Failure, code, described},
    noun::pool_rows,
    view::cell::plain,
};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde_json::Value;
use std::{os::unix::fs::MetadataExt as _, path::Path, time::Duration};

/// More skew confuses people who compare times.
const SKEW_MAX: TimeDelta = TimeDelta::seconds(5);
/// A timer that is later than this is overdue.
const OVERDUE: TimeDelta = TimeDelta::seconds(30);
/// A service that fails answers 503, which is retried.
const HEALTH: Duration = Duration::from_secs(5);
const FREE_PERCENT_MIN: u64 = 10;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  attune doctor
  attune doctor -o json
  attune doctor --data-dir /var/lib/attune

Exit codes:
  0  everything is in order
  1  something is not")]
pub struct Doctor {
    #[command(flatten)]
    pub common: Common,
}

pub fn run(options: &Doctor) -> anyhow::Result<()> {
    let common = &options.common;
    let mut parts = Vec::new();
    let folder = common.api.data_dir.clone().unwrap_or_else(|| "attune-data".into());
    if folder.is_dir() {
        parts.push(modes(&folder));
        parts.push(disk(&folder));
    }
    let client = common.api.client();
    let session = match client {
        Ok(client) => Session {
            client,
            view: common.output.view(),
        },
        Err(error) => {
            let text = described(&error, false).unwrap_or_default();
            parts.push(part("sign-in", false, text, "attune login URL"));
            let settings = attune_client::Settings::new(&common.api.target()?.url);
            Session {
                client: attune_client::Client::new(settings)?,
                view: common.output.view(),
            }
        }
    };
    block_on(common.api.timeout, async {
        remote(&session, &mut parts).await;
        status::print(&session, &parts)?;
        if parts.iter().all(|part| part.good) {
            return Ok(());
        }
        Err(Failure::silent(code::NO).into())
    })
}

const fn part(name: &'static str, good: bool, text: String, next: &'static str) -> Part {
    Part {
        name,
        good,
        text,
        next: Some(next),
    }
}

/// The files in the data directory belong to their owner alone.
fn modes(folder: &Path) -> Part {
    let open = |path: &Path| std::fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o077 != 0);
    let files = [
        folder.to_owned(),
        local::file(folder),
        folder.join("secrets.json"),
        folder.join("admin-password"),
    ];
    let open: Vec<String> = files
        .iter()
        .filter(|file| open(file))
        .map(|file| file.display().to_string())
        .collect();
    let text = if open.is_empty() {
        format!("{} belongs to its owner alone", folder.display())
    } else {
        format!("others may read {}", open.join(", "))
    };
    part("file modes", open.is_empty(), text, "chmod -R go= DIR")
}

fn disk(folder: &Path) -> Part {
    let Ok(space) = nix::sys::statvfs::statvfs(folder) else {
        return part(
            "disk",
            false,
            format!("{} cannot be checked", folder.display()),
            "df -h DIR",
        );
    };
    let percent = space.blocks_available().saturating_mul(100) / space.blocks().max(1);
    let text = format!("{percent} % free at {}", folder.display());
    part("disk", percent >= FREE_PERCENT_MIN, text, "attune retention list")
}

async fn remote(session: &Session, parts: &mut Vec<Part>) {
    let reply = match session.client.get("/").send().await {
        Ok(reply) => reply,
        Err(error) => {
            parts.push(part("reachable", false, error.to_string(), "attune up"));
            return;
        }
    };
    parts.push(part("reachable", true, session.client.url().to_owned(), ""));
    let welcome = reply.json().unwrap_or_default();
    let server = plain(&welcome["data"]["version"]);
    let mine = env!("CARGO_PKG_VERSION");
    let text = format!("server {server}, this program {mine}");
    parts.push(part(
        "version",
        server == mine,
        text,
        "install the same version of both",
    ));
    if let Some(date) = reply
        .header("date")
        .and_then(|date| DateTime::parse_from_rfc2822(date).ok())
    {
        let skew = date.to_utc() - session.view.now;
        let text = format!("the server's clock differs by {} s", skew.num_seconds());
        parts.push(part("clock", skew.abs() <= SKEW_MAX, text, "timedatectl status"));
    }
    parts.push(health(session).await);
    match signed_in(session).await {
        Ok(more) => parts.extend(more),
        Err(error) => {
            let text = described(&error, false).unwrap_or_default();
            parts.push(part("details", false, text, "attune whoami"));
        }
    }
}

async fn health(session: &Session) -> Part {
    let health = session.client.get("/health").timeout(HEALTH).send().await;
    let health = health.and_then(|reply| reply.json());
    let (good, text) = match health {
        Ok(health) => {
            let parts = health.as_object().into_iter().flatten();
            let bad = parts.filter(|(_, part)| part["status"].is_string() && part["status"] != "ok");
            let bad: Vec<String> = bad
                .map(|(name, part)| format!(", {name} is {}", plain(&part["status"])))
                .collect();
            let status = plain(&health["status"]);
            (status == "ok", format!("{status}{}", bad.concat()))
        }
        Err(error) => (false, error.to_string()),
    };
    part("health", good, text, "attune service list -o wide")
}

async fn signed_in(session: &Session) -> anyhow::Result<Vec<Part>> {
    let services: Vec<Value> = session.client.get("/api/v1/services").data().await?;
    let timers = status::rows(session, "/api/v1/timers", &[]).await?;
    let quarantined = status::rows(session, "/api/v1/queue", &[]).await?;
    let pools = pool_rows(session).await?;
    let text = format!("{} events are quarantined", quarantined.len());
    Ok(vec![
        status::of_services(&services),
        status::of_timers(&timers),
        overdue(&timers, session.view.now),
        part("quarantine", quarantined.is_empty(), text, "attune queue list"),
        unserved(&pools),
    ])
}

fn overdue(timers: &[Value], now: DateTime<Utc>) -> Part {
    let late = |timer: &&Value| {
        let next = timer["next_fire_at"]
            .as_str()
            .and_then(|next| next.parse::<DateTime<Utc>>().ok());
        timer["enabled"] == true && next.is_some_and(|next| next + OVERDUE < now)
    };
    let late: Vec<String> = timers
        .iter()
        .filter(late)
        .map(|timer| plain(&timer["trigger_ref"]))
        .collect();
    let text = if late.is_empty() {
        "no timer is overdue".to_owned()
    } else {
        format!("overdue: {}", late.join(", "))
    };
    part("punctuality", late.is_empty(), text, "attune service list")
}

/// Pools that actions name and no worker serves.
fn unserved(pools: &[Value]) -> Part {
    let without = pools.iter().filter(|pool| pool["workers"] == 0 && pool["actions"] != 0);
    let without: Vec<String> = without.map(|pool| plain(&pool["pool"])).collect();
    let text = if without.is_empty() {
        "each pool has a worker".to_owned()
    } else {
        format!("no worker serves {}", without.join(", "))
    };
    part("pools", without.is_empty(), text, "attune pool list")
}
