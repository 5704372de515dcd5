//! Which connections are open, and which one is evicted for the next.
//!
//! A connection waits while it is idle, while its request is incomplete, and from an answer to the next request. Waiting
//! costs a client nothing, so a waiting connection never blocks a new one: the longest-waiting connection of the address
//! with the most connections is evicted. A connection with a running request is never evicted.

use crate::client;
use attune_common::{config, network::Networks};
use std::{
    cmp::Reverse,
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Connections beyond the limit, for health while every other connection has a running request.
const RESERVE: usize = 64;

#[derive(Debug, Clone)]
pub struct Connections(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max: usize,
    per_peer_max: usize,
    exempt: Networks,
    started: Instant,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Entry>,
    by_peer: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Entry {
    peer: IpAddr,
    /// A trusted proxy, which has the connections of many clients.
    exempt: bool,
    waiting: Waiting,
    evicted: CancellationToken,
}

/// How a new connection is treated.
#[derive(Debug)]
pub enum Place {
    Full(Ticket),
    HealthOnly(Ticket),
    Refused,
}

/// The registration of a connection, until it is dropped.
#[derive(Debug)]
pub struct Ticket {
    id: u64,
    connections: Connections,
    pub waiting: Waiting,
    /// Canceled when the connection is evicted.
    pub evicted: CancellationToken,
}

/// Since when a connection has been waiting for its client.
#[derive(Debug, Clone)]
pub struct Waiting {
    started: Instant,
    since_micros: Arc<AtomicU64>,
}

impl Waiting {
    const WORKS: u64 = u64::MAX;

    fn new(started: Instant) -> Self {
        let waiting = Self {
            started,
            since_micros: Arc::default(),
        };
        waiting.begin();
        waiting
    }

    /// The connection waits for its client.
    pub fn begin(&self) {
        let since = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(Self::WORKS - 1);
        self.since_micros.store(since, Ordering::Relaxed);
    }

    /// A request is complete and runs until it is answered.
    pub fn end(&self) {
        self.since_micros.store(Self::WORKS, Ordering::Relaxed);
    }

    pub fn is_waiting(&self) -> bool {
        self.since().is_some()
    }

    fn since(&self) -> Option<u64> {
        let since = self.since_micros.load(Ordering::Relaxed);
        (since != Self::WORKS).then_some(since)
    }
}

impl Connections {
    /// At most `fit` connections, whatever the configuration is.
    pub fn new(config: &config::Api, fit: usize) -> Self {
        let limit = |number: u32| usize::try_from(number).unwrap_or(usize::MAX).max(1);
        Self(Arc::new(Inner {
            max: limit(config.connections_max).min(fit),
            per_peer_max: limit(config.connections_per_peer_max),
            exempt: config.trusted_proxies.clone(),
            started: Instant::now(),
            open: Mutex::default(),
        }))
    }

    /// Admits a connection, and may evict another one for it.
    pub fn admit(&self, peer: IpAddr) -> Place {
        let mut open = self.lock();
        let counted = client::network(peer);
        let exempt = self.0.exempt.contains(peer);
        let of_peer = open.by_peer.get(&counted).copied().unwrap_or_default();
        if !exempt && of_peer >= self.0.per_peer_max && !open.make_room(Some(counted)) {
            refuse("peer");
            return Place::Refused;
        }
        if open.connections.len() >= self.0.max {
            open.make_room(None);
        }
        let taken = open.connections.len();
        if taken >= self.0.max + RESERVE {
            refuse("all");
            return Place::Refused;
        }
        let ticket = self.enter(&mut open, counted, exempt);
        if taken < self.0.max {
            Place::Full(ticket)
        } else {
            Place::HealthOnly(ticket)
        }
    }

    /// Evicts a waiting connection, if there is one.
    pub fn evict(&self) {
        self.lock().make_room(None);
    }

    fn enter(&self, open: &mut Open, peer: IpAddr, exempt: bool) -> Ticket {
        let id = open.next;
        open.next += 1;
        let (waiting, evicted) = (Waiting::new(self.0.started), CancellationToken::new());
        let entry = Entry {
            peer,
            exempt,
            waiting: waiting.clone(),
            evicted: evicted.clone(),
        };
        open.connections.insert(id, entry);
        *open.by_peer.entry(peer).or_default() += 1;
        Ticket {
            id,
            connections: self.clone(),
            waiting,
            evicted,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refuse(limit: &'static str) {
    metrics::counter!("attune_connections_refused_total", "limit" => limit).increment(1);
}

impl Open {
    /// Evicts the longest-waiting connection of this peer, or of the peer with the most connections. False if none waits.
    fn make_room(&mut self, peer: Option<IpAddr>) -> bool {
        let waiting = self.connections.iter().filter_map(|(id, entry)| {
            let since = entry.waiting.since()?;
            let weight = match peer {
                Some(peer) if peer != entry.peer => return None,
                Some(_) => 0,
                None if entry.exempt => 1,
                None => self.by_peer.get(&entry.peer).copied().unwrap_or_default(),
            };
            Some((weight, Reverse(since), *id))
        });
        let Some((.., id)) = waiting.max() else {
            return false;
        };
        if let Some(entry) = self.remove(id) {
            metrics::counter!("attune_connections_evicted_total").increment(1);
            entry.evicted.cancel();
        }
        true
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.connections.remove(&id)?;
        if let Some(count) = self.by_peer.get_mut(&entry.peer) {
            *count -= 1;
            if *count == 0 {
                self.by_peer.remove(&entry.peer);
            }
        }
        Some(entry)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.connections.lock().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(max: u32, per_peer_max: u32) -> Connections {
        let config = config::Api {
            connections_max: max,
            connections_per_peer_max: per_peer_max,
            trusted_proxies: "10.0.0.0/8".parse().expect("networks"),
            ..config::Api::default()
        };
        Connections::new(&config, usize::MAX)
    }

    fn peer(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    #[track_caller]
    fn full(place: Place) -> Ticket {
        match place {
            Place::Full(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_longest_waiting_connection_of_a_peer_makes_room() {
        let connections = connections(100, 2);
        let [first, second] = [1, 1].map(|n| full(connections.admit(peer(n))));
        let other = full(connections.admit(peer(2)));
        first.waiting.end();
        let third = full(connections.admit(peer(1)));
        assert!(second.evicted.is_cancelled() && !first.evicted.is_cancelled() && !other.evicted.is_cancelled());
        third.waiting.end();
        assert!(
            matches!(connections.admit(peer(1)), Place::Refused),
            "both have running requests"
        );
        drop(first);
        full(connections.admit(peer(1)));
    }

    #[test]
    fn who_has_most_makes_room_for_others() {
        let connections = connections(4, 100);
        let quiet = full(connections.admit(peer(1)));
        let greedy: Vec<_> = (0..3).map(|_| full(connections.admit(peer(2)))).collect();
        let next = full(connections.admit(peer(3)));
        assert!(greedy[0].evicted.is_cancelled() && !quiet.evicted.is_cancelled());
        for ticket in greedy.iter().chain([&quiet, &next]) {
            ticket.waiting.end();
        }
        let Place::HealthOnly(health) = connections.admit(peer(4)) else {
            panic!("all have running requests");
        };
        let more: Vec<_> = (0..RESERVE).map(|_| connections.admit(peer(5))).collect();
        assert!(health.evicted.is_cancelled(), "it was waiting in the reserve");
        assert!(more.iter().all(|place| matches!(place, Place::HealthOnly(_))));
    }

    #[test]
    fn a_trusted_proxy_has_no_limit_of_its_own_and_does_not_go_first() {
        let connections = connections(10, 2);
        let proxy: Vec<_> = (0..8)
            .map(|_| full(connections.admit(IpAddr::from([10, 0, 0, 1]))))
            .collect();
        let pair = [1, 1].map(|n| full(connections.admit(peer(n))));
        full(connections.admit(peer(2)));
        assert!(proxy.iter().all(|ticket| !ticket.evicted.is_cancelled()));
        assert!(pair[0].evicted.is_cancelled());
    }

    #[test]
    fn an_ipv6_host_is_one_peer() {
        let connections = connections(10, 1);
        let addresses = ["2001:db8::1", "2001:db8::2"].map(|address| address.parse().expect("an address"));
        let [first, _second] = addresses.map(|address| full(connections.admit(address)));
        assert!(first.evicted.is_cancelled());
    }
}
