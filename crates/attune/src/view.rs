//! What commands print: tables for people, and formats for programs.
//!
//! Standard output carries data, standard error carries messages. Text from outside never controls the terminal.

pub mod cell;
pub mod list;
pub mod moment;
pub mod out;
pub mod pager;
pub mod term;
