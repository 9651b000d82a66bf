//! Parses the address on which the Foxglove app connects.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The form of an address, for errors.
const EXPECTED: &str =
    "expected foxglove://[ADDR][:PORT], such as foxglove:// for 127.0.0.1:8765, or foxglove://0.0.0.0:8765";

/// Port on which the Foxglove app looks for a server.
const DEFAULT_PORT: u16 = 8765;

/// Parses what follows `foxglove://`: an IP address and a port, both of which may be missing.
pub(in crate::sink::publish) fn parse(text: &str) -> Result<SocketAddr, String> {
    let text = text.strip_suffix('/').unwrap_or(text);
    if text.contains('@') {
        return Err(format!("foxglove:// has no user and no password; {EXPECTED}"));
    }
    let (host, port) = match text.rsplit_once(':') {
        // The colons of an IPv6 address without brackets are not before a port.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port =
        port.map_or(Ok(DEFAULT_PORT), str::parse).map_err(|_| format!("invalid port in `{text}`; {EXPECTED}"))?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let ip = match bare {
        "" | "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        bare => bare.parse().map_err(|_| format!("`{host}` is not an IP address of this host; {EXPECTED}"))?,
    };
    Ok(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_ports_have_defaults() {
        for (text, address) in [
            ("", "127.0.0.1:8765"),
            ("/", "127.0.0.1:8765"),
            (":9000", "127.0.0.1:9000"),
            ("localhost:0", "127.0.0.1:0"),
            ("0.0.0.0", "0.0.0.0:8765"),
            ("192.168.1.2:80/", "192.168.1.2:80"),
            ("::1", "[::1]:8765"),
            ("[::1]", "[::1]:8765"),
            ("[::]:9000", "[::]:9000"),
        ] {
            assert_eq!(parse(text).map(|address| address.to_string()).as_deref(), Ok(address), "{text}");
        }
        for (text, why) in [
            (":port", "invalid port in `:port`; expected foxglove://[ADDR][:PORT]"),
            (":70000", "invalid port"),
            ("robot.lan", "`robot.lan` is not an IP address of this host"),
            ("me:secret@127.0.0.1", "foxglove:// has no user and no password"),
            ("127.0.0.1/prefix", "is not an IP address"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
