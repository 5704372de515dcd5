//! The kernel's notifications: which files to check. They may be late, duplicated or missing; the periodic scan finds what they
//! miss.

use attune_common::sync;
use notify::{
    Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, ModifyKind, RemoveKind},
};
use std::{
    collections::HashSet,
    mem,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tokio::sync::Notify;

/// With more files to check, a scan is cheaper.
const PATHS_MAX: usize = 4_096;

/// What to check.
#[derive(Debug, Default)]
pub struct Collected {
    pub paths: HashSet<PathBuf>,
    /// All files.
    pub everything: bool,
    /// The watched directory was removed or renamed: the notifications end.
    pub is_over: bool,
}

#[derive(Debug, Default)]
struct Shared {
    collected: Mutex<Collected>,
    arrived: Notify,
}

/// The notifications of one directory, until this is dropped.
#[derive(Debug)]
pub struct Hints {
    shared: Arc<Shared>,
    _watcher: Option<RecommendedWatcher>,
}

impl Hints {
    /// Without notifications: only scans find changes.
    pub fn none() -> Self {
        Self {
            shared: Arc::default(),
            _watcher: None,
        }
    }

    /// Watches a directory. Blocks.
    pub fn start(root: &Path, recursive: bool, follow_symlinks: bool) -> notify::Result<Self> {
        let shared = Arc::<Shared>::default();
        let (own, root_path) = (Arc::clone(&shared), root.to_owned());
        let handler = move |event: notify::Result<Event>| own.collect(event, &root_path);
        let config = Config::default().with_follow_symlinks(follow_symlinks);
        let mut watcher = RecommendedWatcher::new(handler, config)?;
        let mode = if recursive {
            RecursiveMode::Recursive
        } else {
            RecursiveMode::NonRecursive
        };
        watcher.watch(root, mode)?;
        Ok(Self {
            shared,
            _watcher: Some(watcher),
        })
    }

    /// Waits for a notification.
    pub async fn arrive(&self) {
        self.shared.arrived.notified().await;
    }

    pub fn take(&self) -> Collected {
        mem::take(&mut sync::lock(&self.shared.collected))
    }
}

impl Shared {
    fn collect(&self, event: notify::Result<Event>, root: &Path) {
        let mut collected = sync::lock(&self.collected);
        match event {
            Ok(event) if event.need_rescan() => {
                metrics::counter!("attune_file_rescans_total", "reason" => "overflow").increment(1);
                collected.everything = true;
            }
            Ok(event) => {
                let is_removal = match event.kind {
                    EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
                    EventKind::Access(_) => return,
                    EventKind::Remove(kind) => {
                        collected.everything |= kind == RemoveKind::Folder;
                        true
                    }
                    EventKind::Modify(ModifyKind::Name(_)) => true,
                    _ => false,
                };
                collected.is_over |= is_removal && event.paths.first().is_some_and(|path| path == root);
                collected.paths.extend(event.paths);
            }
            Err(_) => collected.everything = true,
        }
        if collected.paths.len() > PATHS_MAX {
            collected.paths.clear();
            collected.everything = true;
        }
        drop(collected);
        self.arrived.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{CreateKind, Flag};

    fn collected(event: notify::Result<Event>) -> Collected {
        let shared = Shared::default();
        shared.collect(event, Path::new("/inbox"));
        mem::take(&mut *sync::lock(&shared.collected))
    }

    #[test]
    fn dropped_notifications_cause_a_scan() {
        assert!(collected(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan))).everything);
        assert!(collected(Err(notify::Error::generic("lost"))).everything);
        let many = (0..=PATHS_MAX).map(|number| PathBuf::from(format!("/inbox/{number}")));
        let mut event = Event::new(EventKind::Create(CreateKind::File));
        event.paths = many.collect();
        let all = collected(Ok(event));
        assert!(all.everything && all.paths.is_empty());
    }

    #[test]
    fn notifications_name_what_to_check() {
        let created = Event::new(EventKind::Create(CreateKind::File)).add_path("/inbox/a".into());
        let all = collected(Ok(created));
        assert!(!all.everything && !all.is_over && all.paths.contains(Path::new("/inbox/a")));
        let opened = Event::new(EventKind::Access(AccessKind::Open(AccessMode::Any))).add_path("/inbox/a".into());
        assert!(collected(Ok(opened)).paths.is_empty(), "reading a file changes nothing");
        let removed = Event::new(EventKind::Remove(RemoveKind::Folder)).add_path("/inbox".into());
        assert!(collected(Ok(removed)).is_over);
    }
}
