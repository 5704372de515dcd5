//! Waits to the microsecond, where the runtime's own clock ticks in milliseconds and rounds up.

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

/// A timer of the kernel. One waits at a time.
#[derive(Debug)]
pub struct Alarm {
    timer: TimerFd,
    /// The same descriptor: it is read as a pipe is, eight bytes when it has gone off.
    ring: pipe::Receiver,
}

impl Alarm {
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let ring = pipe::Receiver::from_owned_fd_unchecked(timer.as_fd().try_clone_to_owned()?)?;
        Ok(Self { timer, ring })
    }

    /// Returns at `at`, and at once when that has passed. Dropped, it waits no longer.
    pub async fn until(&self, at: Instant) -> io::Result<()> {
        loop {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.timer.set(after(left), TimerSetTimeFlags::empty())?;
            self.ring.readable().await?;
            // An earlier wait that was given up may have left its ring.
            match self.ring.try_read(&mut [0; 8]) {
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
    async fn it_never_returns_early_and_can_be_used_again() {
        let alarm = Alarm::new().expect("the kernel has timers");
        let far = Instant::now() + Duration::from_secs(3600);
        for micros in [0, 1, 1_700, 20_000] {
            let given_up = tokio::time::timeout(Duration::from_millis(1), alarm.until(far)).await;
            assert!(given_up.is_err(), "an hour is longer than that");
            let at = Instant::now() + Duration::from_micros(micros);
            alarm.until(at).await.expect("it waits");
            assert!(Instant::now() >= at, "{micros} µs");
        }
    }
}
