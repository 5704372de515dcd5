//! What an action cannot reach, and how much it can use (docs/decisions/0013-isolation.md).
//!
//! A service that runs as root gives every running action a user id of its own (`users`): files, signals and `/proc` of
//! the service and of other actions are then closed by the kernel's oldest rules. A service of an ordinary user starts
//! every action in a Landlock domain of its own (`files`). Either way resource limits hold (`limits`).

pub(super) mod files;
pub(super) mod limits;
pub(super) mod users;

pub use limits::Bounds;

use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use users::Users;

/// How actions are kept apart; chosen once, when the worker starts.
#[derive(Debug, Clone, Default)]
pub enum Isolation {
    /// They run as the service's own user and reach what it reaches.
    #[default]
    None,
    /// Each runs as a user of its own.
    Users(Arc<Users>),
    /// Each runs in a Landlock domain of its own.
    Landlock(Access),
}

/// What actions in a Landlock domain may reach apart from their scratch directories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    pub readable: Vec<PathBuf>,
    pub writable: Vec<PathBuf>,
    /// Closed, also where they lie inside of something readable or writable.
    pub hidden: Vec<PathBuf>,
}

/// What was reached, as health and the list of workers show it; null is "not reached".
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reached {
    /// `per_slot`: actions run as users of their own.
    pub user: Option<&'static str>,
    /// `files`, or with Linux 6.12 and newer `files_and_signals`: what is closed to actions.
    pub landlock: Option<&'static str>,
    /// Always null for now: limits are those of `setrlimit`.
    pub cgroup: Option<&'static str>,
}

/// What a worker is told to do about isolation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// As well as this user and this kernel can.
    Isolated { uid_base: u32 },
    /// Nothing: a setting says so.
    Nothing,
}

/// Finds out what is possible here, and prepares it. What is not possible is a warning.
pub fn choose(wanted: Wanted, access: Access, scratch: &Path) -> std::io::Result<(Isolation, Reached)> {
    let mut reached = Reached {
        user: None,
        landlock: None,
        cgroup: None,
    };
    let Wanted::Isolated { uid_base } = wanted else {
        tracing::warn!(
            "actions run as the worker's own user and reach all that it reaches: worker.run_actions_as says so"
        );
        return Ok((Isolation::None, reached));
    };
    if geteuid().is_root() {
        match Users::open(uid_base) {
            Ok(users) => {
                users::check_way(scratch)?;
                reached.user = Some("per_slot");
                return Ok((Isolation::Users(Arc::new(users)), reached));
            }
            Err(error) => tracing::warn!(
                %error,
                uid_base,
                "actions cannot run as users of their own; set worker.uid_base to ids that this system may use"
            ),
        }
    }
    reached.landlock = files::supported();
    match reached.landlock {
        Some(files::FILES_AND_SIGNALS) => {}
        Some(_) => tracing::warn!(
            "actions can send signals to processes of the worker's user: this kernel is older than Linux 6.12; run the worker as root to give actions users of their own"
        ),
        None => {
            tracing::warn!(
                "actions run as the worker's own user and reach all that it reaches: this kernel has no Landlock; run the worker as root to give actions users of their own"
            );
            return Ok((Isolation::None, reached));
        }
    }
    Ok((Isolation::Landlock(access), reached))
}

/// What actions in a Landlock domain may read on every system.
pub fn readable() -> impl Iterator<Item = PathBuf> {
    files::READABLE.iter().map(PathBuf::from)
}

/// What the supervisor is told on its command line.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Plan {
    /// None: no Landlock.
    pub access: Option<Access>,
    pub bounds: Bounds,
}
