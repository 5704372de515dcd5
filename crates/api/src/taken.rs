//! A connection whose client has to take what it is sent: it may be waited for ten seconds, and a second more for each
//! 32 KiB that it has taken since.
//!
//! Who takes nothing at all the system lets go of (`TCP_USER_TIMEOUT`). One that takes a byte now and then would keep its
//! answer in memory, and its place, for hours.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

const PATIENCE_MAX: Duration = Duration::from_secs(10);
/// So many bytes earn a second.
const BYTES_A_SECOND: u32 = 32 * 1024;

pub struct Taken {
    stream: TcpStream,
    /// How long the client may be waited for from now on.
    patience: Duration,
    waiting: Option<Waiting>,
}

/// The client takes nothing just now.
struct Waiting {
    since: Instant,
    end: Pin<Box<Sleep>>,
}

impl Taken {
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            patience: PATIENCE_MAX,
            waiting: None,
        }
    }

    fn judge(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(length)) => {
                self.took(length);
                Poll::Ready(Ok(length))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.wait(context),
        }
    }

    fn took(&mut self, length: usize) {
        let waited = self
            .waiting
            .take()
            .map_or(Duration::ZERO, |waiting| waiting.since.elapsed());
        let earned = Duration::from_secs(1) * u32::try_from(length).unwrap_or(u32::MAX) / BYTES_A_SECOND;
        self.patience = (self.patience.saturating_sub(waited) + earned).min(PATIENCE_MAX);
    }

    fn wait(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Waiting {
            since: Instant::now(),
            end: Box::pin(sleep(patience)),
        });
        if waiting.end.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        // What the system still holds for this client goes, too.
        if let Err(error) = self.stream.set_zero_linger() {
            tracing::debug!(%error, "SO_LINGER could not be set");
        }
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client takes what it is sent too slowly",
        )))
    }
}

impl AsyncRead for Taken {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Taken {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
