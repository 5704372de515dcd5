//! Networks in the configuration: `10.0.0.0/8`, `2001:db8::/32`, or a single address.

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};
use std::{fmt, net::IpAddr, str::FromStr};

/// A set of addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn read<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        names.into_iter().map(network).collect::<Result<_, _>>().map(Self)
    }
}

/// Parses a comma-separated list.
impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::read(text.split(',').map(str::trim).filter(|name| !name.is_empty()))
    }
}

fn network(name: &str) -> Result<IpNet, String> {
    let read = name.parse::<IpNet>().ok();
    let network = read.or_else(|| name.parse::<IpAddr>().ok().map(IpNet::from));
    let network = network.ok_or_else(|| {
        format!(
            "{name:?} is not a network; expected an address such as 192.0.2.7 or a CIDR such as 10.0.0.0/8 or fd00::/8"
        )
    })?;
    Ok(canonical(network))
}

/// Converts an IPv4-mapped IPv6 network (`::ffff:10.0.0.0/104`) to the IPv4 network.
fn canonical(network: IpNet) -> IpNet {
    let IpAddr::V4(address) = network.addr().to_canonical() else {
        return network;
    };
    let prefix = match network {
        IpNet::V4(network) => Some(network.prefix_len()),
        IpNet::V6(network) => network.prefix_len().checked_sub(96),
    };
    let mapped = prefix.and_then(|prefix| IpNet::new(IpAddr::V4(address), prefix).ok());
    mapped.unwrap_or(network)
}

/// A list, or a comma-separated text, which the environment needs.
impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = Networks;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of networks such as [\"10.0.0.0/8\", \"::1\"], or a comma-separated text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Networks, E> {
        if !text.trim_start().starts_with('[') {
            return text.parse().map_err(E::custom);
        }
        let names: Vec<String> =
            serde_json::from_str(text).map_err(|error| E::custom(format!("{text} is not a JSON list: {error}")))?;
        Networks::read(names.iter().map(|name| name.trim())).map_err(E::custom)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Networks, A::Error> {
        let mut names: Vec<String> = Vec::new();
        while let Some(name) = items.next_element()? {
            names.push(name);
        }
        Networks::read(names.iter().map(|name| name.trim())).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, ForwardedHeader};

    #[test]
    fn networks_and_addresses() {
        let networks: Networks = "10.0.0.0/8, 192.0.2.7 ,2001:db8::/32,::1, ::ffff:198.51.100.0/120"
            .parse()
            .expect("networks");
        for (address, contained) in [
            ("10.255.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
            ("::1", true),
            ("::2", false),
            ("198.51.100.9", true),
            ("198.51.101.9", false),
        ] {
            let address: IpAddr = address.parse().expect("an address");
            assert_eq!(networks.contains(address), contained, "{address}");
        }
        assert!(!Networks::default().contains(IpAddr::from([127, 0, 0, 1])));
        assert!("".parse::<Networks>().expect("no network").is_empty());
    }

    /// A list in a file, comma-separated in the environment.
    #[test]
    fn the_setting_is_read_from_a_file_and_from_the_environment() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("attune.toml");
        let read = |list: &str| {
            std::fs::write(&file, format!("[api]\ntrusted_proxies = {list}\n")).expect("written");
            Config::load(Some(&file)).map(|config| config.api.trusted_proxies)
        };
        let of_environment = |list: &str| {
            let variable = ("ATTUNE__API__TRUSTED_PROXIES".to_owned(), list.to_owned());
            Config::from_environment([variable]).map(|config| config.api.trusted_proxies)
        };
        let expected: Networks = "127.0.0.1,fd00::/8".parse().expect("networks");
        assert_eq!(read(r#"["127.0.0.1", "fd00::/8"]"#).expect("read"), expected);
        assert_eq!(of_environment("127.0.0.1, fd00::/8").expect("read"), expected);
        assert_eq!(of_environment(r#"["127.0.0.1", "fd00::/8"]"#).expect("read"), expected);
        assert_eq!(read("[]").expect("read"), Networks::default());
        assert_eq!(of_environment("").expect("read"), Networks::default());
        let headers = [("ATTUNE__API__FORWARDED_HEADER".to_owned(), "x-forwarded-for".to_owned())];
        let header = Config::from_environment(headers).expect("read").api.forwarded_header;
        assert_eq!(header, ForwardedHeader::XForwardedFor);
        for error in [
            read(r#"["10.0.0.0/40"]"#).expect_err("no network"),
            of_environment("proxy").expect_err("no network"),
        ] {
            let error = format!("{error:#}");
            assert!(
                error.contains("trusted_proxies") && error.contains("is not a network"),
                "{error}"
            );
        }
    }

    #[test]
    fn an_invalid_network_is_reported() {
        for wrong in [
            "10.0.0.0/33",
            "10.0.0",
            "proxy.example.org",
            "10.0.0.0/8/8",
            "10.0.0.1:80",
            "*",
        ] {
            let error = wrong.parse::<Networks>().expect_err(wrong);
            assert!(error.contains(wrong) && error.contains("CIDR"), "{error}");
        }
    }
}
