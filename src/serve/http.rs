//! Accepts connections, within limits.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::guard::refuse;
use super::send_at_once;
use super::tls::Tls;
use crate::net::ACCEPT_RETRY;
use crate::sync::locked;

/// Connections at a time. Further clients are closed at once.
const MAX_CONNECTIONS: usize = 512;

/// Connections from one address at a time, except this host.
const MAX_CONNECTIONS_OF_ADDRESS: usize = 64;

/// Longest head of a request in bytes. Also bounds the bytes that wait in a connection besides one frame.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// Longest time for the head of a request, and longest silence between two requests.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections by address.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A place for one connection, in the extensions of its requests. A WebSocket keeps it. Dropping it frees the place.
#[derive(Debug)]
pub(super) struct Place {
    connections: Connections,
    address: IpAddr,
}

impl Connections {
    /// Returns a place for a connection, if there is one.
    pub(super) fn place(&self, address: IpAddr) -> Option<Place> {
        let address = address.to_canonical();
        let mut open = locked(&self.0);
        let all: usize = open.values().sum();
        let of_address = open.get(&address).copied().unwrap_or(0);
        let is_full = of_address >= MAX_CONNECTIONS_OF_ADDRESS && !address.is_loopback();
        if all >= MAX_CONNECTIONS || is_full {
            return None;
        }
        *open.entry(address).or_default() += 1;
        Some(Place { connections: self.clone(), address })
    }

    /// Accepts connections until the task is dropped, and gives each a place. `what` names them in the log.
    pub(super) async fn accept(self, listener: TcpListener, what: &str, mut serve: impl FnMut(TcpStream, Place)) {
        loop {
            match listener.accept().await {
                Ok((stream, from)) => match self.place(from.ip()) {
                    Some(place) => serve(stream, place),
                    None => tracing::debug!(%from, what, "refused a connection: too many"),
                },
                Err(error) => {
                    tracing::debug!(%error, what, "accept failed");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = locked(&self.connections.0);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// First byte of a TLS connection: the type of a handshake record. No method of HTTP begins with it.
const TLS_HANDSHAKE: u8 = 22;

/// Accepts connections until its task is dropped.
pub(super) async fn accept(listener: TcpListener, router: Router, tls: Option<Tls>) {
    let serve = |stream, place| drop(tokio::spawn(serve(stream, router.clone(), place, tls.clone())));
    Connections::default().accept(listener, "HTTP", serve).await;
}

async fn serve(stream: TcpStream, router: Router, place: Place, tls: Option<Tls>) {
    send_at_once(&SockRef::from(&stream));
    let (place, router) = (Arc::new(place), TowerToHyperService::new(router));
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&place));
        router.call(request)
    });
    let from = place.address;
    let Some(tls) = tls else { return respond(stream, service, from).await };
    // Both the first byte and the handshake may never arrive.
    match timeout(HEAD_TIMEOUT, handshake(stream, &tls)).await {
        Ok(Ok(Opened::Tls(stream))) => respond(*stream, service, from).await,
        Ok(Ok(Opened::Plain(stream))) => {
            let text = "this port serves HTTPS only: expected an address that begins with https://";
            let refusal = service_fn(async |_: Request<Incoming>| {
                Ok::<_, std::convert::Infallible>(refuse(StatusCode::BAD_REQUEST, text))
            });
            respond(stream, refusal, from).await;
        }
        Ok(Err(error)) => tracing::debug!(%from, %error, "TLS handshake"),
        Err(_) => tracing::debug!(%from, "TLS handshake: no end within {} s", HEAD_TIMEOUT.as_secs()),
    }
}

/// A connection to a server with a certificate.
enum Opened {
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    /// The client does not use TLS.
    Plain(TcpStream),
}

async fn handshake(stream: TcpStream, tls: &Tls) -> std::io::Result<Opened> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first[0] != TLS_HANDSHAKE {
        return Ok(Opened::Plain(stream));
    }
    Ok(Opened::Tls(Box::new(tls.acceptor().accept(stream).await?)))
}

async fn respond<S>(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, service: S, from: IpAddr)
where
    S: HttpService<Incoming, ResBody = axum::body::Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!(%from, %error, "HTTP connection");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_places() {
        let connections = Connections::default();
        let address: IpAddr = "192.168.1.9".parse().expect("an address");
        let mapped: IpAddr = "::ffff:192.168.1.9".parse().expect("the same one");
        let mut places: Vec<_> =
            std::iter::from_fn(|| connections.place(if address.is_ipv4() { mapped } else { address })).collect();
        assert_eq!(places.len(), MAX_CONNECTIONS_OF_ADDRESS);
        assert!(connections.place(address).is_none());
        let local: Vec<_> = std::iter::from_fn(|| connections.place("127.0.0.1".parse().expect("one"))).collect();
        assert_eq!(local.len(), MAX_CONNECTIONS - MAX_CONNECTIONS_OF_ADDRESS);
        drop(local);
        places.pop();
        assert!(connections.place(address).is_some());
        drop(places);
        assert!(locked(&connections.0).is_empty(), "{connections:?}");
    }
}
