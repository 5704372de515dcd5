//! The configuration of a file watch.
//!
//! ```json
//! {"path": "/srv/inbox", "patterns": ["*.csv"], "on": ["created"], "stable_for_seconds": 2}
//! ```

use super::{
    ChangeKind,
    patterns::{self, Patterns},
};
use crate::{FieldErrors, dedup, json, spelled::closest_match, whole};
use serde_json::{Map, Value};
use std::time::Duration;

pub const STABLE_FOR_SECONDS_MAX: f64 = 3_600.0;
pub const RESCAN_SECONDS_MAX: u32 = 86_400;
const PATH_BYTES_MAX: usize = 1_024;
const PATTERNS_MAX: usize = 50;
const HOSTS_MAX: usize = 50;
const NAMES: [&str; 13] = [
    "path",
    "patterns",
    "exclude",
    "recursive",
    "on",
    "stable_for_seconds",
    "existing",
    "batch",
    "rescan_seconds",
    "host",
    "notify",
    "follow_symlinks",
    "dedup_window_seconds",
];
/// Hidden files, and names of files that are still being written.
const EXCLUDED: [&str; 3] = [".*", "*.part", "*.tmp"];

/// Which files a trigger watches, and what it reports of them.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent options")]
pub struct FileWatchConfig {
    /// An absolute path without `.`, `..` and a final `/`.
    pub path: String,
    /// None: every file.
    patterns: Option<Patterns>,
    exclude: Patterns,
    pub recursive: bool,
    pub on: Vec<ChangeKind>,
    pub stable_for: Duration,
    pub existing: Existing,
    /// One event for all files that are reported at the same time.
    pub batch: bool,
    pub rescan: Duration,
    pub hosts: Hosts,
    /// Whether the kernel's notifications are used in addition to scans.
    pub notify: bool,
    pub follow_symlinks: bool,
    pub dedup_window_seconds: i64,
}

/// What happens to files that exist before the first scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// They are only recorded.
    Ignore,
    /// They are reported as created.
    Report,
}

/// The hosts whose sensors watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// Any one host that has the path.
    One,
    /// Each host watches its own disk.
    All,
    /// Each of these hosts watches its own disk.
    Named(Vec<String>),
}

impl Hosts {
    /// The key of the position that a sensor on `host` continues: empty if all hosts share it. None: this host does not watch.
    pub fn scope<'h>(&self, host: &'h str) -> Option<&'h str> {
        match self {
            Self::One => Some(""),
            Self::All => Some(host),
            Self::Named(names) => names.iter().any(|name| name == host).then_some(host),
        }
    }
}

impl FileWatchConfig {
    /// Parses a configuration, or reports all its errors.
    pub fn parse(value: &Value) -> Result<Self, FieldErrors> {
        let Value::Object(fields) = value else {
            let message = format!("must be an object, not {}", json::kind(value));
            return Err(FieldErrors::one("", message));
        };
        let mut errors = FieldErrors::new();
        let mut reader = Reader {
            fields,
            errors: &mut errors,
        };
        let config = Self {
            path: reader.path(),
            patterns: reader.patterns("patterns"),
            exclude: reader.patterns("exclude").unwrap_or_else(default_exclude),
            recursive: reader.flag("recursive", false),
            on: reader.kinds(),
            stable_for: reader.stable_for(),
            existing: reader.existing(),
            batch: reader.flag("batch", false),
            rescan: reader.rescan(),
            hosts: reader.hosts(),
            notify: reader.flag("notify", true),
            follow_symlinks: reader.flag("follow_symlinks", false),
            dedup_window_seconds: dedup::WINDOW_SECONDS_DEFAULT,
        };
        let window = errors.collect(dedup::parse(value));
        for name in fields.keys().filter(|name| !NAMES.contains(&name.as_str())) {
            let message = match closest_match(name, &NAMES) {
                Some(near) => format!("unknown field; did you mean `{near}`?"),
                None => format!("unknown field; expected one of: {}", NAMES.join(", ")),
            };
            errors.add(name.chars().take(64).collect::<String>(), message);
        }
        errors.into_result().map(|()| Self {
            dedup_window_seconds: window.unwrap_or(config.dedup_window_seconds),
            ..config
        })
    }

    /// Whether a file is watched. `path` is relative to the watched directory.
    pub fn covers(&self, path: &str) -> bool {
        let is_excluded = || {
            let folders = path.match_indices('/').map(|(end, _)| &path[..end]);
            folders.chain([path]).any(|part| self.excludes(part))
        };
        (self.recursive || !path.contains('/')) && self.includes(path) && !is_excluded()
    }

    /// Whether the patterns match a file.
    pub fn includes(&self, path: &str) -> bool {
        self.patterns.as_ref().is_none_or(|patterns| patterns.matches(path))
    }

    /// Whether a file or folder is excluded itself. Everything in an excluded folder is excluded as well.
    pub fn excludes(&self, path: &str) -> bool {
        self.exclude.matches(path)
    }
}

#[expect(clippy::expect_used, reason = "constant patterns")]
fn default_exclude() -> Patterns {
    Patterns::new(&EXCLUDED.map(str::to_owned)).expect("the default patterns compile")
}

struct Reader<'a> {
    fields: &'a Map<String, Value>,
    errors: &'a mut FieldErrors,
}

impl Reader<'_> {
    /// A field that is null counts as absent.
    fn field(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// The value that `read` makes of a field; the default if it is absent or invalid.
    fn read<T>(&mut self, name: &str, default: T, read: impl FnOnce(&Value) -> Result<T, String>) -> T {
        match self.field(name).map(read) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(message)) => {
                self.errors.add(name, message);
                default
            }
        }
    }

    fn flag(&mut self, name: &str, default: bool) -> bool {
        let read = |value: &Value| value.as_bool().ok_or_else(|| "must be true or false".to_owned());
        self.read(name, default, read)
    }

    fn path(&mut self) -> String {
        if self.field("path").is_none() {
            self.errors.add(
                "path",
                "is missing: expected the directory to watch, such as /srv/inbox",
            );
        }
        self.read("path", String::new(), read_path)
    }

    fn patterns(&mut self, name: &str) -> Option<Patterns> {
        let value = self.field(name)?;
        let texts: Option<Vec<String>> = value
            .as_array()
            .filter(|patterns| patterns.len() <= PATTERNS_MAX)
            .and_then(|patterns| patterns.iter().map(|p| p.as_str().map(str::to_owned)).collect());
        let Some(texts) = texts.filter(|texts| name == "exclude" || !texts.is_empty()) else {
            let least = i32::from(name != "exclude");
            let message = format!("must be a list of {least} to {PATTERNS_MAX} patterns, such as [\"*.csv\"]");
            self.errors.add(name, message);
            return None;
        };
        let mut is_good = true;
        for (index, text) in texts.iter().enumerate() {
            if let Err(message) = patterns::check(text) {
                self.errors.add(format!("{name}[{index}]"), message);
                is_good = false;
            }
        }
        if !is_good {
            return None;
        }
        match Patterns::new(&texts) {
            Ok(patterns) => Some(patterns),
            Err(message) => {
                self.errors.add(name, message);
                None
            }
        }
    }

    fn kinds(&mut self) -> Vec<ChangeKind> {
        let default = vec![ChangeKind::Created, ChangeKind::Modified, ChangeKind::Deleted];
        self.read("on", default, |value| {
            let kinds: Option<Vec<ChangeKind>> = value.as_array().and_then(|kinds| {
                let kind = |kind: &Value| kind.as_str()?.parse().ok();
                kinds.iter().map(kind).collect()
            });
            kinds.filter(|kinds| !kinds.is_empty()).ok_or_else(|| {
                let known: Vec<&str> = ChangeKind::ALL.iter().map(|kind| kind.as_str()).collect();
                format!("must be a list of {}", known.join(", "))
            })
        })
    }

    fn stable_for(&mut self) -> Duration {
        self.read("stable_for_seconds", Duration::from_secs(2), |value| {
            let seconds = whole::decimal("stable_for_seconds", value, 0.0..=STABLE_FOR_SECONDS_MAX)?;
            Ok(Duration::try_from_secs_f64(seconds).unwrap_or_default())
        })
    }

    fn rescan(&mut self) -> Duration {
        self.read("rescan_seconds", Duration::from_secs(60), |value| {
            let seconds: u32 = whole::read("rescan_seconds", value, 1..=RESCAN_SECONDS_MAX)?;
            Ok(Duration::from_secs(seconds.into()))
        })
    }

    fn existing(&mut self) -> Existing {
        self.read("existing", Existing::Ignore, |value| match value.as_str() {
            Some("ignore") => Ok(Existing::Ignore),
            Some("report") => Ok(Existing::Report),
            _ => Err("must be ignore or report".to_owned()),
        })
    }

    fn hosts(&mut self) -> Hosts {
        self.read("host", Hosts::One, |value| {
            let names: Option<Vec<String>> = match value {
                Value::String(name) if name == "all" => return Ok(Hosts::All),
                Value::String(name) => Some(vec![name.clone()]),
                Value::Array(names) => names.iter().map(|name| name.as_str().map(str::to_owned)).collect(),
                _ => None,
            };
            let is_name = |name: &String| !name.trim().is_empty() && name.len() <= 253;
            names
                .filter(|names| (1..=HOSTS_MAX).contains(&names.len()) && names.iter().all(is_name))
                .map(Hosts::Named)
                .ok_or_else(|| {
                    "must be null (any one host), \"all\", the name of a host, or a list of names".to_owned()
                })
        })
    }
}

fn read_path(value: &Value) -> Result<String, String> {
    let Some(text) = value.as_str() else {
        return Err(format!("must be a string, not {}", json::kind(value)));
    };
    if !text.starts_with('/') {
        return Err("must be an absolute path, such as /srv/inbox".to_owned());
    }
    if text.len() > PATH_BYTES_MAX {
        return Err(format!("must have at most {PATH_BYTES_MAX} bytes"));
    }
    let parts: Vec<&str> = text
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.contains(&"..") {
        return Err("must not contain ..".to_owned());
    }
    if parts.iter().any(|part| part.contains(['*', '?'])) {
        return Err("must be a directory; write patterns such as *.csv into config.patterns".to_owned());
    }
    Ok(format!("/{}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults() {
        let config = FileWatchConfig::parse(&json!({"path": "/srv//inbox/./"})).expect("valid");
        assert_eq!(config.path, "/srv/inbox");
        assert_eq!(
            config.on,
            [ChangeKind::Created, ChangeKind::Modified, ChangeKind::Deleted]
        );
        assert_eq!((config.stable_for.as_secs(), config.rescan.as_secs()), (2, 60));
        assert!(config.notify && !config.recursive && !config.batch && !config.follow_symlinks);
        assert_eq!((config.existing, config.hosts), (Existing::Ignore, Hosts::One));
    }

    #[test]
    fn every_bad_field_is_named() {
        let check = |config: Value, expected: &[&str]| {
            let errors = FileWatchConfig::parse(&config).expect_err("invalid").into_vec();
            let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
            assert_eq!(paths, expected, "{config}: {errors:?}");
        };
        check(json!([]), &[""]);
        check(json!({}), &["path"]);
        check(json!({"path": "inbox"}), &["path"]);
        check(json!({"path": "/srv/../etc"}), &["path"]);
        check(json!({"path": "/srv/*.csv"}), &["path"]);
        check(
            json!({"path": 7, "patterns": [], "exclude": ["*.tmp", "/x"], "recursive": "yes", "on": ["made"],
                   "stable_for_seconds": -1, "existing": "x", "batch": 1, "rescan_seconds": 0, "host": [], "notify": "no",
                   "follow_symlinks": 0, "dedup_window_seconds": 1, "pattern": "*.csv"}),
            &[
                "path",
                "patterns",
                "exclude[1]",
                "recursive",
                "on",
                "stable_for_seconds",
                "existing",
                "batch",
                "rescan_seconds",
                "host",
                "notify",
                "follow_symlinks",
                "dedup_window_seconds",
                "pattern",
            ],
        );
        let errors = FileWatchConfig::parse(&json!({"path": "/x", "pattern": ["*"]})).expect_err("invalid");
        assert!(errors.to_string().contains("did you mean `patterns`?"), "{errors}");
    }

    #[test]
    fn what_is_covered() {
        let config = |changes: Value| {
            let mut config = json!({"path": "/x", "patterns": ["*.csv"]});
            for (name, value) in changes.as_object().into_iter().flatten() {
                config[name] = value.clone();
            }
            FileWatchConfig::parse(&config).expect("valid")
        };
        let flat = config(json!({}));
        assert!(flat.covers("a.csv") && !flat.covers("d/a.csv") && !flat.covers(".a.csv") && !flat.covers("a.txt"));
        let deep = config(json!({"recursive": true}));
        assert!(deep.covers("d/a.csv") && !deep.covers(".git/a.csv") && !deep.covers("d/.x/y/a.csv"));
        let all = config(json!({"exclude": [], "recursive": true}));
        assert!(all.covers(".git/a.csv"));
    }

    #[test]
    fn hosts_and_positions() {
        let hosts = |host: Value| {
            let config = json!({"path": "/x", "host": host});
            FileWatchConfig::parse(&config).expect("valid").hosts
        };
        assert_eq!(hosts(Value::Null).scope("a"), Some(""));
        assert_eq!(hosts(json!("all")).scope("a"), Some("a"));
        assert_eq!(hosts(json!("a")).scope("a"), Some("a"));
        assert_eq!(hosts(json!(["a", "b"])).scope("c"), None);
    }
}
