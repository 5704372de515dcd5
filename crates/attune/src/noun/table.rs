//! The nouns of the command line as data.

mod definitions;
mod occurrences;
mod operations;

pub use definitions::{RULE, TRIGGER};
pub use occurrences::{EVENT, EXECUTION};
pub use operations::POOL;

use crate::view::{cell::Column, list::Shape};

/// A noun.
#[derive(Debug)]
pub struct Noun {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub about: &'static str,
    /// The route of the list; it may have a query.
    pub list: &'static str,
    /// The route of one object, without its key.
    pub path: &'static str,
    /// The field that identifies an object.
    pub key: &'static str,
    pub columns: &'static [Column],
    pub wide: &'static [Column],
    pub filters: &'static [Filter],
    /// Fields that the server computes, and that no request may contain.
    pub computed: &'static [&'static str],
    /// The kind of its changes in the live stream, if it has some.
    pub feed: &'static str,
    pub verbs: &'static [Verb],
    /// A value of the key, for examples.
    pub example: &'static str,
}

/// An option of `list`, and the parameter of the route.
#[derive(Debug)]
pub struct Filter {
    pub option: &'static str,
    pub field: &'static str,
    pub help: &'static str,
}

#[derive(Debug)]
pub struct Verb {
    pub name: &'static str,
    pub about: &'static str,
    pub does: Does,
    /// The noun of the objects, if it is another one.
    pub on: Option<&'static Noun>,
}

#[derive(Debug, Clone, Copy)]
pub enum Does {
    List,
    Get,
    Create,
    Edit,
    Delete,
    /// A POST without a body for each key.
    Post {
        suffix: &'static str,
        done: &'static str,
    },
    /// A list that belongs to one object.
    Rows {
        suffix: &'static str,
        shape: Shape,
    },
    Own(Own),
}

/// Verbs with arguments of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    RuleTest,
    TimerCreate,
    TimerNext,
    Fire,
    EventSend,
    ExecutionRerun,
    ExecutionWait,
    ActionSchema,
    WebhookSend,
    WebhookRotateSecret,
    QueueDiscard,
    PoolList,
    UserAdd,
    UserPasswd,
    UserChange(&'static str),
    TokenCreate,
    TokenRevoke,
}

impl Noun {
    pub const fn shape(&self) -> Shape {
        Shape {
            key: self.key,
            columns: self.columns,
            wide: self.wide,
        }
    }
}

impl Verb {
    pub const fn new(name: &'static str, about: &'static str, does: Does) -> Self {
        Self {
            name,
            about,
            does,
            on: None,
        }
    }

    pub const fn on(self, noun: &'static Noun) -> Self {
        Self { on: Some(noun), ..self }
    }
}

const fn filter(option: &'static str, field: &'static str, help: &'static str) -> Filter {
    Filter { option, field, help }
}

const SINCE: Filter = filter("since", "since", "Only later ones: 2h, today, 2026-11-30 or an instant");
const UNTIL: Filter = filter("until", "until", "Only earlier ones");
const ENABLED: Filter = filter("enabled", "enabled", "Only enabled (true) or disabled (false) ones");
const PACK: Filter = filter("pack", "pack_ref", "Only those of this pack");

const LIST: Verb = Verb::new("list", "List", Does::List);
const GET: Verb = Verb::new("get", "Show", Does::Get);
const CREATE: Verb = Verb::new("create", "Create", Does::Create);
const EDIT: Verb = Verb::new("edit", "Change fields, or open in an editor:", Does::Edit);
const DELETE: Verb = Verb::new("delete", "Delete", Does::Delete);
const ENABLE: Verb = Verb::new(
    "enable",
    "Enable",
    Does::Post {
        suffix: "enable",
        done: "enabled",
    },
);
const DISABLE: Verb = Verb::new(
    "disable",
    "Disable",
    Does::Post {
        suffix: "disable",
        done: "disabled",
    },
);

/// The nouns that are commands of their own. `timer`, `pack`, `user` and `token` extend other commands.
pub const NOUNS: &[&Noun] = &[
    &definitions::RULE,
    &definitions::TRIGGER,
    &definitions::WEBHOOK,
    &definitions::ACTION,
    &definitions::RUNTIME,
    &occurrences::EVENT,
    &occurrences::ENFORCEMENT,
    &occurrences::EXECUTION,
    &operations::WORKER,
    &operations::SERVICE,
    &operations::POOL,
    &operations::QUEUE,
    &operations::RETENTION,
    &operations::AUDIT,
];

/// The nouns that extend other commands, for [`super::Verbs`].
pub const EXTENDING: [&Noun; 4] = [
    &definitions::TIMER,
    &definitions::PACK,
    &operations::USER,
    &operations::TOKEN,
];
pub const TIMERS: usize = 0;
pub const PACKS: usize = 1;
pub const USERS: usize = 2;
pub const TOKENS: usize = 3;
