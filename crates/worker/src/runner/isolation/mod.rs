//! What an action can access, and how many resources it can use (docs/decisions/0013-isolation.md).
//!
//! A worker that runs as root gives every running action a user id of its own (`users`), which protects the files, signals and
//! `/proc` entries of the worker and of other actions. A worker of an ordinary user starts every action in a Landlock domain of
//! its own (`files`). Resource limits apply in both cases (`limits`).

pub(super) mod files;
pub(super) mod limits;
pub(super) mod shared;
pub(super) mod users;

pub use files::Access;
pub use limits::Bounds;

use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use users::Users;

/// How actions are isolated. Chosen once, when the worker starts.
#[derive(Debug, Clone, Default)]
pub enum Isolation {
    /// They run as the worker's own user and can access everything it can.
    #[default]
    None,
    /// Each runs as a user of its own.
    Users(Arc<Users>),
    /// Each runs in a Landlock domain of its own.
    Landlock(Access),
}

/// The isolation in effect, as shown in health and in the list of workers. Null means not in effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InEffect {
    /// `per_slot`: actions run as users of their own.
    pub user: Option<&'static str>,
    /// What is protected from actions: `files`, or with Linux 6.12 and newer `files_and_signals`.
    pub landlock: Option<&'static str>,
    /// Always null for now: limits are set with `setrlimit`.
    pub cgroup: Option<&'static str>,
}

/// The isolation that is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsolationMode {
    /// As strong as this user and this kernel permit.
    Isolated {
        uid_base: u32,
    },
    Off,
}

/// Determines what is possible here, and prepares it. Logs a warning for what is not possible.
pub fn choose(mode: IsolationMode, access: Access, scratch: &Path) -> std::io::Result<(Isolation, InEffect)> {
    let mut in_effect = InEffect {
        user: None,
        landlock: None,
        cgroup: None,
    };
    let IsolationMode::Isolated { uid_base } = mode else {
        tracing::warn!(
            "actions run as the worker's own user and can access everything it can, as configured in worker.run_actions_as"
        );
        return Ok((Isolation::None, in_effect));
    };
    if geteuid().is_root() {
        match Users::open(uid_base) {
            Ok(users) => {
                users::ensure_traversable(scratch)?;
                in_effect.user = Some("per_slot");
                return Ok((Isolation::Users(Arc::new(users)), in_effect));
            }
            Err(error) => tracing::warn!(
                %error,
                uid_base,
                "failed to run actions as users of their own; set worker.uid_base to ids that are available on this system"
            ),
        }
    }
    in_effect.landlock = files::supported();
    match in_effect.landlock {
        Some(files::FILES_AND_SIGNALS) => {}
        Some(_) => tracing::warn!(
            "actions can send signals to processes of the worker's user, because this kernel is older than Linux 6.12; run the worker as root to give actions users of their own"
        ),
        None => {
            tracing::warn!(
                "actions run as the worker's own user and can access everything it can, because this kernel has no Landlock; run the worker as root to give actions users of their own"
            );
            return Ok((Isolation::None, in_effect));
        }
    }
    Ok((Isolation::Landlock(access), in_effect))
}

/// The paths that actions in a Landlock domain may read on every system.
pub fn readable() -> impl Iterator<Item = PathBuf> {
    files::READABLE.iter().map(PathBuf::from)
}

/// The settings that the supervisor receives on its command line.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Plan {
    /// None: no Landlock.
    pub access: Option<Access>,
    pub bounds: Bounds,
}
