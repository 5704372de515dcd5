//! Parses the hops of a header, the oldest one first.

use std::net::{IpAddr, Ipv6Addr};

/// The hops of one line of a header.
#[derive(Debug, PartialEq, Eq)]
pub struct Trail(pub Vec<Hop>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    Address(IpAddr),
    /// `unknown`, an obfuscated name, or a malformed entry.
    Hidden,
}

impl Trail {
    /// `X-Forwarded-For` has no quoted commas, so every line can be parsed. Empty entries are skipped.
    #[expect(clippy::unnecessary_wraps, reason = "the same type as the other header")]
    pub fn x_forwarded_for(line: &str) -> Option<Self> {
        let entries = line.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        Some(Self(entries.map(of_entry).collect()))
    }

    /// `Forwarded` of RFC 7239. A malformed line is ignored as a whole: a client could hide what the proxy added behind an
    /// open quote.
    pub fn forwarded(line: &str) -> Option<Self> {
        let mut hops = Vec::new();
        let mut rest = line.trim();
        while !rest.is_empty() {
            let (hop, left) = element(rest)?;
            hops.extend(hop);
            rest = left.trim_start();
        }
        Some(Self(hops))
    }
}

/// One element of `Forwarded` up to the next comma, and the rest. An empty element is not a hop.
fn element(text: &str) -> Option<(Option<Hop>, &str)> {
    let (mut hop, mut empty, mut rest) = (None, true, text);
    loop {
        rest = rest.trim_start();
        match rest.chars().next() {
            None => break,
            Some(',') => {
                rest = &rest[1..];
                break;
            }
            Some(';') => rest = &rest[1..],
            Some(_) => {
                let (name, value, left) = pair(rest)?;
                empty = false;
                if name.eq_ignore_ascii_case("for") {
                    if hop.is_some() {
                        return None;
                    }
                    hop = Some(of_node(&value)?);
                }
                rest = left.trim_start();
                if !(rest.is_empty() || rest.starts_with([',', ';'])) {
                    return None;
                }
            }
        }
    }
    Some(((!empty).then_some(hop.unwrap_or(Hop::Hidden)), rest))
}

/// `name=value`, and the rest.
fn pair(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = text.split_at(token(text));
    let rest = rest.strip_prefix('=').filter(|_| !name.is_empty())?;
    if let Some(quoted) = rest.strip_prefix('"') {
        let (value, rest) = unquoted(quoted)?;
        return Some((name, value, rest));
    }
    // A colon is not allowed here, but some proxies write `for=192.0.2.1:4711`.
    let length = rest.find(|c: char| !(is_token(c) || c == ':')).unwrap_or(rest.len());
    let (value, rest) = rest.split_at(length);
    (!value.is_empty()).then(|| (name, value.to_owned(), rest))
}

/// The text up to the closing quote, and the rest.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

fn token(text: &str) -> usize {
    text.find(|c| !is_token(c)).unwrap_or(text.len())
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// A node of `Forwarded`; an IPv6 address is in brackets.
fn of_node(node: &str) -> Option<Hop> {
    let host = if node.starts_with('[') {
        return of_bracketed(node).map(Hop::Address);
    } else {
        without_port(node)?
    };
    if host.eq_ignore_ascii_case("unknown") || host.starts_with('_') && host.len() > 1 {
        return Some(Hop::Hidden);
    }
    let address: std::net::Ipv4Addr = host.parse().ok()?;
    Some(Hop::Address(IpAddr::V4(address)))
}

/// An entry of `X-Forwarded-For`: an address, some with a port, IPv6 with or without brackets.
fn of_entry(entry: &str) -> Hop {
    let unquoted = entry.strip_prefix('"').and_then(|entry| entry.strip_suffix('"'));
    let entry = unquoted.unwrap_or(entry);
    let bare = entry.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    let address = bare.or_else(|| of_bracketed(entry)).or_else(|| {
        let host = without_port(entry)?;
        host.parse().ok().map(IpAddr::V4)
    });
    address.map_or(Hop::Hidden, Hop::Address)
}

/// `[address]` or `[address]:port`.
fn of_bracketed(node: &str) -> Option<IpAddr> {
    let (host, rest) = node.strip_prefix('[')?.split_once(']')?;
    let has_port = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
    let address: Ipv6Addr = host.parse().ok().filter(|_| has_port)?;
    Some(IpAddr::V6(address).to_canonical())
}

fn without_port(node: &str) -> Option<&str> {
    match node.split_once(':') {
        None => Some(node),
        Some((host, port)) => is_port(port).then_some(host),
    }
}

/// Digits, or an obfuscated port (RFC 7239, section 6.3).
fn is_port(port: &str) -> bool {
    let name = port.strip_prefix('_');
    name.map_or_else(
        || port.parse::<u16>().is_ok() && port.bytes().all(|b| b.is_ascii_digit()),
        |name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)),
    )
}
