//! `http-post://[ADDRESS]:PORT/PATH`: a camera posts its pictures to this host.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::http::request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::attempt::{Addresses, Attempts, ConnectionEnd, Source};
use super::error::SourceErrorKind;
use super::monitor::Rhythm;
use super::png;
use super::reception::Reception;
use super::spec::{ANY_ADDRESS, host_and_port};
use super::{SessionOptions, SessionState};
use crate::frame::{Frame, Lease, Pool, Received};
use crate::net::ACCEPT_RETRY;
use crate::net::clock::received_now;
use crate::sync::locked;
use crate::wire::content::Content;
use crate::wire::{Damage, Decoder, Limits, Protocol, SkipReason};

/// Connections at a time. Further clients wait.
const MAX_CONNECTIONS: usize = 8;

/// Longest head of a request in bytes.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// Time for the head of a request, and longest silence between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest silence inside a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Memory for a body whose length is not known. It doubles as bytes arrive.
const GROWTH_STEP: usize = 64 << 10;

/// Field of a request with the detections of its picture.
const DETECTIONS: &str = "x-detections";

/// A path at which a camera posts its pictures. Parsing its text form returns the same value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpPostSpec {
    /// Host name or address of this host, without the brackets of IPv6.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The path.
    pub path: String,
}

impl HttpPostSpec {
    /// Parses the text after `http-post://`.
    ///
    /// # Errors
    /// A message with the invalid part and the expected one.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (address, path) = text.split_at(text.find('/').unwrap_or(text.len()));
        let address = if address.starts_with(':') { format!("{ANY_ADDRESS}{address}") } else { address.to_owned() };
        let (host, port) = host_and_port(&address, 0)?;
        if port == 0 {
            return Err("missing port; expected http-post://[ADDRESS]:PORT/PATH".to_owned());
        }
        if let Some(invalid) = path.chars().find(|c| !c.is_ascii_graphic() || "?#".contains(*c)) {
            return Err(format!("the path cannot contain `{}`", invalid.escape_default()));
        }
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self { host: host.to_owned(), port, path: path.to_owned() })
    }
}

impl fmt::Display for HttpPostSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, path } = self;
        let brackets = if host.contains(':') { ["[", "]"] } else { ["", ""] };
        write!(f, "http-post://{}{host}{}:{port}{path}", brackets[0], brackets[1])
    }
}

/// The body of a request.
pub(super) struct Posted {
    body: Body,
    from: SocketAddr,
    us: Option<SocketAddr>,
}

enum Body {
    Whole {
        /// The body as the payload of a frame, with the detections of the request's head.
        frame: Lease<Frame>,
        kind: Kind,
    },
    /// A picture for which there was no memory.
    NoMemory {
        /// Its length, or the bytes so far if it does not tell.
        expected: usize,
        received: usize,
    },
}

impl Body {
    fn received(&self) -> usize {
        match self {
            Self::Whole { frame, .. } => frame.payload().len(),
            Self::NoMemory { received, .. } => *received,
        }
    }
}

/// Kind of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A picture without a header: JPEG or raw pixels.
    Picture,
    /// A message as over TCP.
    Message,
    /// The detections of the next picture.
    Detections,
}

impl Kind {
    fn of(content_type: Option<&str>, body: &[u8]) -> Self {
        let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/json" | "text/plain" | "text/json" => Self::Detections,
            kind if kind.starts_with("image/") => Self::Picture,
            _ => match Content::of(body) {
                Content::Message => Self::Message,
                Content::List => Self::Detections,
                _ => Self::Picture,
            },
        }
    }
}

/// State that all connections share.
struct Shared {
    path: String,
    frames: Pool<Frame>,
    limits: Limits,
    posts: mpsc::Sender<Posted>,
    /// The address that has posted a picture. Others are refused, because a path serves one camera.
    camera: Mutex<Option<IpAddr>>,
}

/// Receives what a camera posts.
pub(super) struct HttpPost {
    listener: TcpListener,
    connections: JoinSet<()>,
    shared: Arc<Shared>,
    posts: mpsc::Receiver<Posted>,
    decoder: Decoder,
    rhythm: Rhythm,
}

impl HttpPost {
    /// Listens at the address.
    pub(super) async fn bind(spec: &HttpPostSpec, options: &SessionOptions) -> io::Result<Self> {
        let listener = TcpListener::bind((spec.host.as_str(), spec.port)).await?;
        let SessionOptions { frames, interpreter, limits, .. } = options;
        let decoder = Decoder::new(frames.clone(), interpreter.clone(), *limits);
        // Bodies wait in their connections, not here.
        let (sender, posts) = mpsc::channel(1);
        let shared = Shared {
            path: spec.path.clone(),
            frames: frames.clone(),
            limits: *limits,
            posts: sender,
            camera: Mutex::new(None),
        };
        let connections = JoinSet::new();
        Ok(Self { listener, connections, shared: Arc::new(shared), posts, decoder, rhythm: Rhythm::default() })
    }
}

/// Accepts connections until a body arrives.
async fn next(
    listener: &TcpListener,
    connections: &mut JoinSet<()>,
    shared: &Arc<Shared>,
    posts: &mut mpsc::Receiver<Posted>,
) -> Posted {
    loop {
        tokio::select! {
            Some(posted) = posts.recv() => return posted,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, from)) => {
                    connections.spawn(serve(stream, from, Arc::clone(shared)));
                }
                Err(error) => {
                    tracing::debug!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            },
        }
    }
}

async fn serve(stream: TcpStream, from: SocketAddr, shared: Arc<Shared>) {
    super::connect::keep_alive(&stream);
    let us = stream.local_addr().ok();
    let service = service_fn(|request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move {
            let (head, mut body) = request.into_parts();
            let mut response = Response::new(Full::default());
            match post(&head, &mut body, from, us, &shared).await {
                Ok(()) => *response.status_mut() = StatusCode::NO_CONTENT,
                Err((status, text)) => {
                    tracing::debug!(%from, "refused a request: {text}");
                    *response.status_mut() = status;
                    *response.body_mut() = Full::new(Bytes::from(text));
                    if !body.is_end_stream() {
                        // The rest of the body is not read, so no further request can follow it.
                        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                    }
                }
            }
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%from, %error, "HTTP connection");
    }
}

/// Receives one request. Returns the status and the text of a refusal.
async fn post(
    request: &request::Parts,
    body: &mut Incoming,
    from: SocketAddr,
    us: Option<SocketAddr>,
    shared: &Shared,
) -> Result<(), (StatusCode, String)> {
    let Shared { path, frames, limits, posts, camera } = shared;
    let refuse = |status: StatusCode, text: String| Err((status, text + "\n"));
    if request.uri.path() != path {
        return refuse(StatusCode::NOT_FOUND, format!("expected POST {path}, found {}", request.uri.path()));
    }
    if !matches!(request.method, Method::POST | Method::PUT) {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, format!("expected POST {path}, found {}", request.method));
    }
    if locked(camera).is_some_and(|camera| camera != from.ip().to_canonical()) {
        return refuse(
            StatusCode::FORBIDDEN,
            "another camera posts here; give each camera a path or port of its own".to_owned(),
        );
    }
    let text =
        |name: &str| request.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let (content_type, detections) = (text(header::CONTENT_TYPE.as_str()), text(DETECTIONS));
    if let Some(form) = content_type.as_ref().filter(|kind| kind.trim().to_ascii_lowercase().starts_with("multipart/"))
    {
        return refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("found `{form}`; expected the picture alone as the body (curl --data-binary @FILE)"),
        );
    }
    // The header of a message comes on top.
    let max = limits.payload.saturating_add(limits.detections);
    let announced = body.size_hint().exact();
    if announced.is_some_and(|len| len > max as u64) {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, format!("expected at most {max} bytes"));
    }
    let announced = announced.and_then(|len| usize::try_from(len).ok());
    let mut frame = frames.lease(announced.unwrap_or(0).min(GROWTH_STEP));
    frame.clear();
    let mut received = 0;
    let mut body = Limited::new(body, max);
    loop {
        let Ok(next) = tokio::time::timeout(BODY_TIMEOUT, body.frame()).await else {
            let within = BODY_TIMEOUT.as_secs();
            return refuse(StatusCode::REQUEST_TIMEOUT, format!("no data for {within} s, after {received} bytes"));
        };
        let data = match next {
            None => break,
            Some(Ok(data)) => data.into_data().unwrap_or_default(),
            Some(Err(error)) if error.is::<LengthLimitError>() => {
                return refuse(StatusCode::PAYLOAD_TOO_LARGE, format!("expected at most {max} bytes"));
            }
            Some(Err(error)) => return refuse(StatusCode::BAD_REQUEST, format!("the body is cut: {error}")),
        };
        let (to, capacity) = (received + data.len(), frame.payload().len());
        if to > capacity {
            let most = announced.unwrap_or(max).max(to);
            if frame.try_payload_mut(to.max(2 * capacity).max(GROWTH_STEP).min(most)).is_none() {
                let start = if received == 0 { &data[..] } else { &frame.payload()[..received] };
                if Kind::of(content_type.as_deref(), start) != Kind::Detections {
                    // The memory of its beginning, first.
                    drop(frame);
                    let body = Body::NoMemory { expected: announced.unwrap_or(to), received: to };
                    let _ = posts.send(Posted { body, from, us }).await;
                }
                return refuse(StatusCode::INSUFFICIENT_STORAGE, "no memory for the picture (--buffer)".to_owned());
            }
        }
        let capacity = frame.payload().len();
        frame.payload_mut(capacity)[received..to].copy_from_slice(&data);
        received = to;
    }
    if received == 0 {
        return refuse(StatusCode::BAD_REQUEST, "the body is empty; expected a picture or detections".to_owned());
    }
    frame.payload_mut(received);
    let kind = Kind::of(content_type.as_deref(), frame.payload());
    let most = if kind == Kind::Detections { limits.detections } else { limits.payload };
    if kind != Kind::Message && received > most {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, format!("expected at most {most} bytes"));
    }
    frame.detection_text.extend_from_slice(detections.unwrap_or_default().trim().as_bytes());
    // The receiver is gone at the end of the session only.
    let _ = posts.send(Posted { body: Body::Whole { frame, kind }, from, us }).await;
    Ok(())
}

impl Source for HttpPost {
    type Link = Posted;

    async fn connect(&mut self, attempts: &Attempts) -> Result<(Posted, Addresses), SourceErrorKind> {
        attempts.state.send_replace(SessionState::Waiting);
        let Self { listener, connections, shared, posts, .. } = self;
        *locked(&shared.camera) = None;
        let posted = next(listener, connections, shared, posts).await;
        let addresses = posted.us.map(|us| (posted.from, us));
        Ok((posted, addresses))
    }

    async fn receive(&mut self, attempts: &mut Attempts, posted: Posted, opened: Received) -> ConnectionEnd {
        let Self { listener, connections, shared, posts, decoder, rhythm } = self;
        *locked(&shared.camera) = Some(posted.from.ip().to_canonical());
        let mut reception = Reception::begin(attempts, decoder, *rhythm, opened);
        // A camera may post on events only; `--idle-timeout` limits its pauses.
        reception.may_pause = true;
        let pauses_end = reception.attempts.options.timeouts.idle_fixed.is_some();
        // Posted before the picture that they belong to.
        let mut detections = Vec::new();
        let mut next_post = Some(posted);
        let ended = loop {
            let posted = match next_post.take() {
                Some(posted) => posted,
                None => match reception.wait(next(listener, connections, shared, posts)).await {
                    Ok(Some(posted)) => posted,
                    Ok(None) => break Ok(()),
                    Err(SourceErrorKind::Idle(_)) if !pauses_end => {
                        // The camera may have another address by then.
                        *locked(&shared.camera) = None;
                        let Some(posted) = reception.unless_stopped(next(listener, connections, shared, posts)).await
                        else {
                            break Ok(());
                        };
                        *locked(&shared.camera) = Some(posted.from.ip().to_canonical());
                        posted
                    }
                    Err(error) => break Err(error),
                },
            };
            let now = received_now();
            reception.silence.bytes(now.mono_ns, false);
            reception.turn.work += posted.body.received() as u64;
            take(reception.decoder, posted.body, &mut detections, shared.limits.payload, now).await;
            if let Err(error) = reception.all_events(now).await {
                break Err(error);
            }
            if reception.is_stopped() {
                break Ok(());
            }
        };
        reception.decoder.unused_detections(&detections, received_now());
        reception.count_outage(&ended);
        let result = reception.finish(&ended).and(ended);
        let (frames, bytes) = (reception.frames, reception.decoder.byte_counts().received);
        *rhythm = reception.rhythm(&result);
        ConnectionEnd { result, frames, bytes }
    }
}

/// Passes a body to the decoder. `detections`: those of the next picture. `max`: most bytes of a picture.
async fn take(decoder: &mut Decoder, body: Body, detections: &mut Vec<u8>, max: usize, now: Received) {
    let (mut frame, kind) = match body {
        Body::Whole { frame, kind } => (frame, kind),
        Body::NoMemory { expected, received } => {
            // They belong to this picture, and to no other.
            decoder.unused_detections(&std::mem::take(detections), now);
            decoder.lost_picture(Damage::NoMemory { expected }, &[], received, now);
            return;
        }
    };
    match kind {
        Kind::Picture => {
            let before = std::mem::take(detections);
            if frame.detection_text.is_empty() {
                frame.detection_text.extend_from_slice(&before);
            } else {
                decoder.unused_detections(&before, now);
            }
            png::deliver(decoder, frame, Protocol::Http, max, now).await;
        }
        Kind::Message => {
            let body = frame.payload();
            if !decoder.message(body, false, now) {
                decoder.outside(body, body.len(), SkipReason::NotAHeader, now);
            }
        }
        Kind::Detections => {
            let before = std::mem::replace(detections, frame.payload().trim_ascii().to_vec());
            decoder.unused_detections(&before, now);
            decoder.outside(&[], frame.payload().len() - detections.len(), SkipReason::ForeignRecord, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceSpec;

    #[test]
    fn addresses_are_parsed_and_shown() {
        for (text, shown) in [
            ("http-post://:8080", "http-post://0.0.0.0:8080/"),
            ("http-post://192.168.1.10:8080/front/door", "http-post://192.168.1.10:8080/front/door"),
            ("http-post://[::]:8080/x", "http-post://[::]:8080/x"),
        ] {
            let spec: SourceSpec = text.parse().expect(text);
            assert_eq!(spec.to_string(), shown);
            assert_eq!(shown.parse(), Ok(spec), "{text}");
        }
        for (text, why) in [
            ("http-post:///x", "missing host"),
            ("http-post://192.168.1.10/x", "missing port; expected http-post://[ADDRESS]:PORT/PATH"),
            ("http-post://:8080/a b", "the path cannot contain ` `"),
        ] {
            let error = text.parse::<SourceSpec>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn bodies_are_recognized() {
        for (content_type, body, kind) in [
            (Some("image/jpeg"), &b"IMG 1.0 3 0                     BGR"[..], Kind::Picture),
            (Some("application/octet-stream"), b"IMG 1.0 3 0                     BGR", Kind::Message),
            (None, b"IMG 1.0 3 0                     BGR", Kind::Message),
            (None, b"IMG", Kind::Picture),
            (Some("application/json; charset=utf-8"), b"[]", Kind::Detections),
            (Some("application/x-www-form-urlencoded"), b" [{\"label\":1}]", Kind::Detections),
            (Some("text/plain"), b"1;90.0;0.1;0.1;0.2;0.2", Kind::Detections),
            (None, b"[\xff\xff", Kind::Picture),
        ] {
            assert_eq!(Kind::of(content_type, body), kind, "{content_type:?}");
        }
    }
}
