//! The side effects of actions: a file to which each attempt appends the id of its execution and its number.

use super::facts;
use attune_common::store::PgPool;
use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

/// The script of an action that leaves a mark in the file named by its parameter `file`.
pub const MARK: &str = r#"printf '%s %s\n' "$ATTUNE_EXECUTION_ID" "$ATTUNE_ATTEMPT" >> "$file""#;

#[derive(Debug)]
pub struct Effects(PathBuf);

impl Effects {
    pub fn new(folder: &Path) -> Self {
        Self(folder.join("effects"))
    }

    pub fn file(&self) -> &str {
        self.0.to_str().expect("the path is text")
    }

    pub fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// No attempt left two marks; every execution of `action` that succeeded left the mark of its last attempt, and every
    /// mark is of an execution. `action` is a pattern of `like`.
    pub async fn check(&self, pool: &PgPool, action: &str) {
        let lines = self.lines();
        let marks: HashSet<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(marks.len(), lines.len(), "an attempt ran twice");
        let rows = |which: &str| {
            format!(
                "select coalesce(jsonb_agg(id || ' ' || attempt), '[]') from execution where action_ref like '{action}' and {which}"
            )
        };
        let succeeded = facts::value(pool, &rows("status = 'succeeded'")).await;
        for mark in succeeded.as_array().expect("a list") {
            let mark = mark.as_str().expect("a text");
            assert!(marks.contains(mark), "{mark} succeeded without having run");
        }
        let known = facts::value(
            pool,
            &format!("select coalesce(jsonb_agg(id), '[]') from execution where action_ref like '{action}'"),
        )
        .await;
        let known: HashSet<&str> = known
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|id| id.as_str())
            .collect();
        for mark in marks {
            let id = mark.split(' ').next().unwrap_or_default();
            assert!(known.contains(id), "{mark} ran without an execution");
        }
    }
}
