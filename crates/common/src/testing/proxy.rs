//! A TCP proxy that a test can interrupt: closed like a stopped server, silent like a pulled cable, or slow.

use nix::sys::socket::{setsockopt, sockopt::Linger};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
};
use tokio_util::task::TaskTracker;

/// The target of a proxy.
#[derive(Debug, Clone)]
pub enum Target {
    Tcp(u16),
    Unix(PathBuf),
}

/// How a proxy treats its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Open,
    /// Every connection is reset, including new ones.
    Closed,
    /// Connections stay open, new ones are accepted, and no data passes.
    Silent,
    /// Each chunk is delayed by this time.
    Slow(Duration),
}

/// Listens on a free port until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    way: watch::Sender<Way>,
    live: Arc<AtomicUsize>,
}

impl Proxy {
    pub async fn to(target: Target) -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let port = listener.local_addr()?.port();
        let (way, watched) = watch::channel(Way::Open);
        let live = Arc::new(AtomicUsize::new(0));
        TaskTracker::new().spawn(listen(listener, target, watched, live.clone()));
        Ok(Self { port, way, live })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// The number of open connections.
    pub fn connections(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }
}

async fn listen(listener: TcpListener, target: Target, mut way: watch::Receiver<Way>, live: Arc<AtomicUsize>) {
    let connections = TaskTracker::new();
    let mut gone = way.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = gone.wait_for(|_| false) => return,
        };
        let Ok((client, _)) = accepted else { continue };
        if *way.borrow_and_update() == Way::Closed {
            reset(&client);
            continue;
        }
        let (target, way, live) = (target.clone(), way.clone(), live.clone());
        connections.spawn(async move {
            live.fetch_add(1, Ordering::Relaxed);
            carry(client, &target, way).await;
            live.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Copies in both directions, until either end or the proxy closes.
async fn carry(client: TcpStream, target: &Target, mut way: watch::Receiver<Way>) {
    if passage(&mut way.clone()).await.is_err() {
        return reset(&client);
    }
    match target {
        Target::Tcp(port) => match TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await {
            Ok(server) => {
                // As the direct connections of the tested programs do.
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                between(client, server, &mut way).await;
            }
            Err(_) => reset(&client),
        },
        Target::Unix(path) => match UnixStream::connect(path).await {
            Ok(server) => {
                let _ = client.set_nodelay(true);
                between(client, server, &mut way).await;
            }
            Err(_) => reset(&client),
        },
    }
}

async fn between(
    mut client: TcpStream,
    mut server: impl AsyncRead + AsyncWrite + Unpin,
    way: &mut watch::Receiver<Way>,
) {
    {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = tokio::io::split(&mut server);
        tokio::select! {
            _ = pump(from_client, to_server, way.clone()) => {}
            _ = pump(from_server, to_client, way.clone()) => {}
            _ = way.wait_for(|way| *way == Way::Closed) => {}
        }
    }
    reset(&client);
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut way: watch::Receiver<Way>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        // While silent, the close of one end is not visible to the other.
        passage(&mut way).await?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
    }
}

/// Waits until data may pass.
async fn passage(way: &mut watch::Receiver<Way>) -> io::Result<()> {
    let now = *way
        .wait_for(|way| *way != Way::Silent)
        .await
        .map_err(|_| io::Error::other("the proxy is gone"))?;
    match now {
        Way::Closed => Err(io::ErrorKind::ConnectionReset.into()),
        Way::Slow(by) => {
            tokio::time::sleep(by).await;
            Ok(())
        }
        Way::Open | Way::Silent => Ok(()),
    }
}

/// Makes dropping the connection reset it instead of closing it.
fn reset(client: &TcpStream) {
    let at_once = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    // If it fails, the other end sees an orderly close, which is acceptable.
    let _ = setsockopt(client, Linger, &at_once);
}
