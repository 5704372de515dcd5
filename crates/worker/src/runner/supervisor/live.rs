//! The output of an action that is sent while it runs: the heads of both streams, in the order of writing.
//!
//! Nothing is copied: the heads are captured anyway ([`super::capture`]). Only the order and the lengths are recorded, so a
//! worker that does not read costs no memory, and an action is never blocked. An action that ends soon sends nothing here,
//! because its report contains everything.

use super::{
    capture::Stream,
    protocol::{Channel, Piece},
};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The interval between two messages about one action, and before the first.
const INTERVAL: Duration = Duration::from_millis(250);
/// The most bytes in one message.
const MESSAGE_BYTES: usize = 128 << 10;
/// The most recorded switches between the streams. Beyond it, pieces are merged and slightly out of order.
const TURNS_MAX: usize = 4096;

pub(super) struct Live {
    unsent: VecDeque<(Channel, usize)>,
    /// How much of each stream's head was sent.
    sent: [usize; 2],
    next_at: Instant,
    started: bool,
}

impl Live {
    pub fn new(started: Instant) -> Self {
        Self {
            unsent: VecDeque::new(),
            sent: [0; 2],
            next_at: started + INTERVAL,
            started: false,
        }
    }

    /// Records that the head of a stream grew by `length` bytes.
    pub fn record(&mut self, channel: Channel, length: usize) {
        if length == 0 {
            return;
        }
        let turns = self.unsent.len();
        let before = if turns < TURNS_MAX { 1 } else { 2 };
        // Neighbours differ, so one of the last two belongs to this stream.
        let last = self.unsent.iter_mut().rev().take(before);
        match last.into_iter().find(|(of, _)| *of == channel) {
            Some((_, sum)) => *sum += length,
            None => self.unsent.push_back((channel, length)),
        }
    }

    /// When there is output to send.
    pub fn due(&self) -> Option<Instant> {
        (!self.unsent.is_empty()).then_some(self.next_at)
    }

    /// The output to send now. `busy`: the worker has not read the previous messages yet.
    pub fn take(&mut self, streams: [&Stream; 2], busy: bool, now: Instant) -> Vec<Piece> {
        if self.due().is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.next_at = now + INTERVAL;
        if busy {
            return Vec::new();
        }
        self.started = true;
        self.pieces(streams, MESSAGE_BYTES)
    }

    /// The rest of the output at the end, if any was sent before.
    pub fn rest(&mut self, streams: [&Stream; 2]) -> Vec<Piece> {
        if self.started {
            self.pieces(streams, usize::MAX)
        } else {
            Vec::new()
        }
    }

    fn pieces(&mut self, streams: [&Stream; 2], limit: usize) -> Vec<Piece> {
        let (mut pieces, mut room) = (Vec::new(), limit);
        while room > 0
            && let Some((channel, length)) = self.unsent.pop_front()
        {
            let taken = length.min(room);
            room -= taken;
            if taken < length {
                self.unsent.push_front((channel, length - taken));
            }
            let place = usize::from(channel == Channel::Stderr);
            let (Some(sent), Some(stream)) = (self.sent.get_mut(place), streams.get(place)) else {
                continue;
            };
            let bytes = stream.head().get(*sent..*sent + taken).unwrap_or_default();
            *sent += taken;
            pieces.push(Piece {
                channel,
                bytes: bytes.to_vec(),
            });
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{PipeWriter, Write as _};

    struct Fixture {
        live: Live,
        streams: [Stream; 2],
        writers: [PipeWriter; 2],
        started: Instant,
    }

    impl Fixture {
        fn new() -> Self {
            let started = Instant::now();
            let [(out, to_out), (err, to_err)] = [std::io::pipe().unwrap(), std::io::pipe().unwrap()];
            Self {
                live: Live::new(started),
                streams: [Stream::new(out).unwrap(), Stream::new(err).unwrap()],
                writers: [to_out, to_err],
                started,
            }
        }

        fn write(&mut self, channel: Channel, text: &str) {
            let place = usize::from(channel == Channel::Stderr);
            self.writers[place].write_all(text.as_bytes()).unwrap();
            let before = self.streams[place].head().len();
            self.streams[place].pump(&mut vec![0; 1 << 16]);
            self.live.record(channel, self.streams[place].head().len() - before);
        }

        fn take(&mut self, after: Duration, busy: bool) -> Vec<(Channel, String)> {
            let [out, err] = &self.streams;
            let pieces = self.live.take([out, err], busy, self.started + after);
            text(pieces)
        }
    }

    fn text(pieces: Vec<Piece>) -> Vec<(Channel, String)> {
        let one = |piece: Piece| (piece.channel, String::from_utf8(piece.bytes).unwrap());
        pieces.into_iter().map(one).collect()
    }

    #[test]
    fn a_short_action_sends_nothing_and_a_long_one_everything_in_order() {
        let mut fixture = Fixture::new();
        fixture.write(Channel::Stdout, "a");
        fixture.write(Channel::Stdout, "b");
        fixture.write(Channel::Stderr, "c");
        assert_eq!(fixture.take(INTERVAL / 2, false), []);
        let [out, err] = &fixture.streams;
        assert!(fixture.live.rest([out, err]).is_empty());
        // The worker is busy: the output is sent later.
        assert_eq!(fixture.take(INTERVAL, true), []);
        fixture.write(Channel::Stdout, "d");
        let sent = fixture.take(INTERVAL * 2, false);
        let expected = [(Channel::Stdout, "ab"), (Channel::Stderr, "c"), (Channel::Stdout, "d")];
        assert_eq!(sent, expected.map(|(channel, text)| (channel, text.to_owned())));
        fixture.write(Channel::Stderr, "e");
        assert_eq!(fixture.take(INTERVAL * 2, false), []);
        let [out, err] = &fixture.streams;
        assert_eq!(text(fixture.live.rest([out, err])), [(Channel::Stderr, "e".to_owned())]);
    }

    #[test]
    fn many_switches_between_the_streams_cost_little_and_lose_nothing() {
        let mut fixture = Fixture::new();
        for _ in 0..TURNS_MAX {
            fixture.write(Channel::Stdout, "o");
            fixture.write(Channel::Stderr, "e");
        }
        assert_eq!(fixture.live.unsent.len(), TURNS_MAX);
        let sent = fixture.take(INTERVAL, false);
        for (channel, letter) in [(Channel::Stdout, "o"), (Channel::Stderr, "e")] {
            let all: String = sent
                .iter()
                .filter(|(of, _)| *of == channel)
                .map(|(_, text)| text.as_str())
                .collect();
            assert_eq!(all, letter.repeat(TURNS_MAX));
        }
    }
}
