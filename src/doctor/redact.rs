//! Removes identifying values from a report, so that it can be posted in a public issue tracker.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// Replaces the camera ids in `ids`, hardware addresses, IPv6 addresses and public IPv4 addresses with numbered words.
/// Equal values get the same word. Private, link-local and loopback addresses stay: a diagnosis needs them, and they do
/// not identify the owner.
#[must_use]
pub fn redact(text: &str, ids: &[&str]) -> String {
    let mut known = BTreeMap::new();
    let mut clean = String::with_capacity(text.len());
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':');
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest.len() - rest.trim_start_matches(is_word).len();
        if word == 0 {
            let other = rest.find(is_word).unwrap_or(rest.len());
            clean.push_str(&rest[..other]);
            rest = &rest[other..];
            continue;
        }
        clean.push_str(&replaced(&rest[..word], ids, &mut known));
        rest = &rest[word..];
    }
    clean
}

fn replaced(word: &str, ids: &[&str], known: &mut BTreeMap<(&'static str, String), usize>) -> String {
    // A word may end a sentence or precede a colon, and an address may have a port.
    let bare = word.trim_matches(['.', ':']);
    let host = bare.rsplit_once(':').map_or(bare, |(host, _)| host);
    let named = [word, bare, host].into_iter().find_map(|part| Some((kind(part, ids)?, part)));
    let Some((kind, part)) = named else { return word.to_owned() };
    let next = known.keys().filter(|(other, _)| *other == kind).count() + 1;
    let number = *known.entry((kind, part.to_ascii_lowercase())).or_insert(next);
    word.replacen(part, &format!("{kind}-{number}"), 1)
}

fn kind(word: &str, ids: &[&str]) -> Option<&'static str> {
    if ids.iter().any(|id| id.eq_ignore_ascii_case(word)) {
        return Some("camera");
    }
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
            redact(text, &["14442C10D13EABCE00"]),
            "camera-1 at 10.0.0.5 (mac-1), public-ip-1:5000 and public-ip-2, public-ip-1:5000.\n\
             {\"id\":\"camera-1\",\"mac\":\"mac-1\",\"mask\":\"255.255.0.0\",\"v\":\"0.1.0\"} \
             ipv6-1 ipv6-2/64 169.254.1.222/16 ::1 12:30:05 other"
        );
        assert_eq!(redact("", &[]), "");
        assert_eq!(redact("\u{e4}\u{1f600}: .. ::", &["\u{e4}"]), "\u{e4}\u{1f600}: .. ::");
    }
}
