//! Which API a command uses, and with which token.
//!
//! Precedence: options, environment, the context of `--context`, the current context, the file that a local `attune up`
//! writes. A stored token is only sent to the address that it was stored for.

pub mod contexts;
pub mod local;

use crate::failure::{Failure, code};
use attune_client::{Client, Exchange, Settings};
use attune_common::config::variable;
use clap::Args;
use contexts::Contexts;
use secrecy::SecretString;
use std::{
    fs,
    io::read_to_string,
    path::{Path, PathBuf},
    time::Duration,
};

/// Where `attune up` listens by default.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// How a command reaches the API.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Connection")]
pub struct ApiArgs {
    /// Address of the API [env: `ATTUNE_API_URL`]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Context to use, see `attune context` [env: `ATTUNE_CONTEXT`]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// File with an API token; `ATTUNE_API_TOKEN` contains the token itself
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// `-` reads the token from standard input
    #[arg(long, value_name = "-", hide = true)]
    pub token: Option<String>,
    /// Data directory of a local `attune up` [default: attune-data]
    #[arg(long, env = "ATTUNE_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Time limit of the command, such as 30s or 5m; then it exits with 124
    #[arg(long, value_name = "DURATION", value_parser = crate::view::moment::span)]
    pub timeout: Option<Duration>,
    /// Print requests on standard error
    #[arg(long, short, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl std::fmt::Debug for ApiArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiArgs")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// The address and the token, with their origin.
#[derive(Debug)]
pub struct Target {
    pub url: String,
    pub token: Option<SecretString>,
    pub source: String,
}

impl ApiArgs {
    pub fn target(&self) -> anyhow::Result<Target> {
        let contexts = Contexts::load()?;
        let named = self.context.clone().or_else(|| variable("ATTUNE_CONTEXT"));
        let stored = self.stored(&contexts, named.as_deref())?;
        let (url, from) = match self.url.clone().or_else(|| variable("ATTUNE_API_URL")) {
            Some(url) if self.url.is_some() => (url, "--url".to_owned()),
            Some(url) => (url, "ATTUNE_API_URL".to_owned()),
            None => match &stored {
                Some(stored) => (stored.url.clone(), stored.source.clone()),
                None => (DEFAULT_URL.to_owned(), "the default address".to_owned()),
            },
        };
        let url = url.trim_end_matches('/').to_owned();
        if let Some((token, origin)) = self.given_token()? {
            return Ok(Target {
                url,
                token: Some(token),
                source: format!("{from}, token of {origin}"),
            });
        }
        let fits = |target: &Target| target.url.trim_end_matches('/') == url;
        let found = match stored {
            Some(stored) if fits(&stored) => Some(stored),
            _ => contexts.of_url(&url).filter(|_| named.is_none()),
        };
        Ok(match found {
            Some(stored) => Target { url, ..stored },
            None => Target {
                url,
                token: None,
                source: from,
            },
        })
    }

    /// The context, or the local `attune up`.
    fn stored(&self, contexts: &Contexts, named: Option<&str>) -> anyhow::Result<Option<Target>> {
        if let Some(name) = named {
            return contexts.target(name).map(Some);
        }
        // A data directory that the command names precedes the current context.
        if let Some(folder) = &self.data_dir {
            return local::target(folder);
        }
        match contexts.current() {
            Some(name) => contexts.target(name).map(Some),
            None => local::target(Path::new("attune-data")),
        }
    }

    fn given_token(&self) -> anyhow::Result<Option<(SecretString, &'static str)>> {
        let read = |text: std::io::Result<String>, what: &str| {
            text.map(|text| SecretString::from(text.trim().to_owned()))
                .map_err(|error| Failure::usage(format!("failed to read the token from {what}: {error}")))
        };
        if let Some(file) = &self.token_file {
            return Ok(Some((
                read(fs::read_to_string(file), &file.display().to_string())?,
                "--token-file",
            )));
        }
        match self.token.as_deref() {
            Some("-") => Ok(Some((
                read(read_to_string(std::io::stdin()), "standard input")?,
                "--token -",
            ))),
            Some(token) => {
                eprintln!(
                    "deprecated: other users can see --token TOKEN; use ATTUNE_API_TOKEN, --token-file or --token -"
                );
                Ok(Some((token.to_owned().into(), "--token")))
            }
            None => Ok(variable("ATTUNE_API_TOKEN").map(|token| (token.into(), "ATTUNE_API_TOKEN"))),
        }
    }

    /// A client with a token.
    pub fn client(&self) -> anyhow::Result<Client> {
        let target = self.target()?;
        if target.token.is_none() {
            let url = &target.url;
            return Err(Failure::new(
                code::NOT_SIGNED_IN,
                format!(
                    "not signed in at {url} ({}): run `attune login {url}`, set ATTUNE_API_TOKEN, or give the data directory of a \
                     local `attune up` with --data-dir",
                    target.source
                ),
            )
            .into());
        }
        self.client_of(target)
    }

    /// A client for what needs no sign-in.
    pub fn client_of(&self, target: Target) -> anyhow::Result<Client> {
        if self.verbose > 0 {
            eprintln!("using {} ({})", target.url, target.source);
        }
        let settings = Settings {
            token: target.token,
            observe: match self.verbose {
                0 => |_| {},
                1 => observe,
                _ => observe_all,
            },
            ..Settings::new(&target.url)
        };
        Ok(Client::new(settings)?)
    }
}

fn observe(exchange: &Exchange<'_>) {
    let status = exchange
        .status
        .map_or("no response".to_owned(), |status| status.to_string());
    let id = exchange.headers.and_then(|headers| headers.get("x-request-id"));
    let id = id.and_then(|id| id.to_str().ok()).unwrap_or("-");
    let (method, path, millis) = (exchange.method, exchange.path, exchange.took.as_millis());
    eprintln!("{method} {path} → {status} in {millis} ms, request id {id}");
}

fn observe_all(exchange: &Exchange<'_>) {
    observe(exchange);
    for (name, value) in exchange.headers.into_iter().flatten() {
        eprintln!("  {name}: {}", value.to_str().unwrap_or("…"));
    }
}
