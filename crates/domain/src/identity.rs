//! Identities, roles and tokens.

use crate::{IdentityId, spelled::spelled};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A person or a program that may sign in.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
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
    /// Each role includes the rights of the ones before it.
    Role {
        /// May read.
        Viewer = "viewer",
        /// May also run, cancel, fire, enable and disable.
        Operator = "operator",
        /// May also change definitions.
        Editor = "editor",
        /// May also manage identities and the tokens of others.
        Admin = "admin",
    }
}

impl Role {
    /// Whether this role includes the rights of that one.
    pub fn covers(self, needed: Self) -> bool {
        self.rank() >= needed.rank()
    }

    /// The lower of two roles: the rights of a token with this role whose owner has that one.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        if self.covers(other) { other } else { self }
    }

    fn rank(self) -> usize {
        Self::ALL.iter().position(|role| *role == self).unwrap_or(0)
    }
}

/// A token for programs, without its secret, which is only shown when the token is created.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ApiToken {
    pub id: i64,
    pub login: String,
    pub label: String,
    /// The first characters of the token, to recognize it.
    pub prefix: String,
    pub role: Role,
    /// The token that created it. This token expires no later than that one.
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
