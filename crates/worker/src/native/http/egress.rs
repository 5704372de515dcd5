//! What `core.http` may connect to.
//!
//! A URL often comes from the payload of an event, so it must not give its sender access to the network of the worker. Names are
//! checked after they are resolved, by the resolver of the connection itself, so a name cannot resolve to something else between
//! the check and the connection. Addresses in URLs do not reach the resolver and are checked before each request.

use attune_common::network::Networks;
use hyper_util::client::legacy::connect::dns::Name;
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    vec,
};
use tower::Service;
use url::{Host, Url};

/// Services of cloud providers that hand out credentials to whatever runs on the machine, outside of 169.254.0.0/16.
const METADATA: [IpAddr; 4] = [
    // Alibaba Cloud, Azure, Oracle Cloud.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    // AWS.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

#[derive(Debug)]
pub(super) struct Egress {
    /// The loopback and private networks that may be reached.
    private: Networks,
}

/// Why an address is blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blocked {
    Always(&'static str),
    /// Unless a setting allows it.
    Private(&'static str),
}

impl Egress {
    pub fn new(private: Networks) -> Self {
        Self { private }
    }

    /// Checks the host of a URL if it is an address.
    pub fn check_url(&self, url: &Url) -> Result<(), String> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.check(address.into()),
            Some(Host::Ipv6(address)) => self.check(address.into()),
            Some(Host::Domain(_)) => Ok(()),
            None => Err("it has no host".to_owned()),
        }
    }

    fn check(&self, address: IpAddr) -> Result<(), String> {
        match blocked(address) {
            None => Ok(()),
            Some(Blocked::Private(_)) if self.private.contains(embedded(address)) => Ok(()),
            Some(kind) => Err(format!("{address} {kind}")),
        }
    }

    fn permitted(&self, host: &str, found: impl Iterator<Item = SocketAddr>) -> io::Result<Vec<SocketAddr>> {
        let mut refused = None;
        let mut permitted = Vec::new();
        for address in found {
            match self.check(address.ip()) {
                Ok(()) => permitted.push(address),
                Err(reason) => refused = Some(reason),
            }
        }
        match refused {
            Some(reason) if permitted.is_empty() => Err(io::Error::other(format!(
                "{host} resolves to an address that is not allowed: {reason}"
            ))),
            _ => Ok(permitted),
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always(kind) => write!(f, "is {kind}, which is always blocked"),
            Self::Private(kind) => write!(
                f,
                "is {kind}; to allow it, add its network to worker.http.allow_private"
            ),
        }
    }
}

/// The IPv4 address that an IPv6 address stands for (mapped, compatible, NAT64, 6to4), or the address itself.
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if v6.is_loopback() || v6.is_unspecified() {
        return address;
    }
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            from(high, low)
        }
        _ => address,
    }
}

fn blocked(address: IpAddr) -> Option<Blocked> {
    let address = embedded(address);
    if METADATA.contains(&address) {
        return Some(Blocked::Always("the metadata service of a cloud"));
    }
    match address {
        IpAddr::V4(v4) => blocked_v4(v4),
        IpAddr::V6(v6) => blocked_v6(v6),
    }
}

fn blocked_v4(address: Ipv4Addr) -> Option<Blocked> {
    let [first, second, ..] = address.octets();
    if address.is_link_local() {
        Some(Blocked::Always("a link-local address"))
    } else if first == 0 || address.is_multicast() || first >= 240 {
        Some(Blocked::Always("not the address of a host"))
    } else if address.is_loopback() {
        Some(Blocked::Private("a loopback address"))
    } else if address.is_private() || (first == 100 && (64..128).contains(&second)) {
        Some(Blocked::Private("a private address"))
    } else {
        None
    }
}

fn blocked_v6(address: Ipv6Addr) -> Option<Blocked> {
    let [first, ..] = address.segments();
    if address.is_unicast_link_local() {
        Some(Blocked::Always("a link-local address"))
    } else if address.is_unspecified() || address.is_multicast() {
        Some(Blocked::Always("not the address of a host"))
    } else if address.is_loopback() {
        Some(Blocked::Private("a loopback address"))
    } else if address.is_unique_local() || first & 0xffc0 == 0xfec0 {
        Some(Blocked::Private("a private address"))
    } else {
        None
    }
}

/// Resolves names as the system does, and returns only what the policy permits.
#[derive(Clone)]
pub(super) struct Resolver(pub Arc<Egress>);

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let egress = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(egress.permitted(name.as_str(), found)?.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn link_local_and_metadata_addresses_are_blocked_in_every_form_and_by_no_setting_allowed() {
        let everything = Egress::new("0.0.0.0/0,::/0".parse().unwrap());
        for text in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::1",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
        ] {
            let error = everything.check(address(text)).unwrap_err();
            assert!(error.contains("always blocked"), "{text}: {error}");
        }
    }

    #[test]
    fn private_addresses_are_allowed_one_network_at_a_time() {
        let (nothing, some) = (
            Egress::new(Networks::default()),
            Egress::new("10.0.0.0/8,127.0.0.1,fd12::/16".parse().unwrap()),
        );
        for (text, allowed) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("64:ff9b::10.1.2.3", true),
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("fd12::1", true),
            ("fd13::1", false),
            ("::1", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("100.64.0.1", false),
            ("fec0::1", false),
        ] {
            let error = nothing.check(address(text)).unwrap_err();
            assert!(error.contains("worker.http.allow_private"), "{text}: {error}");
            assert_eq!(some.check(address(text)).is_ok(), allowed, "{text}");
        }
        for text in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "2002:101:101::1",
        ] {
            assert_eq!(nothing.check(address(text)), Ok(()), "{text}");
        }
    }

    #[test]
    fn every_spelling_of_an_address_in_a_url_is_checked() {
        let egress = Egress::new(Networks::default());
        for text in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.0.0.1/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
            "http://[::7f00:1]/",
            "http://127.0.0.1./",
            "http://\u{ff11}27.0.0.1/",
        ] {
            let url = Url::parse(text).unwrap();
            assert!(egress.check_url(&url).is_err(), "{text} → {url}");
        }
    }

    #[test]
    fn a_name_with_one_permitted_address_uses_only_that() {
        let egress = Egress::new(Networks::default());
        let of = |texts: &[&str]| {
            let found: Vec<SocketAddr> = texts.iter().map(|text| SocketAddr::new(address(text), 0)).collect();
            egress.permitted("mixed.example", found.into_iter())
        };
        assert_eq!(
            of(&["10.0.0.1", "1.1.1.1"]).unwrap(),
            [SocketAddr::new(address("1.1.1.1"), 0)]
        );
        let error = of(&["10.0.0.1"]).unwrap_err().to_string();
        assert!(
            error.contains("mixed.example resolves to") && error.contains("10.0.0.1"),
            "{error}"
        );
    }
}
