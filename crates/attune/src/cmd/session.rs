//! What every command on the API has: a client, and the way to print.

use crate::{
    ctx::ApiArgs,
    failure::{Failure, code},
    view::term::{OutputArgs, View},
};
use anyhow::Context as _;
use attune_client::Client;
use clap::Args;
use std::time::Duration;

/// The options of every command on the API.
#[derive(Debug, Clone, Args, Default)]
pub struct Common {
    #[command(flatten)]
    pub api: ApiArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug)]
pub struct Session {
    pub client: Client,
    pub view: View,
}

impl Common {
    /// Runs a command that needs a sign-in.
    pub fn run(&self, command: impl AsyncFnOnce(&Session) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let session = Session {
            client: self.api.client()?,
            view: self.output.view(),
        };
        block_on(self.api.timeout, command(&session))
    }
}

/// Runs a command within its time limit.
pub fn block_on(limit: Option<Duration>, command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let ended = runtime.block_on(async {
        let Some(limit) = limit else {
            return command.await;
        };
        if let Ok(ended) = tokio::time::timeout(limit, command).await {
            return ended;
        }
        let seconds = limit.as_secs();
        let message = format!("the time limit of {seconds} s has expired; what was started continues");
        Err(Failure::new(code::TIME_LIMIT, message).into())
    });
    // A thread that reads standard input or resolves a name must not delay the end.
    runtime.shutdown_background();
    ended
}
