//! Addresses at which a server listens.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// `[ADDRESS:]PORT`: loopback without an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServeAddress(pub SocketAddr);

impl ServeAddress {
    /// Returns whether other computers can reach it.
    #[must_use]
    pub const fn is_exposed(&self) -> bool {
        !self.0.ip().is_loopback()
    }
}

impl FromStr for ServeAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = text.strip_prefix(':').unwrap_or(text).parse().ok();
        let address = port.map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
        address.or_else(|| text.parse().ok()).map(Self).ok_or_else(|| {
            "expected PORT or ADDRESS:PORT, such as 8080, 127.0.0.1:8080 or 0.0.0.0:8080 for all networks".to_owned()
        })
    }
}

impl fmt::Display for ServeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Returns whether a text can be the name of a host: letters, digits, `-` and `.`.
#[must_use]
pub fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    text.len() <= 253 && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_on_loopback() {
        for (text, expected, exposed) in [
            ("8080", "127.0.0.1:8080", false),
            (":0", "127.0.0.1:0", false),
            ("127.0.0.1:80", "127.0.0.1:80", false),
            ("[::1]:80", "[::1]:80", false),
            ("0.0.0.0:80", "0.0.0.0:80", true),
            ("[::]:80", "[::]:80", true),
            ("192.168.1.5:80", "192.168.1.5:80", true),
        ] {
            let address: ServeAddress = text.parse().expect(text);
            assert_eq!((address.to_string().as_str(), address.is_exposed()), (expected, exposed), "{text}");
        }
        for text in ["", "host:80", "127.0.0.1", "70000", "::"] {
            assert!(text.parse::<ServeAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_of_hosts() {
        assert!(["cam.example.org", "wall-1"].into_iter().all(is_host_name));
        assert!(!["", "a..b", "a b", "a:80", "http://a", "*"].into_iter().any(is_host_name));
    }
}
