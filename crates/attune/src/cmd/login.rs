//! `attune login`, `logout` and `whoami`: tokens of other machines' servers, kept in contexts.

use super::session::{Common, block_on};
use crate::{
    ctx::{
        ApiArgs, Target,
        contexts::{Contexts, Stored},
    },
    failure::Failure,
    prompt,
    view::{cell::plain, out, term::Format},
};
use anyhow::Context as _;
use attune_client::{Client, Method};
use attune_common::{clock, config::variable, service::host};
use attune_domain::identity::{ApiToken, Identity, Role};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use std::io::{IsTerminal as _, Write as _, stdin};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  attune login https://attune.example
  attune login https://attune.example --login ann --password-stdin < password
  attune login https://attune.example --with-token < token

Creates an API token and stores it in a context, which other commands use. ATTUNE_USER_PASSWORD can contain the password.")]
pub struct Login {
    /// Address of the API
    #[arg(value_name = "URL")]
    pub server: String,
    /// Login [default: a prompt]
    #[arg(long = "login", id = "login", value_name = "NAME")]
    pub user: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// Read an existing API token from standard input
    #[arg(long, conflicts_with_all = ["login", "password_stdin"])]
    pub with_token: bool,
    /// Role of the token: at most yours [default: at most editor]
    #[arg(long, value_name = "ROLE")]
    pub role: Option<Role>,
    /// Name of the context [default: the host]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Days until the token expires
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..))]
    pub expires_in_days: u16,
}

#[derive(Debug, Args)]
pub struct Logout {
    /// Context to remove [default: the current one]
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

fn client(url: &str, token: Option<SecretString>) -> anyhow::Result<Client> {
    let target = Target {
        url: url.to_owned(),
        token,
        source: "the command line".to_owned(),
    };
    ApiArgs::default().client_of(target)
}

pub fn login(options: &Login) -> anyhow::Result<()> {
    let url = options.server.trim_end_matches('/');
    block_on(None, async {
        let (token, token_id, expires_at) = if options.with_token {
            let text = std::io::read_to_string(stdin()).context("failed to read standard input")?;
            (text.trim().to_owned(), None, None)
        } else {
            created(url, options).await?
        };
        let api = client(url, Some(token.clone().into()))?;
        let me: Identity = api.get("/auth/me").data().await.context("the token was not accepted")?;
        let known: Vec<ApiToken> = api.get("/api/v1/tokens").data().await?;
        let known = known.into_iter().find(|known| token.starts_with(&known.prefix));
        let stored = Stored {
            url: url.to_owned(),
            token_id: token_id
                .or_else(|| known.as_ref().map(|known| known.id))
                .unwrap_or_default(),
            expires_at: expires_at.or_else(|| known?.expires_at.map(at)),
            token,
            login: me.login.clone(),
            role: me.role.to_string(),
        };
        let host = url.split_once("://").map_or(url, |(_, host)| host);
        let name = options.name.clone().unwrap_or_else(|| host.to_owned());
        let mut contexts = Contexts::load()?;
        contexts.contexts.insert(name.clone(), stored);
        contexts.select(Some(name.clone()));
        contexts.save()?;
        eprintln!(
            "signed in at {url} as {} ({}); the current context is {name}",
            me.login, me.role
        );
        Ok(())
    })
}

fn at(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Signs in with a password, creates a token, and ends the sign-in.
async fn created(url: &str, options: &Login) -> anyhow::Result<(String, Option<i64>, Option<String>)> {
    let login = match &options.user {
        Some(login) => login.clone(),
        None if stdin().is_terminal() => {
            eprint!("login: ");
            std::io::stderr().flush().ok();
            let mut text = String::new();
            stdin().read_line(&mut text).context("failed to read the terminal")?;
            text.trim().to_owned()
        }
        None => {
            return Err(
                Failure::usage("not a terminal: give --login NAME and --password-stdin, or --with-token").into(),
            );
        }
    };
    let password = match variable("ATTUNE_USER_PASSWORD") {
        Some(given) if !options.password_stdin => given.into(),
        _ if stdin().is_terminal() || options.password_stdin => prompt::one(&format!("password of {login}: "))?,
        _ => return Err(Failure::usage("not a terminal: give --password-stdin, or set ATTUNE_USER_PASSWORD").into()),
    };
    let body = json!({"login": login, "password": password.expose_secret()});
    let tokens: Value = client(url, None)?.post("/auth/login").json(&body)?.data().await?;
    let access = tokens["access_token"].as_str().context("a sign-in gives a token")?;
    let api = client(url, Some(access.into()))?;
    let me: Identity = api.get("/auth/me").data().await?;
    let expires = at(clock::now() + TimeDelta::days(options.expires_in_days.into()));
    let role = options.role.unwrap_or_else(|| me.role.within(Role::Editor));
    let body = json!({"label": format!("cli@{}", host()), "role": role, "expires_at": expires});
    let made: Value = api.post("/api/v1/tokens").json(&body)?.data().await?;
    api.post("/auth/logout").send().await?;
    let token = made["token"].as_str().context("a new token is shown")?;
    Ok((token.to_owned(), made["id"].as_i64(), Some(expires)))
}

pub fn logout(options: &Logout) -> anyhow::Result<()> {
    let mut contexts = Contexts::load()?;
    let current = contexts.current().map(str::to_owned);
    let name = options.name.clone().or_else(|| current.clone());
    let name = name.ok_or_else(|| Failure::usage("no context is in use; `attune context list` lists all"))?;
    let stored = contexts.get(&name)?.clone();
    block_on(None, async {
        let api = client(&stored.url, Some(stored.token.into()))?;
        let path = format!("/api/v1/tokens/{}", stored.token_id);
        match api.request(Method::DELETE, &path).send().await {
            Ok(_) => eprintln!("revoked token {} at {}", stored.token_id, stored.url),
            // It is invalid already.
            Err(error) if matches!(error.status(), Some(401 | 404)) => {}
            Err(error) => return Err(error.into()),
        }
        contexts.contexts.remove(&name);
        if current.as_ref() == Some(&name) {
            contexts.select(None);
        }
        contexts.save()?;
        eprintln!("signed out of {name}");
        Ok(())
    })
}

pub fn whoami(common: &Common) -> anyhow::Result<()> {
    let source = common.api.target()?.source;
    common.run(async |session| {
        let reply = session.client.get("/auth/me").send().await?;
        let me: Value = reply.data()?;
        let server: Value = session.client.get("/").data().await?;
        let skew = reply.header("date").and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        let skew = skew.map(|date| (date.to_utc() - clock::now()).num_seconds());
        let shown = json!({"login": me["login"], "role": me["role"], "url": session.client.url(), "source": source,
                           "server_version": server["version"], "version": env!("CARGO_PKG_VERSION"), "clock_skew_seconds": skew});
        match session.view.format {
            Format::Table | Format::Wide => {
                let mut fields = shown.as_object().into_iter().flatten();
                fields.try_for_each(|(name, value)| out::line(&format!("{name}\t{}", plain(value))))
            }
            Format::Name => out::line(&plain(&me["login"])),
            _ => out::json(&shown),
        }
    })
}
