//! Probes a TCP port by connecting to it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::discovery::PortProbe;

/// Connects to a TCP port and closes the connection immediately. Takes at most `limit`.
///
/// A camera that serves one client at a time serves this connection between two others.
pub async fn probe_port(ip: Ipv4Addr, port: u16, limit: Duration) -> PortProbe {
    match timeout(limit, TcpStream::connect(SocketAddr::from((ip, port)))).await {
        Ok(Ok(_)) => PortProbe::Open,
        Ok(Err(error)) => match error.kind() {
            io::ErrorKind::ConnectionRefused => PortProbe::Refused,
            io::ErrorKind::TimedOut => PortProbe::TimedOut,
            _ => PortProbe::Unreachable(error.to_string()),
        },
        Err(_) => PortProbe::TimedOut,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn open_refused_and_unreachable_ports_are_told_apart() {
        const LIMIT: Duration = Duration::from_secs(60);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a local address").port();
        assert_eq!(probe_port(Ipv4Addr::LOCALHOST, port, LIMIT).await, PortProbe::Open);
        drop(listener);
        assert_eq!(probe_port(Ipv4Addr::LOCALHOST, port, LIMIT).await, PortProbe::Refused);
        let probe = probe_port(Ipv4Addr::BROADCAST, port, LIMIT).await;
        let PortProbe::Unreachable(why) = probe else { panic!("connected to a broadcast address: {probe:?}") };
        assert!(!why.is_empty());
    }
}
