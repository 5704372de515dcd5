//! `attune api METHOD PATH`: a request with the token of the command line.

use super::{
    input,
    session::{Common, Session},
};
use crate::{
    failure::Failure,
    view::{cell::for_terminal, out},
};
use attune_client::Method;
use clap::Args;
use serde_json::Value;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  attune api GET /api/v1/rules
  attune api POST /api/v1/rules/core.hello/disable
  attune api GET '/api/v1/events?status=pending' --paginate")]
pub struct Api {
    /// Method, such as GET
    #[arg(value_name = "METHOD")]
    pub method: String,
    /// Path with its query, such as /api/v1/rules
    #[arg(value_name = "PATH")]
    pub path: String,
    #[arg(value_name = "FIELD", help = input::HELP)]
    pub fields: Vec<String>,
    /// Print the rows of all pages, one per line
    #[arg(long)]
    pub paginate: bool,
    #[command(flatten)]
    pub common: Common,
}

pub fn run(options: &Api) -> anyhow::Result<()> {
    if !options.path.starts_with('/') {
        return Err(Failure::usage(format!("the path {:?} must begin with a slash", options.path)).into());
    }
    let method = options.method.to_ascii_uppercase();
    let method =
        Method::from_bytes(method.as_bytes()).map_err(|_| Failure::usage(format!("{method:?} is not a method")))?;
    let body = input::fields(&options.fields, true)?;
    options.common.run(async |session| {
        if options.paginate {
            return pages(session, &options.path).await;
        }
        let mut request = session.client.request(method, &options.path);
        if !options.fields.is_empty() {
            request = request.json(&body)?;
        }
        let reply = request.send().await?;
        let text = String::from_utf8_lossy(&reply.body);
        match serde_json::from_str::<Value>(&text) {
            Ok(value) => out::line(&shown(session, &serde_json::to_string_pretty(&value)?)),
            Err(_) => out::text(&shown(session, &text)),
        }
    })
}

async fn pages(session: &Session, path: &str) -> anyhow::Result<()> {
    let mut pages = session.client.pages(path, &[]);
    while let Some(rows) = pages.next().await? {
        for row in rows {
            out::line(&shown(session, &row.to_string()))?;
        }
    }
    Ok(())
}

fn shown(session: &Session, text: &str) -> String {
    if session.view.tty {
        for_terminal(text)
    } else {
        text.to_owned()
    }
}
