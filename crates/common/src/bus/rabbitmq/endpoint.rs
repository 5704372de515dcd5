//! Where the broker is, and a connection to it that can always be ended.
//!
//! The tricky thing is a broker that accepts a connection and then says nothing: lapin's thread for that connection
//! would wait for ever, and there would be one more of them after each attempt. So a [`Link`] keeps a second handle of
//! the socket and shuts it down when it is dropped; so does an attempt that is given up.

use super::RabbitmqConfig;
use futures_util::StreamExt;
use lapin::{
    Connection, ConnectionProperties, Event,
    tcp::{AMQPUriTcpExt, AsyncTcpStream, OwnedTLSConfig},
    uri::{AMQPScheme, AMQPUri},
};
use secrecy::ExposeSecret;
use std::{
    fmt, io, mem,
    net::{Shutdown, TcpStream},
    os::fd::AsFd,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

const HEARTBEAT_SECONDS: u16 = 10;

/// A broker that has not shaken hands by then is treated as absent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(6);

/// The broker cannot even be looked for. Says what is wrong without repeating the address, which holds a password.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRabbitmqConfig {
    #[error("the address of the broker is not like amqp://user:password@host:port/vhost: {0}")]
    Url(String),
    #[error("the namespace {0:?} is not made of 1 to 64 letters, digits, `_`, `-` and `.`")]
    Namespace(String),
}

/// The parsed address. Its text form has no credentials.
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
        let ending = Ending(Socket::default());
        let connecting = self.connect(ending.0.clone());
        let connection = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await??;
        Ok(Link { connection, ending })
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
                    socket.keep(tcp.get_ref())?;
                }
                if uri.scheme == AMQPScheme::AMQP {
                    return Ok(stream);
                }
                match stream.into_tls(&uri.authority.host, tls.as_ref()).await? {
                    // Built without a feature for certificates, lapin would go on in the clear and send the password.
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
        // Credentials stay out of every log.
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
    /// lapin's thread is still looking for the broker.
    #[default]
    Awaited,
    Open(TcpStream),
    /// Given up, perhaps before there was a socket: then it must not be opened any more.
    Ended,
}

impl Socket {
    fn keep(&self, tcp: &impl AsFd) -> io::Result<()> {
        let second = TcpStream::from(tcp.as_fd().try_clone_to_owned()?);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, SocketState::Ended) {
            return Err(io::Error::other("nobody waits for this connection any more"));
        }
        *state = SocketState::Open(second);
        Ok(())
    }
}

/// Ends the connection when it is dropped, also one that never came about.
struct Ending(Socket);

impl Drop for Ending {
    fn drop(&mut self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let SocketState::Open(tcp) = mem::replace(&mut *state, SocketState::Ended) {
            // It may have ended by itself.
            let _ = tcp.shutdown(Shutdown::Both);
        }
    }
}

/// A live connection.
pub(super) struct Link {
    pub(super) connection: Connection,
    #[expect(dead_code, reason = "dropping it is its use")]
    ending: Ending,
}

impl Link {
    /// Resolves with the reason when the connection is lost.
    pub(super) async fn lost(&self) -> anyhow::Error {
        let mut events = std::pin::pin!(self.connection.events_listener());
        while let Some(event) = events.next().await {
            match event {
                Event::Error(error) => return error.into(),
                Event::ConnectionBlocked(reason) => tracing::warn!(reason, "the broker refuses messages for now"),
                Event::ConnectionUnblocked => tracing::info!("the broker takes messages again"),
                _ => {}
            }
        }
        anyhow::anyhow!("the connection ended")
    }

    /// Says goodbye, so that the broker does not report a client that vanished.
    pub(super) async fn close(&self) {
        let _ = self.connection.close(200, "bye".into()).await;
    }
}
