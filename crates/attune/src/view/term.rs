//! The options of output, and what standard output can show.

use super::moment::Zone;
use attune_common::{clock, config::variable};
use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use std::{
    io::{IsTerminal as _, stderr, stdout},
    str::FromStr,
};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Format {
    #[default]
    Table,
    Wide,
    Json,
    Jsonl,
    Yaml,
    Name,
    Csv,
    /// Paths into the objects.
    Cols(Vec<String>),
}

impl FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "table" => Self::Table,
            "wide" => Self::Wide,
            "json" => Self::Json,
            "jsonl" => Self::Jsonl,
            "yaml" => Self::Yaml,
            "name" => Self::Name,
            "csv" => Self::Csv,
            _ => match text.strip_prefix("cols=") {
                Some(paths) if !paths.is_empty() => Self::Cols(paths.split(',').map(str::to_owned).collect()),
                _ => {
                    return Err(
                        "must be table, wide, json, jsonl, yaml, name, csv, or cols=PATH,PATH such as cols=ref,config.type",
                    );
                }
            },
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// How a command prints.
#[derive(Debug, Clone, Args, Default)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Format: table, wide, json, jsonl, yaml, name, csv, or cols=PATH,PATH
    #[arg(
        long,
        short,
        value_name = "FORMAT",
        default_value = "table",
        hide_default_value = true
    )]
    pub output: Format,
    /// Print only refs or ids, one per line
    #[arg(long, short)]
    pub quiet: bool,
    /// Colors: auto, always or never
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub color: Color,
    /// Zone of times: mine, utc, or an IANA name
    #[arg(long = "tz", value_name = "ZONE")]
    pub zone: Option<Zone>,
}

/// The options, and the properties of the terminal.
#[derive(Debug, Clone)]
pub struct View {
    pub format: Format,
    pub tty: bool,
    pub color: bool,
    pub unicode: bool,
    pub width: usize,
    pub height: usize,
    pub zone: Option<Zone>,
    pub now: DateTime<Utc>,
}

impl OutputArgs {
    pub fn view(&self) -> View {
        let tty = stdout().is_terminal();
        let (width, height) = terminal_size::terminal_size().map_or((80, 24), |(width, height)| (width.0, height.0));
        let dumb = variable("TERM").as_deref() == Some("dumb");
        let color = match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto if variable("NO_COLOR").is_some() => false,
            Color::Auto => variable("CLICOLOR_FORCE").is_some_and(|forced| forced != "0") || tty && !dumb,
        };
        View {
            format: if self.quiet { Format::Name } else { self.output.clone() },
            tty,
            color,
            unicode: unicode(),
            width: width.max(40).into(),
            height: height.into(),
            zone: self.zone,
            now: clock::now(),
        }
    }
}

impl View {
    pub fn paint(&self, text: &str, color: &str) -> String {
        if self.color && !color.is_empty() {
            format!("\u{1b}[{color}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    pub fn mark(&self, good: bool) -> String {
        let (mark, plain, color) = if good { ("✓", "ok", "32") } else { ("✕", "no", "31") };
        self.paint(if self.unicode { mark } else { plain }, color)
    }
}

/// Whether the locale has UTF-8.
pub fn unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable);
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// In front of an error: a sign on a terminal that can show it, the program's name in logs.
pub fn error_prefix() -> &'static str {
    if stderr().is_terminal() && unicode() {
        "✕ "
    } else {
        "attune: "
    }
}
