//! What is told of an action's output while it runs: the beginnings of both streams, in the order in which they came.
//!
//! Nothing is copied for it: the beginnings are kept anyway ([`super::capture`]). Only who wrote how much is noted, so a
//! worker that does not listen costs no memory, and an action is never held up. An action that is over soon tells
//! nothing: its end says it all.

use super::{
    capture::Stream,
    protocol::{Channel, Piece},
};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Between two messages about one action, and before the first.
const EVERY: Duration = Duration::from_millis(250);
/// Told at once of one action.
const MESSAGE_BYTES: usize = 128 << 10;
/// Changes between the streams that are remembered. What comes beyond is told a little out of its order.
const TURNS_MAX: usize = 4096;

pub(super) struct Live {
    untold: VecDeque<(Channel, usize)>,
    /// Of each stream's beginning.
    told: [usize; 2],
    next_at: Instant,
    begun: bool,
}

impl Live {
    pub fn new(started: Instant) -> Self {
        Self {
            untold: VecDeque::new(),
            told: [0; 2],
            next_at: started + EVERY,
            begun: false,
        }
    }

    /// So many bytes more are kept of a stream's beginning.
    pub fn note(&mut self, channel: Channel, length: usize) {
        if length == 0 {
            return;
        }
        let turns = self.untold.len();
        let before = if turns < TURNS_MAX { 1 } else { 2 };
        // Neighbours differ, so of the last two one is of this stream.
        let last = self.untold.iter_mut().rev().take(before);
        match last.into_iter().find(|(of, _)| *of == channel) {
            Some((_, sum)) => *sum += length,
            None => self.untold.push_back((channel, length)),
        }
    }

    /// When there will be something to tell.
    pub fn due(&self) -> Option<Instant> {
        (!self.untold.is_empty()).then_some(self.next_at)
    }

    /// What is to be told now. `busy`: the worker has not taken what it was told before.
    pub fn take(&mut self, streams: [&Stream; 2], busy: bool, now: Instant) -> Vec<Piece> {
        if self.due().is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.next_at = now + EVERY;
        if busy {
            return Vec::new();
        }
        self.begun = true;
        self.pieces(streams, MESSAGE_BYTES)
    }

    /// What is left at the end, if anything was told before.
    pub fn rest(&mut self, streams: [&Stream; 2]) -> Vec<Piece> {
        if self.begun {
            self.pieces(streams, usize::MAX)
        } else {
            Vec::new()
        }
    }

    fn pieces(&mut self, streams: [&Stream; 2], limit: usize) -> Vec<Piece> {
        let (mut pieces, mut room) = (Vec::new(), limit);
        while room > 0
            && let Some((channel, length)) = self.untold.pop_front()
        {
            let taken = length.min(room);
            room -= taken;
            if taken < length {
                self.untold.push_front((channel, length - taken));
            }
            let place = usize::from(channel == Channel::Stderr);
            let (Some(told), Some(stream)) = (self.told.get_mut(place), streams.get(place)) else {
                continue;
            };
            let bytes = stream.beginning().get(*told..*told + taken).unwrap_or_default();
            *told += taken;
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

    struct Bench {
        live: Live,
        streams: [Stream; 2],
        writers: [PipeWriter; 2],
        started: Instant,
    }

    impl Bench {
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
            let before = self.streams[place].beginning().len();
            self.streams[place].pump(&mut vec![0; 1 << 16]);
            self.live.note(channel, self.streams[place].beginning().len() - before);
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
    fn nothing_is_told_of_a_short_action_and_everything_in_its_order_of_a_long_one() {
        let mut bench = Bench::new();
        bench.write(Channel::Stdout, "a");
        bench.write(Channel::Stdout, "b");
        bench.write(Channel::Stderr, "c");
        assert_eq!(bench.take(EVERY / 2, false), []);
        let [out, err] = &bench.streams;
        assert!(bench.live.rest([out, err]).is_empty());
        // The worker is busy: it is told later.
        assert_eq!(bench.take(EVERY, true), []);
        bench.write(Channel::Stdout, "d");
        let told = bench.take(EVERY * 2, false);
        let expected = [(Channel::Stdout, "ab"), (Channel::Stderr, "c"), (Channel::Stdout, "d")];
        assert_eq!(told, expected.map(|(channel, text)| (channel, text.to_owned())));
        bench.write(Channel::Stderr, "e");
        assert_eq!(bench.take(EVERY * 2, false), []);
        let [out, err] = &bench.streams;
        assert_eq!(text(bench.live.rest([out, err])), [(Channel::Stderr, "e".to_owned())]);
    }

    #[test]
    fn many_changes_between_the_streams_cost_little_and_lose_nothing() {
        let mut bench = Bench::new();
        for _ in 0..TURNS_MAX {
            bench.write(Channel::Stdout, "o");
            bench.write(Channel::Stderr, "e");
        }
        assert_eq!(bench.live.untold.len(), TURNS_MAX);
        let told = bench.take(EVERY, false);
        for (channel, letter) in [(Channel::Stdout, "o"), (Channel::Stderr, "e")] {
            let all: String = told
                .iter()
                .filter(|(of, _)| *of == channel)
                .map(|(_, text)| text.as_str())
                .collect();
            assert_eq!(all, letter.repeat(TURNS_MAX));
        }
    }
}
