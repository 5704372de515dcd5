//! Values that can be set both in the file and as the text of an environment variable.

use attune_domain::{resources::Resources, whole};
use axum::http::Uri;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, IntoDeserializer as _, SeqAccess, Visitor, value::StringDeserializer},
};
use serde_json::Value;
use std::{
    fmt,
    marker::PhantomData,
    net::{SocketAddr, ToSocketAddrs as _},
};

/// A list: `["a", "b"]` in a file; `a,b` in the environment, or a JSON list for values that contain a comma.
///
/// Every list in the configuration uses this function; a test checks that.
pub fn list<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_any(ListVisitor(PhantomData))
}

/// The same, for a setting that may be absent.
pub fn optional_list<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    list(deserializer).map(Some)
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list, or a text such as `a,b` or `[\"a\", \"b\"]`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Vec<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(items)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
        let text = text.trim();
        if text.starts_with('[') {
            return serde_json::from_str(text)
                .map_err(|error| E::custom(format!("{text} is not a JSON list: {error}")));
        }
        let item = |item: &str| {
            let item: StringDeserializer<E> = item.to_owned().into_deserializer();
            T::deserialize(item)
        };
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(item)
            .collect()
    }

    // The environment source parses `1` and `true`; convert them back to text.
    fn visit_i64<E: Error>(self, value: i64) -> Result<Vec<T>, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Vec<T>, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Vec<T>, E> {
        self.visit_str(&value.to_string())
    }
}

/// The address that people use. It may have a path, for a proxy that serves the API under one.
pub fn public_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let uri = text.parse::<Uri>().ok().filter(|uri| {
        let is_http = uri
            .scheme_str()
            .is_some_and(|scheme| ["http", "https"].contains(&scheme));
        is_http && uri.host().is_some_and(|host| !host.is_empty()) && uri.query().is_none() && !text.contains('#')
    });
    match uri {
        Some(_) => Ok(Some(text)),
        None => Err(D::Error::custom(format!(
            "{text:?} is not a public URL: write http or https, a host and no query, for example https://attune.example.org"
        ))),
    }
}

/// A whole number within a range.
pub fn whole<'de, T, D, const LEAST: i64, const MOST: i64>(deserializer: D) -> Result<T, D::Error>
where
    T: TryFrom<i64>,
    D: Deserializer<'de>,
{
    read_whole(&Value::deserialize(deserializer)?, LEAST, MOST).map_err(D::Error::custom)
}

/// The same, for a setting that may be absent.
pub fn optional_whole<'de, T, D, const LEAST: i64, const MOST: i64>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: TryFrom<i64>,
    D: Deserializer<'de>,
{
    let value = Option::<Value>::deserialize(deserializer)?.filter(|value| !value.is_null());
    value
        .map(|value| read_whole(&value, LEAST, MOST).map_err(D::Error::custom))
        .transpose()
}

fn read_whole<T: TryFrom<i64>>(value: &Value, least: i64, most: i64) -> Result<T, String> {
    let number = whole::read("", value, least..=most)?;
    T::try_from(number).map_err(|_| format!("must be a whole number from {least} to {most}"))
}

pub fn resources<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Resources, D::Error> {
    Resources::parse(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
}

pub fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    listen_address(&text).map_err(D::Error::custom)
}

pub fn optional_listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| listen_address(&text).map_err(D::Error::custom))
        .transpose()
}

/// Parses an address to listen on: `127.0.0.1:8080`, `[::1]:8080` or `localhost:8080`. A host name resolves to its first IPv4
/// address, if it has one.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let port = text
        .rsplit_once(':')
        .filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if port.is_none() {
        let problem = match text.rsplit_once(':') {
            Some((_, port)) if port.contains(|c: char| c.is_ascii_digit()) => {
                "the port must be a whole number from 0 to 65535"
            }
            _ => "must have a port",
        };
        return Err(format!(
            "invalid address {text:?}; {problem}, such as 127.0.0.1:8080 or localhost:8080"
        ));
    }
    let found = text
        .to_socket_addrs()
        .map_err(|error| format!("failed to resolve the host of {text:?}: {error}"))?;
    let addresses: Vec<SocketAddr> = found.collect();
    let first = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    first
        .copied()
        .ok_or_else(|| format!("the host of {text:?} has no address"))
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use std::path::PathBuf;

    fn read(name: &str, value: &str) -> anyhow::Result<Config> {
        Config::from_environment([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn a_list_in_the_environment() {
        let check = |value: &str, expected: &[&str]| {
            let config = read("ATTUNE__PACKS__LOAD", value).unwrap_or_else(|error| panic!("{value}: {error:#}"));
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(config.packs.load, expected, "{value}");
        };
        check("/a", &["/a"]);
        check("/a,/b", &["/a", "/b"]);
        check(" /a , /b ,", &["/a", "/b"]);
        check(r#"["/a,b", "/c"]"#, &["/a,b", "/c"]);
        check("[]", &[]);
        check("7", &["7"]);
        check("true", &["true"]);
        assert!(read("ATTUNE__PACKS__LOAD", "[\"/a").is_err());
    }

    /// Otherwise a list could not be set in the environment.
    #[test]
    fn every_list_and_every_address_uses_this_module() {
        let mut attribute = "";
        let mut found = 0;
        for line in include_str!("../config.rs").lines().map(str::trim) {
            if line.starts_with("#[serde(") {
                attribute = line;
            } else if line.starts_with("pub ") && line.ends_with(',') {
                let reader = if ["Vec<", "Set<"].iter().any(|list| line.contains(list)) {
                    "list\""
                } else if line.contains("SocketAddr") {
                    "listen\""
                } else {
                    attribute = "";
                    continue;
                };
                assert!(
                    attribute.contains(reader),
                    "{line} needs #[serde(deserialize_with = \"values::{reader})]"
                );
                attribute = "";
                found += 1;
            }
        }
        assert!(found >= 5, "{found}");
    }

    #[test]
    fn addresses_to_listen_on() {
        for (text, expected) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("localhost:8080", "127.0.0.1:8080"),
            ("localhost:0", "127.0.0.1:0"),
            ("[::1]:8080", "[::1]:8080"),
            ("0.0.0.0:80", "0.0.0.0:80"),
        ] {
            let expected = expected.parse().expect(expected);
            assert_eq!(listen_address(text), Ok(expected), "{text}");
            assert_eq!(read("ATTUNE__API__LISTEN", text).expect(text).api.listen, expected);
            assert_eq!(
                read("ATTUNE__WORKER__LISTEN", text).expect(text).worker.listen,
                Some(expected)
            );
        }
        for text in [
            "localhost",
            ":8080",
            "8080",
            "127.0.0.1",
            "localhost:http",
            "localhost:99999",
            "",
        ] {
            let error = listen_address(text).expect_err(text);
            assert!(error.contains("127.0.0.1:8080 or localhost:8080"), "{text}: {error}");
        }
    }

    #[test]
    fn a_wrong_number_names_the_setting_and_the_accepted_range() {
        for (name, value, expected) in [
            (
                "API__CONNECTIONS_MAX",
                "1,000",
                "from 1 to 1000000, without thousands separators; write `1000`",
            ),
            ("API__CONNECTIONS_MAX", "0", "must be a whole number from 1 to 1000000"),
            (
                "API__CONNECTIONS_MAX",
                "99999999999",
                "must be a whole number from 1 to 1000000",
            ),
            (
                "DATABASE__CONNECTIONS_MAX",
                "0",
                "must be a whole number from 1 to 10000",
            ),
            ("WORKER__SLOTS", "many", "must be a whole number from 1 to 10000"),
            ("WORKER__LEASE_SECONDS", "30s", "from 1 to 86400, without a unit"),
            ("EXECUTOR__REAP_SECONDS", "0", "must be a whole number from 1 to 3600"),
            ("RETENTION__EVENTS_DAYS", "0", "must be a whole number from 1 to 65535"),
            (
                "RETENTION__EVENTS_DAYS",
                "70000",
                "must be a whole number from 1 to 65535",
            ),
            (
                "WORKER__RESOURCES__MEMORY_MB",
                "1GB",
                "from 16 to 1048576, without a unit; write `1024`",
            ),
        ] {
            let error = read(&format!("ATTUNE__{name}"), value).expect_err(name);
            let error = format!("{error:#}");
            let setting = name.to_lowercase().replace("__", ".");
            let setting = setting.trim_end_matches(".memory_mb");
            assert!(
                error.contains(expected) && error.contains(setting),
                "{name}={value}: {error}"
            );
        }
        for (name, value) in [
            ("WORKER__SLOTS", "10000"),
            ("RETENTION__EVENTS_DAYS", "65535"),
            ("WORKER__DRAIN_SECONDS", "0"),
        ] {
            read(&format!("ATTUNE__{name}"), value).expect(name);
        }
    }

    #[test]
    fn the_public_url() {
        for good in [
            "https://attune.example.org",
            "http://127.0.0.1:8080/",
            "https://[2001:db8::1]/attune",
        ] {
            let config = read("ATTUNE__API__PUBLIC_URL", good).expect(good);
            assert_eq!(config.api.public_url.as_deref(), Some(good));
        }
        for bad in [
            "attune.example.org",
            "attune.example.org/x",
            "ftp://attune.example.org",
            "https://attune.example.org/x?a",
            "https://attune.example.org/#a",
            "https://",
            "/attune",
        ] {
            let error = format!("{:#}", read("ATTUNE__API__PUBLIC_URL", bad).expect_err(bad));
            assert!(
                error.contains("public_url") && error.contains("is not a public URL"),
                "{error}"
            );
        }
    }
}
