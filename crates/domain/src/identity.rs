//! Who may do what.

use crate::IdentityId;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
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

/// Each role may do what the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Runs, cancels, fires, switches on and off.
    Operator,
    /// Changes definitions.
    Editor,
    /// Manages identities and tokens of others.
    Admin,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Editor, Self::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
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
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

/// What may stand as a login: lower-case letters, digits, `.`, `_`, `@` and `-`.
pub fn is_login(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 64
        && text.starts_with(plain)
        && text.chars().all(|c| plain(c) || matches!(c, '.' | '_' | '@' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_and_one_order() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).expect("a role is a string"), role.as_str());
        }
        assert!(Role::ALL.is_sorted());
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
