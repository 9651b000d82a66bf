//! Removes identifying values from a report, so that it can be posted in a public issue tracker.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// A value to replace, and the word in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identifying<'a> {
    /// The id or the name of a camera.
    Camera(&'a str),
    /// The name of a host.
    Host(&'a str),
}

impl<'a> Identifying<'a> {
    const fn text(self) -> &'a str {
        match self {
            Self::Camera(text) | Self::Host(text) => text,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Camera(_) => "camera",
            Self::Host(_) => "host",
        }
    }
}

/// Replaces `names`, users of URLs, hardware addresses, IPv6 addresses and public IPv4 addresses with numbered words.
/// Equal values get the same word. Private, link-local and loopback addresses stay: a diagnosis needs them, and they do
/// not identify the owner.
#[must_use]
pub fn redact(text: &str, names: &[Identifying<'_>]) -> String {
    let text = without_names(&without_users(text), names);
    let mut known = BTreeMap::new();
    let mut clean = String::with_capacity(text.len());
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':');
    let mut rest = &*text;
    while !rest.is_empty() {
        let word = rest.len() - rest.trim_start_matches(is_word).len();
        if word == 0 {
            let other = rest.find(is_word).unwrap_or(rest.len());
            clean.push_str(&rest[..other]);
            rest = &rest[other..];
            continue;
        }
        clean.push_str(&replaced(&rest[..word], &mut known));
        rest = &rest[word..];
    }
    clean
}

/// Returns the name of the host in a URL, unless it is an address.
#[must_use]
pub fn host_name(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let host = authority.rsplit('@').next()?.split(':').next()?;
    // An IPv6 address begins with a bracket.
    (!host.is_empty() && !host.starts_with('[') && host.parse::<IpAddr>().is_err() && host != "localhost")
        .then_some(host)
}

/// Replaces the user and the password of each URL.
fn without_users(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "/?#\"'`".contains(c)).unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(user) => {
                clean.push_str("***");
                &after[user..]
            }
            None => after,
        };
    }
    clean + rest
}

/// Replaces the names where they are whole words, the longest first.
fn without_names(text: &str, names: &[Identifying<'_>]) -> String {
    let mut names: Vec<_> = names.iter().copied().filter(|name| !name.text().is_empty()).collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.text().len()));
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let starts = |rest: &str, name: &Identifying<'_>| {
        let len = name.text().len();
        let found = rest.get(..len).is_some_and(|start| start.eq_ignore_ascii_case(name.text()));
        found && !rest[len..].starts_with(is_part)
    };
    let (mut clean, mut known) = (String::with_capacity(text.len()), BTreeMap::new());
    let (mut rest, mut before) = (text, None);
    while let Some(next) = rest.chars().next() {
        let name = names.iter().find(|name| !before.is_some_and(is_part) && starts(rest, name));
        let len = name.map_or(next.len_utf8(), |name| name.text().len());
        match name {
            Some(name) => clean.push_str(&numbered(&mut known, name.word(), name.text())),
            None => clean.push(next),
        }
        before = rest[..len].chars().next_back();
        rest = &rest[len..];
    }
    clean
}

/// Returns the word and the number for a value.
fn numbered(known: &mut BTreeMap<(&'static str, String), usize>, word: &'static str, value: &str) -> String {
    let next = known.keys().filter(|(other, _)| *other == word).count() + 1;
    let number = *known.entry((word, value.to_ascii_lowercase())).or_insert(next);
    format!("{word}-{number}")
}

fn replaced(word: &str, known: &mut BTreeMap<(&'static str, String), usize>) -> String {
    // A word may end a sentence or precede a colon, and an address may have a port.
    let bare = word.trim_matches(['.', ':']);
    let host = bare.rsplit_once(':').map_or(bare, |(host, _)| host);
    let named = [word, bare, host].into_iter().find_map(|part| Some((kind(part)?, part)));
    let Some((kind, part)) = named else { return word.to_owned() };
    word.replacen(part, &numbered(known, kind, part), 1)
}

fn kind(word: &str) -> Option<&'static str> {
    if is_mac(word) {
        return Some("mac");
    }
    match word.parse().ok()? {
        IpAddr::V4(ip) => (!is_local(ip)).then_some("public-ip"),
        IpAddr::V6(ip) => (!ip.is_loopback() && !ip.is_unspecified()).then_some("ipv6"),
    }
}

fn is_mac(word: &str) -> bool {
    let mut parts = word.split(':');
    parts.clone().count() == 6 && parts.all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Addresses that do not identify a host on the Internet, and masks, which look like addresses.
fn is_local(ip: Ipv4Addr) -> bool {
    ip.is_private()
        || ip.is_link_local()
        || ip.is_loopback()
        || ip.is_multicast()
        || ip.octets()[0] == 0
        || ip.octets()[0] == 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifying_values_are_replaced_and_private_addresses_kept() {
        let text = "14442C10D13EABCE00 at 10.0.0.5 (aa:bb:cc:00:11:22), 203.0.113.7:5000 and 203.0.113.9, 203.0.113.7:5000.\n\
                    {\"id\":\"14442c10d13eabce00\",\"mac\":\"AA:BB:CC:00:11:22\",\"mask\":\"255.255.0.0\",\"v\":\"0.1.0\"} \
                    fe80::1 2001:db8::5/64 169.254.1.222/16 ::1 12:30:05 other";
        assert_eq!(
            redact(text, &[Identifying::Camera("14442C10D13EABCE00")]),
            "camera-1 at 10.0.0.5 (mac-1), public-ip-1:5000 and public-ip-2, public-ip-1:5000.\n\
             {\"id\":\"camera-1\",\"mac\":\"mac-1\",\"mask\":\"255.255.0.0\",\"v\":\"0.1.0\"} \
             ipv6-1 ipv6-2/64 169.254.1.222/16 ::1 12:30:05 other"
        );
        assert_eq!(redact("", &[]), "");
        assert_eq!(redact("\u{e4}\u{1f600}: .. ::", &[]), "\u{e4}\u{1f600}: .. ::");
        let text = "\u{e4}\u{1f600}\u{e4} \u{e4}";
        assert_eq!(redact(text, &[Identifying::Camera("\u{e4}")]), "camera-1\u{1f600}camera-1 camera-1");
    }

    #[test]
    fn hosts_and_users_of_urls_are_replaced() {
        let names =
            [Identifying::Host("oak-1.example.com"), Identifying::Host("example.com"), Identifying::Camera("gate")];
        let text = "http://anna:***@oak-1.example.com:8080/a: the host of http://bob@EXAMPLE.com/ is not found; gate, gateway, \
                    {\"source\":\"mqtt://oak-1.example.com/cam\"} http://10.0.0.5/@b sub-example.com";
        assert_eq!(
            redact(text, &names),
            "http://***@host-1:8080/a: the host of http://***@host-2/ is not found; camera-1, gateway, \
             {\"source\":\"mqtt://host-1/cam\"} http://10.0.0.5/@b sub-example.com"
        );
        for (url, host) in [
            ("http://anna:***@oak-1.example.com:8080/a", Some("oak-1.example.com")),
            ("mqtt://broker/cam", Some("broker")),
            ("http://10.0.0.5:80/", None),
            ("http://[fe80::1]/", None),
            ("listen://:5000", None),
            ("http://localhost/", None),
            ("14442C", None),
        ] {
            assert_eq!(host_name(url), host, "{url}");
        }
    }
}
