//! Opens a TCP connection to a camera.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use super::attempt::Addresses;
use super::error::SourceErrorKind;

/// A camera without power closes no connection. These probes find it after about 11 s.
const KEEP_ALIVE_TIME: Duration = Duration::from_secs(5);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEP_ALIVE_RETRIES: u32 = 3;

/// Resolves the host name and connects to the first address that accepts.
pub(crate) async fn connect(host: &str, port: u16, timeout: Duration) -> Result<TcpStream, SourceErrorKind> {
    let silent = |_| io::Error::other(format!("the name server did not answer within {} s", timeout.as_secs_f32()));
    let resolving = tokio::time::timeout(timeout, tokio::net::lookup_host((host, port))).await;
    let addresses = resolving.map_err(silent).flatten().map_err(SourceErrorKind::Resolve)?;
    let attempt = async {
        let mut last = None;
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(match last {
            Some(error) => SourceErrorKind::Connect(error),
            None => SourceErrorKind::Resolve(io::ErrorKind::NotFound.into()),
        })
    };
    tokio::time::timeout(timeout, attempt).await.unwrap_or(Err(SourceErrorKind::ConnectTimeout(timeout)))
}

/// Enables keep-alive. Leaves the size of the receive buffer to the kernel, which adapts it to the stream.
pub(crate) fn keep_alive(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEP_ALIVE_TIME)
        .with_interval(KEEP_ALIVE_INTERVAL)
        .with_retries(KEEP_ALIVE_RETRIES);
    if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&keepalive) {
        tracing::debug!(%error, "could not enable keep-alive");
    }
}

/// Returns the addresses of both sides.
pub(super) fn addresses(stream: &TcpStream) -> Addresses {
    stream.peer_addr().and_then(|peer| Ok((peer, stream.local_addr()?))).ok()
}
