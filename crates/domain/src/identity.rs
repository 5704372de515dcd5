//! Who may do what.

use crate::{IdentityId, spelled::spelled};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// A person or a program that may sign in.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Identity {
    pub id: IdentityId,
    pub login: String,
    pub display_name: String,
    pub role: Role,
    pub enabled: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

spelled! {
    /// Each role may do what the ones before it may.
    Role {
        /// Reads.
        Viewer = "viewer",
        /// Runs, cancels, fires, switches on and off.
        Operator = "operator",
        /// Changes definitions.
        Editor = "editor",
        /// Manages identities and tokens of others.
        Admin = "admin",
    }
}

impl Role {
    /// May this role do what that one may?
    pub fn covers(self, needed: Self) -> bool {
        self.rank() >= needed.rank()
    }

    /// The lesser of two roles: the rights of a token with this role whose owner has that one.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        if self.covers(other) { other } else { self }
    }

    fn rank(self) -> usize {
        Self::ALL.iter().position(|role| *role == self).unwrap_or(0)
    }
}

/// A token for programs, without the token: that is shown once, when it is made.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ApiToken {
    pub id: i64,
    pub login: String,
    pub label: String,
    /// How the token begins, to recognise it by.
    pub prefix: String,
    pub role: Role,
    /// The token that created it. It ends no later than that one.
    pub parent_id: Option<i64>,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

/// Whether a text may be a login: lower-case letters, digits, `.`, `_`, `@` and `-`.
pub fn is_login(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 64 && text.starts_with(plain) && text.chars().all(|c| plain(c) || matches!(c, '.' | '_' | '@' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_covers_the_ones_before_it() {
        assert!(Role::Admin.covers(Role::Viewer) && Role::Editor.covers(Role::Editor));
        assert!(!Role::Viewer.covers(Role::Operator));
        assert_eq!(Role::Admin.within(Role::Operator), Role::Operator);
        assert_eq!(Role::Viewer.within(Role::Operator), Role::Viewer);
    }

    #[test]
    fn logins_are_plain() {
        let check = |text: &str, good: bool| assert_eq!(is_login(text), good, "{text:?}");
        check("admin", true);
        check("ann.smith@example.org", true);
        check("", false);
        check("Admin", false);
        check("-admin", false);
        check("ad min", false);
        check(&"x".repeat(65), false);
    }
}
