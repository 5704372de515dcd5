//! Waits with the precision of a microsecond. The runtime's own timers have a resolution of a millisecond and round up.

use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use std::{
    io,
    os::fd::AsFd as _,
    time::{Duration, Instant},
};
use tokio::net::unix::pipe;

/// A timer of the kernel, for one waiter at a time.
#[derive(Debug)]
pub struct Alarm {
    timer: TimerFd,
    /// The same descriptor, which is read like a pipe: eight bytes when the timer has expired.
    expirations: pipe::Receiver,
}

impl Alarm {
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let expirations = pipe::Receiver::from_owned_fd_unchecked(timer.as_fd().try_clone_to_owned()?)?;
        Ok(Self { timer, expirations })
    }

    /// Returns at `at`, or at once when that has passed. It may be dropped while it waits.
    pub async fn until(&self, at: Instant) -> io::Result<()> {
        loop {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.timer.set(after(left), TimerSetTimeFlags::empty())?;
            self.expirations.readable().await?;
            // An earlier wait that was dropped may have left its expiration.
            match self.expirations.try_read(&mut [0; 8]) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
    }
}

fn after(left: Duration) -> Expiration {
    Expiration::OneShot(TimeSpec::from_duration(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn never_returns_early_and_is_reusable() {
        let alarm = Alarm::new().expect("a timer of the kernel");
        let far = Instant::now() + Duration::from_secs(3600);
        for micros in [0, 1, 1_700, 20_000] {
            let dropped = tokio::time::timeout(Duration::from_millis(1), alarm.until(far)).await;
            assert!(dropped.is_err(), "an hour is longer than that");
            let at = Instant::now() + Duration::from_micros(micros);
            alarm.until(at).await.expect("the wait succeeds");
            assert!(Instant::now() >= at, "{micros} µs");
        }
    }
}
