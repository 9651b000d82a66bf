//! Whether somebody listens at a TCP port: a connection that is closed again at once.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What became of an attempt to connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Knock {
    /// Somebody listens.
    Open,
    /// The host is there, and nobody listens.
    Refused,
    /// Nothing came back in time: nobody is there, or a firewall drops it.
    Silence,
    /// It was refused on the way, or there is no way; in the words of the system.
    Unreachable(String),
}

/// Connects to a port and closes the connection at once. A camera that serves one client at a time sees it come and go,
/// between two others.
pub async fn knock(ip: Ipv4Addr, port: u16, limit: Duration) -> Knock {
    match timeout(limit, TcpStream::connect(SocketAddr::from((ip, port)))).await {
        Ok(Ok(_)) => Knock::Open,
        Ok(Err(error)) => match error.kind() {
            io::ErrorKind::ConnectionRefused => Knock::Refused,
            io::ErrorKind::TimedOut => Knock::Silence,
            _ => Knock::Unreachable(error.to_string()),
        },
        Err(_) => Knock::Silence,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn open_and_refused() {
        const LONG: Duration = Duration::from_secs(60);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("it has an address").port();
        assert_eq!(knock(Ipv4Addr::LOCALHOST, port, LONG).await, Knock::Open);
        drop(listener);
        assert_eq!(knock(Ipv4Addr::LOCALHOST, port, LONG).await, Knock::Refused);
        let Knock::Unreachable(why) = knock(Ipv4Addr::BROADCAST, port, LONG).await else { panic!("nobody is all") };
        assert!(!why.is_empty());
    }
}
