//! The address of the broker, and a connection to it that can always be aborted.
//!
//! The tricky thing is a broker that accepts a connection and then does not answer: lapin's thread for that connection would
//! wait forever, and each attempt would add another one. So a [`Link`] keeps a second handle of the socket and shuts the socket
//! down when it is dropped, and so does an attempt that times out.

use crate::sync::lock;
use futures_util::StreamExt;
use lapin::{
    Connection, ConnectionProperties, Event,
    tcp::{AMQPUriTcpExt, AsyncTcpStream, OwnedTLSConfig},
    uri::{AMQPScheme, AMQPUri},
};
use secrecy::{ExposeSecret, SecretString};
use std::{
    fmt, io, mem,
    net::{Shutdown, TcpStream},
    os::fd::AsFd,
    sync::{Arc, Mutex},
    time::Duration,
};

const HEARTBEAT_SECONDS: u16 = 10;

/// A broker that has not completed the handshake by then is treated as unavailable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(6);

/// The broker, and the names that this process uses there.
#[derive(Debug, Clone)]
pub struct RabbitmqConfig {
    /// `amqp://user:password@host:port/vhost`, or `amqps://…` for an encrypted connection.
    pub url: SecretString,
    /// A certificate authority that `amqps` trusts in addition to those of the system, in PEM.
    pub ca_pem: Option<String>,
    /// The first part of the name of every exchange and queue. Installations that share a virtual host need different ones.
    pub namespace: String,
    /// The name of this process in the broker's tools.
    pub connection_name: String,
}

impl RabbitmqConfig {
    pub fn new(url: SecretString) -> Self {
        Self {
            url,
            ca_pem: None,
            namespace: "attune".to_owned(),
            connection_name: "attune".to_owned(),
        }
    }
}

/// An invalid configuration. The messages do not contain the address, because it contains a password.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRabbitmqConfig {
    #[error("must be an address like amqp://user:password@host:port/vhost: {0}")]
    Url(String),
    #[error("invalid namespace {0:?}; must have 1 to 64 letters, digits, `_`, `-` or `.`")]
    Namespace(String),
}

/// The parsed address. `Display` omits the credentials.
pub(super) struct Endpoint {
    uri: AMQPUri,
    authority: Option<String>,
    connection_name: String,
}

impl Endpoint {
    pub(super) fn new(config: &RabbitmqConfig) -> Result<Self, InvalidRabbitmqConfig> {
        let mut uri: AMQPUri = config.url.expose_secret().parse().map_err(InvalidRabbitmqConfig::Url)?;
        uri.query.heartbeat = uri.query.heartbeat.or(Some(HEARTBEAT_SECONDS));
        Ok(Self {
            uri,
            authority: config.ca_pem.clone(),
            connection_name: config.connection_name.clone(),
        })
    }

    /// Connects, encrypted for `amqps`.
    pub(super) async fn open(&self) -> anyhow::Result<Link> {
        let abort = AbortOnDrop(Socket::default());
        let connecting = self.connect(abort.0.clone());
        let connection = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await??;
        Ok(Link { connection, abort })
    }

    async fn connect(&self, socket: Socket) -> lapin::Result<Connection> {
        let tls = OwnedTLSConfig {
            identity: None,
            cert_chain: self.authority.clone(),
        };
        let name = self.connection_name.as_str().into();
        let properties = ConnectionProperties::default().with_connection_name(name);
        let runtime = lapin::runtime::default_runtime()?;
        Connection::connector(
            self.uri.clone(),
            runtime,
            async move |uri, runtime| {
                let plain = AMQPUri {
                    scheme: AMQPScheme::AMQP,
                    ..uri.clone()
                };
                // Sets TCP_NODELAY.
                let stream = plain.connect_async(&runtime).await?;
                if let AsyncTcpStream::Plain(tcp) = &stream {
                    socket.register(tcp.get_ref())?;
                }
                if uri.scheme == AMQPScheme::AMQP {
                    return Ok(stream);
                }
                match stream.into_tls(&uri.authority.host, tls.as_ref()).await? {
                    // Without a TLS feature, lapin would continue unencrypted and send the password.
                    AsyncTcpStream::Plain(_) => Err(io::Error::other("this program was built without TLS").into()),
                    encrypted => Ok(encrypted),
                }
            },
            properties,
        )
        .await
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri {
            scheme,
            authority,
            vhost,
            ..
        } = &self.uri;
        // Credentials must not reach any log.
        write!(
            f,
            "{scheme}://{}:{} (virtual host {vhost:?})",
            authority.host, authority.port
        )
    }
}

/// A second handle of a connection's socket.
#[derive(Clone, Default)]
struct Socket(Arc<Mutex<SocketState>>);

#[derive(Default)]
enum SocketState {
    /// lapin's thread is still connecting.
    #[default]
    Pending,
    Open(TcpStream),
    /// Aborted, perhaps before there was a socket: then a later one must not be used.
    Aborted,
}

impl Socket {
    fn register(&self, tcp: &impl AsFd) -> io::Result<()> {
        let second = TcpStream::from(tcp.as_fd().try_clone_to_owned()?);
        let mut state = lock(&self.0);
        if matches!(*state, SocketState::Aborted) {
            return Err(io::Error::other("the connection attempt was aborted"));
        }
        *state = SocketState::Open(second);
        Ok(())
    }
}

/// Aborts the connection when dropped, even if it is not established yet.
struct AbortOnDrop(Socket);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        let mut state = lock(&self.0.0);
        if let SocketState::Open(tcp) = mem::replace(&mut *state, SocketState::Aborted) {
            // The connection may be closed already.
            let _ = tcp.shutdown(Shutdown::Both);
        }
    }
}

/// A live connection.
pub(super) struct Link {
    pub(super) connection: Connection,
    #[expect(dead_code, reason = "dropping it is its use")]
    abort: AbortOnDrop,
}

impl Link {
    /// Resolves with the reason when the connection is lost.
    pub(super) async fn lost(&self) -> anyhow::Error {
        let mut events = std::pin::pin!(self.connection.events_listener());
        while let Some(event) = events.next().await {
            match event {
                Event::Error(error) => return error.into(),
                Event::ConnectionBlocked(reason) => tracing::warn!(reason, "the broker is blocking publishers"),
                Event::ConnectionUnblocked => tracing::info!("the broker accepts messages again"),
                _ => {}
            }
        }
        anyhow::anyhow!("the connection was closed")
    }

    /// Closes the connection properly, so that the broker does not report a vanished client.
    pub(super) async fn close(&self) {
        let _ = self.connection.close(200, "bye".into()).await;
    }
}
