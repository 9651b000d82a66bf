//! Parses and formats the address of a router.

use std::fmt;

use crate::net::host_and_port::host_and_port;

/// The port on which routers listen by default.
const PORT: u16 = 7447;

/// The router without a given one.
const HOST: &str = "localhost";

/// A Zenoh router, which accepts TCP. Parsing its text form returns the same value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ZenohRouter {
    /// Host name or address, without the brackets of IPv6.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Default for ZenohRouter {
    fn default() -> Self {
        Self { host: HOST.to_owned(), port: PORT }
    }
}

impl ZenohRouter {
    /// Parses `[ROUTER][:PORT]`.
    ///
    /// # Errors
    /// The reason for which it is not valid.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        // `::1` is an address.
        let has_no_host = text.is_empty() || (text.starts_with(':') && !text.starts_with("::"));
        let text = if has_no_host { format!("{HOST}{text}") } else { text.to_owned() };
        let (host, port) = host_and_port(&text, PORT)?;
        Ok(Self { host: host.to_owned(), port })
    }

    /// Returns it as Zenoh writes it, such as `tcp/192.168.1.10:7447`.
    pub(super) fn endpoint(&self) -> String {
        let Self { host, port } = self;
        if host.contains(':') { format!("tcp/[{host}]:{port}") } else { format!("tcp/{host}:{port}") }
    }
}

impl fmt::Display for ZenohRouter {
    /// Writes the host, and the port unless it is the default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]")?;
        } else {
            f.write_str(host)?;
        }
        if *port == PORT { Ok(()) } else { write!(f, ":{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routers_are_parsed_and_shown() {
        for (text, shown, endpoint) in [
            ("", "localhost", "tcp/localhost:7447"),
            (":7448", "localhost:7448", "tcp/localhost:7448"),
            ("10.0.0.5", "10.0.0.5", "tcp/10.0.0.5:7447"),
            ("bus.lan:7447", "bus.lan", "tcp/bus.lan:7447"),
            ("[fe80::1]:7449", "[fe80::1]:7449", "tcp/[fe80::1]:7449"),
            ("::1", "[::1]", "tcp/[::1]:7447"),
        ] {
            let router = ZenohRouter::parse(text).expect(text);
            assert_eq!((router.to_string().as_str(), router.endpoint().as_str()), (shown, endpoint));
            assert_eq!(ZenohRouter::parse(shown), Ok(router));
        }
        assert_eq!(ZenohRouter::parse(""), Ok(ZenohRouter::default()));
    }

    #[test]
    fn invalid_routers_are_explained() {
        for (text, why) in [
            ("me@bus", "an address has no user name"),
            ("bus:0", "expected a port from 1 to 65535, found `0`"),
            ("10.0.0.256", "is not an IPv4 address"),
            ("b*s", "host names cannot contain `*`"),
        ] {
            let error = ZenohRouter::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
