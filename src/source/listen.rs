//! The listening side of `listen://` (wire.md 4.20): bound once, kept across reconnects.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

/// Keeps a persistent error, such as too many open files, from becoming a busy loop.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// A listening socket for one camera.
#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    /// Address of the camera that was accepted last.
    camera: Option<IpAddr>,
    /// A new connection of the camera, accepted while its last one was still open.
    next: Option<TcpStream>,
}

impl Listener {
    /// Binds to the first address of the host name that allows it.
    pub(super) async fn bind(host: &str, port: u16) -> io::Result<Self> {
        Ok(Self { socket: TcpListener::bind((host, port)).await?, camera: None, next: None })
    }

    /// Waits for a camera to connect.
    pub(super) async fn accept(&mut self) -> io::Result<TcpStream> {
        let stream = match self.next.take() {
            Some(stream) => stream,
            None => self.socket.accept().await?.0,
        };
        self.camera = Some(stream.peer_addr()?.ip());
        Ok(stream)
    }

    /// Waits for the same address to connect again and rejects all others: a listener serves one camera. The camera's
    /// last connection is dead then, even if the socket shows no error.
    pub(super) async fn reconnected(&mut self) {
        loop {
            match self.socket.accept().await {
                Ok((stream, from)) if Some(from.ip()) == self.camera => {
                    self.next = Some(stream);
                    return;
                }
                Ok((_, from)) => {
                    tracing::warn!(
                        "rejected a connection from {from}: another camera uses this port; give each camera its own port"
                    );
                }
                Err(error) => {
                    tracing::debug!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            }
        }
    }
}
