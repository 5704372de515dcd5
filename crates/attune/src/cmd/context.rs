//! `attune context`: the servers that `attune login` has stored. Tokens are never printed.

use crate::{
    ctx::contexts::{Contexts, Stored},
    failure::Failure,
    view::{
        cell::text,
        list::{List, Shape},
        out,
        term::OutputArgs,
    },
};
use clap::Subcommand;
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub enum ContextCommand {
    /// List contexts; * marks the current one
    List(OutputArgs),
    /// Use a context from now on
    Use {
        /// Name of the context
        name: String,
    },
    /// Show the current context
    Show(OutputArgs),
    /// Remove a context; `attune logout` also revokes its token
    Delete {
        /// Name of the context
        name: String,
    },
}

const SHAPE: Shape = Shape {
    key: "name",
    columns: &[
        text("CURRENT", "current"),
        text("NAME", "name"),
        text("URL", "url"),
        text("LOGIN", "login"),
        text("ROLE", "role"),
        text("EXPIRES", "expires_at"),
    ],
    wide: &[text("TOKEN", "token_id")],
};

pub fn run(command: &ContextCommand) -> anyhow::Result<()> {
    let mut contexts = Contexts::load()?;
    match command {
        ContextCommand::List(output) => print(&contexts, output, |_| true),
        ContextCommand::Show(output) => {
            let Some(current) = contexts.current().map(str::to_owned) else {
                return Err(Failure::new(1, "no context is in use; `attune context use NAME` selects one").into());
            };
            print(&contexts, output, |name| name == current)
        }
        ContextCommand::Use { name } => {
            contexts.get(name)?;
            contexts.select(Some(name.clone()));
            contexts.save()?;
            eprintln!("the current context is {name}");
            Ok(())
        }
        ContextCommand::Delete { name } => {
            contexts.get(name)?;
            contexts.contexts.remove(name);
            if contexts.current() == Some(name) {
                contexts.select(None);
            }
            contexts.save()?;
            eprintln!("removed the context {name}");
            Ok(())
        }
    }
}

fn print(contexts: &Contexts, output: &OutputArgs, shown: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let row = |(name, stored): (&String, &Stored)| -> Value {
        let current = if contexts.current() == Some(name) { "*" } else { "" };
        json!({"current": current, "name": name, "url": stored.url, "login": stored.login, "role": stored.role,
               "expires_at": stored.expires_at, "token_id": stored.token_id})
    };
    let rows: Vec<Value> = contexts
        .contexts
        .iter()
        .filter(|(name, _)| shown(name))
        .map(row)
        .collect();
    if rows.is_empty() && output.view().tty {
        return out::line("no contexts; `attune login URL` creates one");
    }
    let view = output.view();
    let mut list = List::new(&view, SHAPE, false);
    if !rows.is_empty() {
        list.page(&rows)?;
    }
    list.end()
}
