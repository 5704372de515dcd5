//! Versions of files, and what can happen to a file.

use crate::spelled::spelled;
use std::time::Duration;

/// What identifies the content of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    pub mtime_ns: i64,
}

impl Version {
    /// The device does not count: it changes when a file system is mounted again.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.inode, self.size, self.mtime_ns) == (other.inode, other.size, other.mtime_ns)
    }
}

spelled! {
    ChangeKind {
        /// It is new, or was renamed from outside.
        Created = "created",
        Modified = "modified",
        /// It is gone, or was renamed to outside.
        Deleted = "deleted",
        /// It was renamed inside the watched directory.
        Moved = "moved",
    }
}

/// A stable difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub kind: ChangeKind,
    /// Relative to the watched directory.
    pub path: String,
    /// Of a deleted file the last known one.
    pub version: Version,
    /// The former path of a moved file.
    pub from: Option<String>,
    /// When the difference was first observed.
    pub first_seen: Duration,
    /// Whether it becomes an event. Otherwise it is only recorded.
    pub is_reported: bool,
}
