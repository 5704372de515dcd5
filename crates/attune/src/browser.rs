//! The link with which a browser signs in once. It is printed, and never logged.

use anyhow::Context as _;
use attune_api::auth::{FIRST_ADMIN, sign_in_link};
use attune_common::{config::Config, service::Context};
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    process::{Command, Stdio},
};

/// A new link for the first admin. None if this program has no web UI, or if that user cannot sign in.
pub async fn link(context: &Context) -> anyhow::Result<Option<SecretString>> {
    if attune_api::ui_build().is_none() {
        return Ok(None);
    }
    let key = sign_in_link(&context.pool, FIRST_ADMIN).await?;
    let base = address(&context.config);
    Ok(key.map(|key| format!("{base}/login#k={}", key.expose_secret()).into()))
}

/// The address of the UI, for a browser on this machine unless another one is configured.
fn address(config: &Config) -> String {
    if let Some(url) = &config.api.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let mut listen = config.api.listen;
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{listen}")
}

/// Opens a link in the browser of the desktop.
#[expect(clippy::disallowed_methods, reason = "the browser is another program")]
pub fn open(link: &SecretString) -> anyhow::Result<()> {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut opener = Command::new(program)
        .arg(link.expose_secret())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("failed to start {program}; open the link yourself"))?;
    // It may run as long as the browser.
    std::thread::spawn(move || opener.wait());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_for_browsers() {
        let check = |listen: &str, public: Option<&str>, expected: &str| {
            let mut config = Config::default();
            config.api.listen = listen.parse().expect("an address");
            config.api.public_url = public.map(str::to_owned);
            assert_eq!(address(&config), expected);
        };
        check("127.0.0.1:8080", None, "http://127.0.0.1:8080");
        check("0.0.0.0:80", None, "http://127.0.0.1:80");
        check("[::]:8080", None, "http://[::1]:8080");
        check("0.0.0.0:80", Some("https://attune.example/"), "https://attune.example");
    }
}
