//! The listening side of `listen://` (wire.md 4.20): bound once, kept across reconnects. Of several clients, the one that
//! sends a camera's stream is received.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;
use tokio::net::{TcpListener, TcpStream};

use crate::net::ACCEPT_RETRY;
use crate::wire::{LINE, header};

/// Clients that may wait at a time. A further one replaces the oldest, which has sent nothing so far.
const MAX_WAITING: usize = 8;

/// A listening socket for one camera.
#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    /// Address of the camera that was accepted last.
    camera: Option<IpAddr>,
    /// The connection to use next.
    next: Option<TcpStream>,
    /// Clients that connected while another connection was open, and have sent nothing so far.
    waiting: VecDeque<TcpStream>,
}

impl Listener {
    /// Binds to the first address of the host name that allows it.
    pub(super) async fn bind(host: &str, port: u16) -> io::Result<Self> {
        let socket = TcpListener::bind((host, port)).await?;
        Ok(Self { socket, camera: None, next: None, waiting: VecDeque::new() })
    }

    /// Waits for a camera to connect.
    pub(super) async fn accept(&mut self) -> io::Result<TcpStream> {
        let stream = match self.next.take().or_else(|| self.waiting.pop_front()) {
            Some(stream) => stream,
            None => self.socket.accept().await?.0,
        };
        // Fails if a waiting client has left: then the attempt ends, and the next one takes the next client.
        self.camera = Some(stream.peer_addr()?.ip());
        Ok(stream)
    }

    /// Waits until another client sends a camera's stream. `is_camera`: the open connection is that of a camera. Then
    /// only the same address can replace it, whose last connection is dead even if the socket shows no error; other
    /// addresses are rejected, because a listener serves one camera.
    pub(super) async fn reconnected(&mut self, is_camera: bool) {
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                found = first_to_send(&mut self.waiting) => {
                    if self.is_next(found, is_camera) {
                        return;
                    }
                    continue;
                }
            };
            match accepted {
                Ok((_, from)) if is_camera && Some(from.ip()) != self.camera => reject(from.ip()),
                Ok((stream, _)) => {
                    if self.waiting.len() == MAX_WAITING {
                        self.waiting.pop_front();
                    }
                    self.waiting.push_back(stream);
                }
                Err(error) => {
                    tracing::debug!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    /// Uses the waiting client at this position next if it sends a camera's stream; drops it otherwise.
    fn is_next(&mut self, (at, is_stream): (usize, bool), is_camera: bool) -> bool {
        let Some(stream) = self.waiting.remove(at) else { return false };
        let Ok(from) = stream.peer_addr() else { return false };
        if !is_stream {
            tracing::debug!(%from, "dropped a client that sends no camera stream");
            return false;
        }
        if is_camera && Some(from.ip()) != self.camera {
            reject(from.ip());
            return false;
        }
        self.next = Some(stream);
        true
    }
}

fn reject(from: IpAddr) {
    tracing::warn!("rejected a connection from {from}: another camera uses this port; give each camera its own port");
}

/// Waits until a client sends a header or a record, sends something else, or leaves. Returns its position, and whether it
/// sends a camera's stream.
async fn first_to_send(waiting: &mut VecDeque<TcpStream>) -> (usize, bool) {
    let poll = |cx: &mut Context<'_>| {
        for (at, stream) in waiting.iter().enumerate() {
            let mut line = [0; LINE];
            let mut line = ReadBuf::new(&mut line);
            match stream.poll_peek(cx, &mut line) {
                Poll::Ready(Ok(n)) if n == LINE || n == 0 || !header::can_start_message(line.filled()) => {
                    return Poll::Ready((at, n > 0 && header::can_start_message(line.filled())));
                }
                Poll::Ready(Err(_)) => return Poll::Ready((at, false)),
                // Too few bytes to tell.
                Poll::Ready(Ok(_)) | Poll::Pending => {}
            }
        }
        Poll::Pending
    };
    std::future::poll_fn(poll).await
}
