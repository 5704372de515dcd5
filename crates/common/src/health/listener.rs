//! A listener with a limited number of connections, so that clients of the health endpoint cannot use up the file descriptors of
//! a service. Further clients wait; a connection is closed after a while, so that idle clients cannot block the others.

use axum::serve::Listener;
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};

pub(super) struct LimitedListener {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    connection_timeout: Duration,
}

impl LimitedListener {
    pub fn new(listener: TcpListener, connections_max: usize, connection_timeout: Duration) -> Self {
        Self {
            listener,
            slots: Arc::new(Semaphore::new(connections_max)),
            connection_timeout,
        }
    }
}

impl Listener for LimitedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // Never fails: the semaphore is not closed.
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let connection = Connection {
            stream,
            timeout: Box::pin(sleep(self.connection_timeout)),
            slot,
        };
        (connection, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

pub(super) struct Connection {
    stream: TcpStream,
    timeout: Pin<Box<Sleep>>,
    #[expect(dead_code, reason = "dropping it is its use")]
    slot: Option<OwnedSemaphorePermit>,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.timeout.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, routing::get};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        time::timeout,
    };

    const LONG: Duration = Duration::from_secs(20);

    async fn request(address: SocketAddr) -> TcpStream {
        let mut client = TcpStream::connect(address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        client.write_all(request).await.unwrap();
        client
    }

    async fn answer(mut client: TcpStream) -> String {
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        text
    }

    async fn check(connection_timeout: Duration, clients: impl AsyncFnOnce(SocketAddr)) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "ok"));
        let served = axum::serve(LimitedListener::new(listener, 2, connection_timeout), router);
        tokio::select! {
            ended = served.into_future() => panic!("{ended:?}"),
            () = clients(address) => {}
        }
    }

    #[tokio::test]
    async fn further_clients_wait_for_a_connection_to_close() {
        check(LONG * 3, async |address| {
            let idle = [
                TcpStream::connect(address).await.unwrap(),
                TcpStream::connect(address).await.unwrap(),
            ];
            let mut third = request(address).await;
            let early = timeout(Duration::from_millis(300), third.read_u8()).await;
            assert!(early.is_err(), "{early:?}");
            drop(idle);
            let text = timeout(LONG, answer(third)).await.unwrap();
            assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        })
        .await;
    }

    #[tokio::test]
    async fn an_idle_connection_is_closed() {
        check(Duration::from_millis(300), async |address| {
            let _idle = [
                TcpStream::connect(address).await.unwrap(),
                TcpStream::connect(address).await.unwrap(),
            ];
            let text = timeout(LONG, answer(request(address).await)).await.unwrap();
            assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        })
        .await;
    }
}
