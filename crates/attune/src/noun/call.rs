//! The commands of nouns in the grammar of the command line: built from the table, and parsed into a [`Call`].

use super::{
    command,
    table::{EXTENDING, NOUNS, Noun, Verb},
};
use crate::cmd::session::Common;
use clap::{ArgMatches, Args as _, Command as Grammar, FromArgMatches, Subcommand, error::ErrorKind};

/// One command of a noun, with its arguments.
#[derive(Debug)]
pub struct Call {
    /// The noun of the command.
    pub named: &'static Noun,
    pub verb: &'static Verb,
    pub matches: ArgMatches,
}

impl Call {
    fn of(named: &'static Noun, matches: &ArgMatches) -> Result<Self, clap::Error> {
        let missing = || clap::Error::raw(ErrorKind::MissingSubcommand, "a verb is missing\n");
        let (name, matches) = matches.subcommand().ok_or_else(missing)?;
        let verb = named.verbs.iter().find(|verb| verb.name == name).ok_or_else(missing)?;
        Ok(Self {
            named,
            verb,
            matches: matches.clone(),
        })
    }

    /// The noun of the objects.
    pub fn noun(&self) -> &'static Noun {
        self.verb.on.unwrap_or(self.named)
    }

    pub fn common(&self) -> anyhow::Result<Common> {
        Ok(Common::from_arg_matches(&self.matches)?)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.matches
            .try_get_one::<String>(name)
            .ok()
            .flatten()
            .map(String::as_str)
    }

    pub fn texts(&self, name: &str) -> Vec<String> {
        let values = self.matches.try_get_many::<String>(name).ok().flatten();
        values.into_iter().flatten().cloned().collect()
    }

    pub fn flag(&self, name: &str) -> bool {
        self.matches
            .try_get_one::<bool>(name)
            .ok()
            .flatten()
            .copied()
            .unwrap_or_default()
    }

    /// The first key.
    pub fn key(&self) -> String {
        self.texts("key").into_iter().next().unwrap_or_default()
    }
}

/// The nouns that are commands of their own.
#[derive(Debug)]
pub struct Nouns(pub Call);

impl FromArgMatches for Nouns {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let missing = || clap::Error::raw(ErrorKind::MissingSubcommand, "a command is missing\n");
        let (name, matches) = matches.subcommand().ok_or_else(missing)?;
        let noun = NOUNS.iter().find(|noun| noun.name == name).ok_or_else(missing)?;
        Call::of(noun, matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for Nouns {
    fn augment_subcommands(root: Grammar) -> Grammar {
        NOUNS.iter().fold(root, |root, noun| {
            let command = Grammar::new(noun.name)
                .about(noun.about)
                .visible_aliases(noun.aliases)
                .subcommand_required(true)
                .arg_required_else_help(true);
            root.subcommand(with_verbs(command, noun))
        })
    }

    fn augment_subcommands_for_update(root: Grammar) -> Grammar {
        Self::augment_subcommands(root)
    }

    fn has_subcommand(name: &str) -> bool {
        NOUNS.iter().any(|noun| noun.name == name)
    }
}

/// The verbs of a noun whose command has further ones: `EXTENDING[N]`.
#[derive(Debug)]
pub struct Verbs<const N: usize>(pub Call);

impl<const N: usize> FromArgMatches for Verbs<N> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Call::of(EXTENDING[N], matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<const N: usize> Subcommand for Verbs<N> {
    fn augment_subcommands(command: Grammar) -> Grammar {
        with_verbs(command, EXTENDING[N])
    }

    fn augment_subcommands_for_update(command: Grammar) -> Grammar {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        EXTENDING[N].verbs.iter().any(|verb| verb.name == name)
    }
}

fn with_verbs(command: Grammar, noun: &'static Noun) -> Grammar {
    noun.verbs.iter().fold(command, |command, verb| {
        command.subcommand(Common::augment_args(command::of(noun, verb)))
    })
}
