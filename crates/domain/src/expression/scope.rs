//! The names that an expression may start from.

use super::ast::Root;
use crate::spelled::closest_match;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// `event` and `rule`: conditions and parameters of rules.
    #[default]
    Rule,
    /// `parameters`, `event` and `rule`: the policies of a rule.
    RuleKey,
    /// `parameters`: the key of an action's limit, for every kind of start.
    ActionKey,
}

impl Scope {
    pub(super) fn root(self, name: &str) -> Result<Root, String> {
        self.known(name).ok_or_else(|| {
            if name == "secrets" {
                return "uses `secrets`: a secret can only be passed as it is, `{{ secrets.pack.name }}` or inside of text, to a \
                        parameter of an action that is declared `secret: true`"
                    .to_owned();
            }
            let near = closest_match(name, &["event", "rule", "parameters"]).filter(|near| self.known(near).is_some());
            let under_event = ["payload", "trigger"].contains(&name) && self.known("event").is_some();
            let hint = match near {
                _ if under_event => format!("did you mean `event.{name}`? Otherwise "),
                Some(near) => format!("did you mean `{near}`? Otherwise "),
                None => String::new(),
            };
            format!("uses the unknown name {name:?}: {hint}write {}", self.names())
        })
    }

    fn known(self, name: &str) -> Option<Root> {
        match name {
            "event" if self != Self::ActionKey => Some(Root::Event),
            "rule" if self != Self::ActionKey => Some(Root::Rule),
            "parameters" if self != Self::Rule => Some(Root::Parameters),
            _ => None,
        }
    }

    /// The names to use instead.
    fn names(self) -> &'static str {
        match self {
            Self::Rule => {
                "`event.payload…`, `event.id`, `event.trigger`, `event.received_at`, `event.scheduled_at` or `rule.ref`"
            }
            Self::RuleKey => "`parameters…`, `event.payload…`, `event.trigger` or `rule.ref`",
            Self::ActionKey => "`parameters…`",
        }
    }
}
