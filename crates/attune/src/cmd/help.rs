//! `attune help`, `attune completion` and `attune man`: made from the grammar of the command line.

use crate::{failure::Failure, view::out};
use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;
use std::{fmt::Write as _, fs, path::PathBuf};

#[derive(Debug, Args)]
pub struct Help {
    /// A command such as `rule test`, or a topic: exit-codes, output, environment, expressions, reference
    #[arg(value_name = "TOPIC")]
    pub topic: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  attune completion bash > /etc/bash_completion.d/attune
  attune completion zsh > ~/.zfunc/_attune
  attune completion fish > ~/.config/fish/completions/attune.fish")]
pub struct Completion {
    /// Shell: bash, zsh, fish, powershell or elvish
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  attune man | man -l -
  attune man /usr/local/share/man/man1")]
pub struct Man {
    /// Write one page per command into this directory [default: the page of attune, on standard output]
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

const TOPICS: [(&str, &str); 4] = [
    ("exit-codes", include_str!("help/exit-codes.txt")),
    ("output", include_str!("help/output.txt")),
    ("environment", include_str!("help/environment.txt")),
    ("expressions", include_str!("help/expressions.txt")),
];

pub fn help(options: &Help, mut grammar: Command) -> anyhow::Result<()> {
    if let [topic] = options.topic.as_slice()
        && let Some((_, text)) = TOPICS.iter().find(|(name, _)| name == topic)
    {
        return out::text(text);
    }
    grammar.build();
    if options.topic == ["reference"] {
        return out::text(&reference(&mut grammar));
    }
    let mut command = &mut grammar;
    for name in &options.topic {
        command = command.find_subcommand_mut(name).ok_or_else(|| {
            let topics = TOPICS.map(|(name, _)| name).join(", ");
            Failure::usage(format!("no command and no topic {name}; topics are {topics}"))
        })?;
    }
    out::text(&command.render_long_help().to_string())
}

/// The help of every command.
fn reference(command: &mut Command) -> String {
    let mut text = format!("{}\n\n", command.render_long_help());
    for inner in command.get_subcommands_mut().filter(|inner| inner.get_name() != "help") {
        let name = inner.get_bin_name().unwrap_or_default();
        let _ = write!(text, "{:=<100}\n{name}\n\n", "");
        text.push_str(&reference(inner));
    }
    text
}

pub fn completion(options: &Completion, mut grammar: Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut grammar, "attune", &mut script);
    out::text(&String::from_utf8_lossy(&script))
}

pub fn man(options: &Man, grammar: Command) -> anyhow::Result<()> {
    match &options.directory {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(grammar).render(&mut page)?;
            out::text(&String::from_utf8_lossy(&page))
        }
        Some(folder) => {
            fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
            clap_mangen::generate_to(grammar, folder)
                .with_context(|| format!("failed to write to {}", folder.display()))
        }
    }
}
