//! An HTTP client that costs little: prepared requests over connections that stay open. And a server that does nothing, to
//! measure what the clients cost and how fast they are at most.

use anyhow::Context as _;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

const EMPTY: &[u8] =
    b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{\"data\": 1}";

/// A POST request without its last header, so that headers can be added.
#[derive(Debug, Clone)]
pub struct Prepared {
    head: String,
    body: String,
}

impl Prepared {
    pub fn post(path: &str, headers: &[(&str, &str)], body: String) -> Self {
        let mut head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        Self { head, body }
    }

    /// The request, with one more header.
    fn bytes(&self, last: &str) -> Vec<u8> {
        [self.head.as_str(), last, "\r\n", self.body.as_str()]
            .concat()
            .into_bytes()
    }
}

/// One open connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .context("failed to connect to the API")?;
        stream
            .set_nodelay(true)
            .context("failed to disable Nagle's algorithm")?;
        Ok(Self {
            stream,
            received: Vec::with_capacity(64 * 1024),
        })
    }

    /// Sends a request and reads its answer to the end.
    pub async fn send(&mut self, request: &Prepared, last_header: &str) -> anyhow::Result<()> {
        self.stream.write_all(&request.bytes(last_header)).await?;
        let (head, length) = read_message(&mut self.stream, &mut self.received).await?;
        let message = String::from_utf8_lossy(&self.received[..head + length]);
        let status = message.get(9..12).unwrap_or_default();
        anyhow::ensure!(status.starts_with('2'), "a request was answered with: {message}");
        self.received.drain(..head + length);
        Ok(())
    }
}

/// Reads until a whole message is in the buffer. Returns the lengths of its head and of its body.
async fn read_message(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<(usize, usize)> {
    loop {
        if let Some((head, length)) = lengths(buffer)
            && buffer.len() >= head + length
        {
            return Ok((head, length));
        }
        let read = stream.read_buf(buffer).await?;
        anyhow::ensure!(read > 0, "the connection was closed");
    }
}

fn lengths(buffer: &[u8]) -> Option<(usize, usize)> {
    let head = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&buffer[..head]).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    Some((head, length.unwrap_or(0)))
}

/// A server that answers every request at once. It ends when this is dropped.
#[derive(Debug)]
pub struct EmptyServer {
    pub address: SocketAddr,
    #[expect(dead_code, reason = "dropping it ends the server")]
    tasks: JoinSet<()>,
}

impl EmptyServer {
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("no port is free")?;
        let address = listener.local_addr().context("the listener has no address")?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer(stream));
            }
        });
        Ok(Self { address, tasks })
    }
}

/// Until the client closes the connection.
async fn answer(mut stream: TcpStream) {
    let mut received = Vec::with_capacity(64 * 1024);
    while let Ok((head, length)) = read_message(&mut stream, &mut received).await {
        received.drain(..head + length);
        if stream.write_all(EMPTY).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_share_a_connection() {
        let server = EmptyServer::start().await.unwrap();
        let mut connection = Connection::open(server.address).await.unwrap();
        let request = Prepared::post("/", &[("x-test", "1")], "body".to_owned());
        for _ in 0..3 {
            connection.send(&request, "").await.unwrap();
        }
    }

    #[test]
    fn a_message_has_a_head_and_a_body() {
        assert_eq!(
            lengths(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
            Some((38, 5))
        );
        assert_eq!(lengths(b"HTTP/1.1 200 OK\r\nContent-Le"), None);
    }
}
