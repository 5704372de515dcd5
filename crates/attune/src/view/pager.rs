//! Shows long text in a pager, if a person reads it.

use super::{out, term::View};
use crate::child;
use attune_common::config::variable;

/// Prints the text, or shows it in a pager if it is longer than the terminal.
pub fn show(text: &str, view: &View) -> anyhow::Result<()> {
    if !view.tty || text.lines().count() < view.height {
        return out::text(text);
    }
    let pager = variable("ATTUNE_PAGER").or_else(|| variable("PAGER"));
    let pager = pager.unwrap_or_else(|| "less -FRX".to_owned());
    if pager == "cat" || child::pipe(&pager, text).is_err() {
        return out::text(text);
    }
    Ok(())
}
