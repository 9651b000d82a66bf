//! Where a camera comes to by itself (wire.md 4.20): it is open before the camera, and stays open.

use std::io;
use std::net::IpAddr;

use tokio::net::{TcpListener, TcpStream};

/// A listener, and the camera that was let in.
#[derive(Debug)]
pub(super) struct Door {
    listener: TcpListener,
    inside: Option<IpAddr>,
    /// It came anew while its last connection was still open.
    next: Option<TcpStream>,
}

impl Door {
    /// Opens it at every address that the name has.
    pub(super) async fn open(host: &str, port: u16) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind((host, port)).await?, inside: None, next: None })
    }

    /// The next camera.
    pub(super) async fn camera(&mut self) -> io::Result<TcpStream> {
        let stream = match self.next.take() {
            Some(stream) => stream,
            None => self.listener.accept().await?.0,
        };
        self.inside = Some(stream.peer_addr()?.ip());
        Ok(stream)
    }

    /// Waits until the camera that is inside comes anew: its last connection is dead then, whatever it looks like. Others
    /// are turned away, because one address is one camera here.
    pub(super) async fn comes_anew(&mut self) {
        loop {
            match self.listener.accept().await {
                Ok((stream, from)) if Some(from.ip()) == self.inside => {
                    self.next = Some(stream);
                    return;
                }
                Ok((_, from)) => {
                    tracing::warn!("{from} was turned away: another camera is here; give each a port of its own");
                }
                Err(error) => {
                    tracing::debug!(%error, "somebody came and left");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }
}
