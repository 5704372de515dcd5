//! The client of a request: the peer of its connection or, behind a trusted proxy, the client that the proxy names.
//!
//! Limits, the audit and the inbox use the [`Client`]. Only limits on connections use the [`Peer`].

mod forwarded;

use attune_common::{
    config::{self, ForwardedHeader},
    network::Networks,
};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, header},
    middleware::Next,
    response::Response,
};
use forwarded::{Hop, Trail};
use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The other end of the connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// The address that a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client(IpAddr);

impl Client {
    pub fn address(self) -> IpAddr {
        self.0
    }

    /// The key of limits: an IPv4 address or an IPv6 /64, within which a host can choose its address.
    pub fn counted(self) -> String {
        match network(self.0) {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(network) => format!("{network}/64"),
        }
    }

    /// The same as an address: the first address of an IPv6 /64.
    pub fn network(self) -> IpAddr {
        network(self.0)
    }
}

/// An IPv4 address unchanged; the first address of an IPv6 /64.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

/// The trusted proxies, and which of their headers is read.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    trusted: Networks,
    header: ForwardedHeader,
    warned: Arc<AtomicBool>,
}

impl Proxies {
    pub fn new(config: &config::Api) -> Self {
        Self {
            trusted: config.trusted_proxies.clone(),
            header: config.forwarded_header,
            warned: Arc::default(),
        }
    }

    /// The client of a request with these headers that came over a connection from `peer`.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusted.contains(peer) {
            self.warn_of_untrusted(peer, headers);
            return peer;
        }
        let forwarded = self.walk(peer, headers, &header::FORWARDED, Trail::forwarded);
        let x_forwarded_for = self.walk(peer, headers, &X_FORWARDED_FOR, Trail::x_forwarded_for);
        let named = match self.header {
            ForwardedHeader::Forwarded => forwarded,
            ForwardedHeader::XForwardedFor => x_forwarded_for,
            ForwardedHeader::Auto => match (forwarded, x_forwarded_for) {
                // The client may have sent one of them, which the proxy passed on.
                (Some(one), Some(other)) if one != other => None,
                (one, other) => one.or(other),
            },
        };
        named.unwrap_or(peer)
    }

    /// Walks from the nearest hop to the first one that is not a trusted proxy; anyone may have written the hops beyond it.
    /// A hidden or malformed hop ends the walk at the proxy before it. `None` if the header is missing.
    fn walk(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        name: &HeaderName,
        read: impl Fn(&str) -> Option<Trail>,
    ) -> Option<IpAddr> {
        if !headers.contains_key(name) {
            return None;
        }
        let lines: Vec<_> = headers.get_all(name).iter().collect();
        let mut nearest = peer;
        for line in lines.into_iter().rev() {
            let Some(Trail(hops)) = line.to_str().ok().and_then(&read) else {
                break;
            };
            for hop in hops.into_iter().rev() {
                let Hop::Address(address) = hop else {
                    return Some(nearest);
                };
                nearest = address;
                if !self.trusted.contains(address) {
                    return Some(address);
                }
            }
        }
        Some(nearest)
    }

    /// Without the setting all clients of a proxy share one address, and its limits. Logged once.
    fn warn_of_untrusted(&self, peer: IpAddr, headers: &HeaderMap) {
        let forwarded = headers.contains_key(header::FORWARDED) || headers.contains_key(X_FORWARDED_FOR);
        if forwarded && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                "ignored a Forwarded or X-Forwarded-For header from an untrusted address; if it is your reverse proxy, add it to \
                 api.trusted_proxies, or all clients share the limits of the proxy"
            );
        }
    }
}

/// Adds the [`Client`] to every request that came over a connection.
pub async fn identify(State(proxies): State<Proxies>, mut request: Request, next: Next) -> Response {
    if let Some(Peer(peer)) = request.extensions().get::<Peer>().copied() {
        let client = proxies.client(peer.ip(), request.headers());
        request.extensions_mut().insert(Client(client));
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests over a connection from a trusted proxy (10.0.0.1 by default), and the client of each.
    struct Case(&'static str, &'static [(&'static str, &'static str)], &'static str);

    const F: &str = "forwarded";
    const X: &str = "x-forwarded-for";

    fn proxies(header: ForwardedHeader) -> Proxies {
        Proxies {
            trusted: "10.0.0.0/8, 2001:db8:ffff::/48".parse().expect("networks"),
            header,
            warned: Arc::default(),
        }
    }

    #[track_caller]
    fn check(header: ForwardedHeader, cases: &[Case]) {
        for Case(peer, lines, expected) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in *lines {
                let name = HeaderName::from_static(name);
                headers.append(name, value.parse().expect("a header"));
            }
            let peer = peer.parse().expect("an address");
            let client = proxies(header).client(peer, &headers);
            assert_eq!(client.to_string(), *expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn the_client_behind_trusted_proxies() {
        check(
            ForwardedHeader::Auto,
            &[
                // Other peers are not trusted.
                Case("192.0.2.1", &[(X, "198.51.100.1")], "192.0.2.1"),
                Case("192.0.2.1", &[(F, "for=198.51.100.1")], "192.0.2.1"),
                Case("10.0.0.1", &[], "10.0.0.1"),
                Case("::ffff:10.0.0.1", &[(X, "198.51.100.1")], "198.51.100.1"),
                Case("2001:db8:ffff::1", &[(X, "198.51.100.1")], "198.51.100.1"),
                // From right to left, and never beyond the first that is not trusted.
                Case("10.0.0.1", &[(X, "198.51.100.1")], "198.51.100.1"),
                Case("10.0.0.1", &[(X, "203.0.113.9, 198.51.100.1")], "198.51.100.1"),
                Case("10.0.0.1", &[(X, "198.51.100.1, 10.0.0.2, 10.0.0.3")], "198.51.100.1"),
                Case("10.0.0.1", &[(X, "10.9.9.9, 198.51.100.1, 10.0.0.3")], "198.51.100.1"),
                Case("10.0.0.1", &[(X, "10.0.0.4, 10.0.0.3")], "10.0.0.4"),
                Case("10.0.0.1", &[(X, "203.0.113.9"), (X, "198.51.100.1")], "198.51.100.1"),
                Case("10.0.0.1", &[(X, "198.51.100.1"), (X, "10.0.0.2")], "198.51.100.1"),
                Case("10.0.0.1", &[(X, ""), (X, "198.51.100.1")], "198.51.100.1"),
                Case("10.0.0.1", &[(X, "")], "10.0.0.1"),
                Case("10.0.0.1", &[(X, " , ,198.51.100.1 , ")], "198.51.100.1"),
                // Forms of an address.
                Case("10.0.0.1", &[(X, "198.51.100.1:4711")], "198.51.100.1"),
                Case("10.0.0.1", &[(X, "2001:db8::7")], "2001:db8::7"),
                Case("10.0.0.1", &[(X, "[2001:db8::7]:4711")], "2001:db8::7"),
                Case("10.0.0.1", &[(X, "[2001:DB8::7]")], "2001:db8::7"),
                Case("10.0.0.1", &[(X, "::ffff:198.51.100.1")], "198.51.100.1"),
                Case("10.0.0.1", &[(X, "\"198.51.100.1\"")], "198.51.100.1"),
                // A malformed hop ends the walk at the last known proxy.
                Case("10.0.0.1", &[(X, "unknown")], "10.0.0.1"),
                Case("10.0.0.1", &[(X, "198.51.100.1, unknown, 10.0.0.2")], "10.0.0.2"),
                Case("10.0.0.1", &[(X, "198.51.100.1, 010.0.0.2")], "10.0.0.1"),
                Case("10.0.0.1", &[(X, "198.51.100.1 10.0.0.2")], "10.0.0.1"),
                Case("10.0.0.1", &[(X, "198.51.100.1:port")], "10.0.0.1"),
                Case("10.0.0.1", &[(X, "198.51.100.1:99999")], "10.0.0.1"),
                Case("10.0.0.1", &[(X, "[2001:db8::7")], "10.0.0.1"),
                Case("10.0.0.1", &[(X, "2001:db8::7]")], "10.0.0.1"),
                Case("10.0.0.1", &[(X, "fe80::1%eth0")], "10.0.0.1"),
                Case("10.0.0.1", &[(X, "client.example.org")], "10.0.0.1"),
                Case("10.0.0.1", &[(X, "\" , 198.51.100.1")], "198.51.100.1"),
            ],
        );
    }

    #[test]
    fn the_client_in_forwarded() {
        check(
            ForwardedHeader::Auto,
            &[
                Case("10.0.0.1", &[(F, "for=198.51.100.1")], "198.51.100.1"),
                Case("10.0.0.1", &[(F, "For=\"198.51.100.1\"")], "198.51.100.1"),
                Case(
                    "10.0.0.1",
                    &[(F, "for=198.51.100.1;proto=https;by=10.0.0.1;host=a")],
                    "198.51.100.1",
                ),
                Case(
                    "10.0.0.1",
                    &[(F, "proto=https; for=198.51.100.1 ;by=_x")],
                    "198.51.100.1",
                ),
                Case("10.0.0.1", &[(F, "for=\"198.51.100.1:4711\"")], "198.51.100.1"),
                Case("10.0.0.1", &[(F, "for=198.51.100.1:4711")], "198.51.100.1"),
                Case("10.0.0.1", &[(F, "for=\"[2001:db8::7]\"")], "2001:db8::7"),
                Case("10.0.0.1", &[(F, "FOR=\"[2001:db8::7]:4711\"")], "2001:db8::7"),
                Case("10.0.0.1", &[(F, "for=\"[2001:db8::7]:_port\"")], "2001:db8::7"),
                Case("10.0.0.1", &[(F, "for=\"198.51.\\100.1\"")], "198.51.100.1"),
                Case("10.0.0.1", &[(F, "for=203.0.113.9, for=198.51.100.1")], "198.51.100.1"),
                Case("10.0.0.1", &[(F, "for=198.51.100.1, for=10.0.0.2")], "198.51.100.1"),
                Case(
                    "10.0.0.1",
                    &[(F, "for=198.51.100.1;host=\"a, for=203.0.113.9\"")],
                    "198.51.100.1",
                ),
                Case(
                    "10.0.0.1",
                    &[(F, "for=198.51.100.1"), (F, "for=10.0.0.2")],
                    "198.51.100.1",
                ),
                Case(
                    "10.0.0.1",
                    &[(F, "for=\"unclosed"), (F, "for=198.51.100.1")],
                    "198.51.100.1",
                ),
                Case("10.0.0.1", &[(F, ",, for=198.51.100.1;, ")], "198.51.100.1"),
                // A hidden client counts as its proxy.
                Case("10.0.0.1", &[(F, "for=unknown")], "10.0.0.1"),
                Case("10.0.0.1", &[(F, "for=\"unknown:4711\"")], "10.0.0.1"),
                Case("10.0.0.1", &[(F, "for=_hidden")], "10.0.0.1"),
                Case(
                    "10.0.0.1",
                    &[(F, "for=198.51.100.1, for=_hidden, for=10.0.0.2")],
                    "10.0.0.2",
                ),
                Case("10.0.0.1", &[(F, "for=198.51.100.1, proto=https")], "10.0.0.1"),
                // Malformed.
                Case("10.0.0.1", &[(F, "198.51.100.1")], "10.0.0.1"),
                Case("10.0.0.1", &[(F, "for=")], "10.0.0.1"),
                Case("10.0.0.1", &[(F, "for=2001:db8::7")], "10.0.0.1"),
                Case("10.0.0.1", &[(F, "for=[2001:db8::7]")], "10.0.0.1"),
                Case("10.0.0.1", &[(F, "for=\"2001:db8::7\"")], "10.0.0.1"),
                Case("10.0.0.1", &[(F, "for=198.51.100.1;for=203.0.113.9")], "10.0.0.1"),
                Case("10.0.0.1", &[(F, "for = 198.51.100.1")], "10.0.0.1"),
                // A quote that the client opens swallows nothing of what the proxy adds.
                Case("10.0.0.1", &[(F, "for=203.0.113.9;x=\", for=198.51.100.1")], "10.0.0.1"),
                Case(
                    "10.0.0.1",
                    &[(F, "for=203.0.113.9;x=\", for=\"[2001:db8::7]\"")],
                    "10.0.0.1",
                ),
                Case(
                    "10.0.0.1",
                    &[(F, "for=203.0.113.9;x=\"\\, for=198.51.100.1")],
                    "10.0.0.1",
                ),
            ],
        );
    }

    #[test]
    fn two_headers() {
        let both: &[(&str, &str)] = &[(F, "for=203.0.113.9"), (X, "198.51.100.1")];
        check(
            ForwardedHeader::Auto,
            &[
                Case("10.0.0.1", both, "10.0.0.1"),
                Case(
                    "10.0.0.1",
                    &[(F, "for=198.51.100.1"), (X, "198.51.100.1")],
                    "198.51.100.1",
                ),
            ],
        );
        check(
            ForwardedHeader::XForwardedFor,
            &[
                Case("10.0.0.1", both, "198.51.100.1"),
                Case("10.0.0.1", &[(F, "for=203.0.113.9")], "10.0.0.1"),
            ],
        );
        check(
            ForwardedHeader::Forwarded,
            &[
                Case("10.0.0.1", both, "203.0.113.9"),
                Case("10.0.0.1", &[(X, "198.51.100.1")], "10.0.0.1"),
            ],
        );
    }

    #[test]
    fn an_ipv6_host_is_counted_by_its_network() {
        for (address, counted) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8::beef", "2001:db8::/64"),
        ] {
            assert_eq!(Client(address.parse().expect("an address")).counted(), counted);
        }
    }
}
