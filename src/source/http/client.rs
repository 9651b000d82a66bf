//! One GET, with redirects and authentication, over connections that are kept open between requests.

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::rustls;

use super::auth::Challenge;
use super::error::HttpError;
use super::spec::HttpSpec;
use crate::net::tls;
use crate::source::connect::{connect, keep_alive};
use crate::source::error::SourceErrorKind;

/// Redirects to follow.
const MAX_REDIRECTS: usize = 3;

/// Longest head of a response, and memory for reading its body, in bytes.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// Bytes of an error page that are read.
const MAX_PAGE_BYTES: usize = 4 << 10;

/// Characters of an error page that are shown.
const SHOWN_PAGE_CHARS: usize = 80;

/// Time to read an error page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(1);

/// Opens connections to servers, and sends requests.
#[derive(Debug)]
pub(super) struct Client {
    connect_timeout: Duration,
    response_timeout: Duration,
    /// The open connection, and the server that it leads to.
    open: Option<(String, Connection)>,
    /// The challenge that the server accepted an answer to.
    challenge: Option<Challenge>,
}

/// A connection without a request in progress.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    _driver: Driver,
}

/// The task that reads and writes a connection. Ends with this handle.
#[derive(Debug)]
struct Driver(tokio::task::JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Client {
    pub(super) fn new(connect_timeout: Duration, response_timeout: Duration) -> Self {
        Self { connect_timeout, response_timeout, open: None, challenge: None }
    }

    /// Uses a connection that was opened elsewhere for the next request.
    pub(super) async fn use_stream(&mut self, url: &HttpSpec, stream: TcpStream) -> Result<(), SourceErrorKind> {
        let connection = tokio::time::timeout(self.connect_timeout, handshake(url, stream))
            .await
            .unwrap_or_else(|_| Err(SourceErrorKind::ConnectTimeout(self.connect_timeout)))?;
        self.open = Some((origin(url), connection));
        Ok(())
    }

    /// Requests a resource, and follows redirects. Returns a successful response.
    pub(super) async fn get(&mut self, url: &HttpSpec) -> Result<Response<Incoming>, SourceErrorKind> {
        let mut at = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.get_here(&at).await?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let path = at.shown_path();
            let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            let Some(location) = location else { return Err(self.status(&at, response).await.into()) };
            let to = location.split('?').next().unwrap_or_default().to_owned();
            at = at.redirected(location).map_err(|why| HttpError::Redirect { path, to, why })?;
            self.open = None;
        }
        let why = format!("expected at most {MAX_REDIRECTS} redirects");
        Err(HttpError::Redirect { path: url.shown_path(), to: at.shown_path(), why }.into())
    }

    /// Requests a resource, and authenticates if the server requires it.
    async fn get_here(&mut self, url: &HttpSpec) -> Result<Response<Incoming>, SourceErrorKind> {
        let mut answered = false;
        loop {
            let authorization = match (&url.credentials, &mut self.challenge) {
                (Some(credentials), Some(challenge)) => Some(challenge.answer(credentials, &url.path)),
                _ => None,
            };
            let response = self.send(url, authorization).await?;
            let status = response.status();
            if status.is_redirection() || status == StatusCode::OK {
                return Ok(response);
            }
            if status != StatusCode::UNAUTHORIZED {
                return Err(self.status(url, response).await.into());
            }
            let path = url.shown_path();
            let offers: Vec<&str> = response
                .headers()
                .get_all(header::WWW_AUTHENTICATE)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .collect();
            let was_answered = self.challenge.is_some() && url.credentials.is_some();
            // A new nonce is no rejection, but only once.
            let is_stale = offers.iter().any(|offer| offer.to_ascii_lowercase().contains("stale=true"));
            let challenge = Challenge::choose(offers.iter().copied());
            let error = match (&url.credentials, challenge) {
                (None, _) => HttpError::PasswordRequired { path },
                (Some(_), None) => HttpError::Authentication { path, offered: offers.join(", ") },
                (Some(_), Some(_)) if was_answered && (answered || !is_stale) => HttpError::PasswordRejected { path },
                (Some(_), Some(challenge)) => {
                    answered |= was_answered;
                    self.challenge = Some(challenge);
                    self.open = None;
                    continue;
                }
            };
            self.challenge = None;
            return Err(error.into());
        }
    }

    /// Sends one request, over the open connection if it leads to this server.
    async fn send(
        &mut self,
        url: &HttpSpec,
        authorization: Option<String>,
    ) -> Result<Response<Incoming>, SourceErrorKind> {
        let reused = match self.open.take() {
            Some((server, mut connection)) if server == origin(url) => {
                connection.sender.ready().await.is_ok().then_some(connection)
            }
            _ => None,
        };
        let mut connection = match reused {
            Some(connection) => connection,
            None => {
                let stream = connect(&url.host, url.port, self.connect_timeout).await?;
                keep_alive(&stream);
                tokio::time::timeout(self.connect_timeout, handshake(url, stream))
                    .await
                    .unwrap_or_else(|_| Err(SourceErrorKind::ConnectTimeout(self.connect_timeout)))?
            }
        };
        let request = request(url, authorization)?;
        let sent = tokio::time::timeout(self.response_timeout, connection.sender.send_request(request)).await;
        let path = url.shown_path();
        let response = match sent {
            Err(_) => return Err(HttpError::NoResponse { path, within: self.response_timeout }.into()),
            Ok(Err(error)) if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => {
                return Err(HttpError::ClosedWithoutResponse { path }.into());
            }
            Ok(Err(error)) => return Err(failed(&error)),
            Ok(Ok(response)) => response,
        };
        self.open = Some((origin(url), connection));
        Ok(response)
    }

    /// Reads the page of a response that is not a success.
    async fn status(&mut self, url: &HttpSpec, response: Response<Incoming>) -> HttpError {
        let status = response.status();
        let code = status.as_u16();
        let found = page(response, &[]).await;
        self.open = None;
        HttpError::Status { status: status.to_string(), code, path: url.shown_path(), found }
    }
}

/// Returns the first text of a page, without its tags. `read`: its bytes that were read before.
pub(super) async fn page(response: Response<Incoming>, read: &[u8]) -> String {
    let mut bytes = read.to_vec();
    let mut body = Limited::new(response.into_body(), MAX_PAGE_BYTES);
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        }
    };
    let _ = tokio::time::timeout(PAGE_TIMEOUT, reading).await;
    let text = String::from_utf8_lossy(&bytes);
    let (mut shown, mut in_tag) = (String::new(), false);
    for c in text.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                shown.push(' ');
            }
            c if in_tag || c == char::REPLACEMENT_CHARACTER => {}
            c => shown.push(if c.is_control() { ' ' } else { c }),
        }
    }
    let words: Vec<&str> = shown.split_whitespace().collect();
    words.join(" ").chars().take(SHOWN_PAGE_CHARS).collect()
}

/// Returns what a connection leads to.
fn origin(url: &HttpSpec) -> String {
    format!("{}{}", if url.tls { "https://" } else { "http://" }, url.authority())
}

fn request(url: &HttpSpec, authorization: Option<String>) -> Result<Request<Empty<Bytes>>, SourceErrorKind> {
    let mut headers = HeaderMap::new();
    // Zones name interfaces of this host only.
    let host = match url.authority().split_once('%') {
        Some((host, rest)) => host.to_owned() + rest.find(']').map_or("", |at| &rest[at..]),
        None => url.authority(),
    };
    let value = |text: String| HeaderValue::try_from(text).map_err(|error| HttpError::Invalid(error.to_string()));
    headers.insert(header::HOST, value(host)?);
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("oaktap/", env!("CARGO_PKG_VERSION"))));
    headers.insert(
        header::ACCEPT,
        HeaderValue::from_static("multipart/x-mixed-replace, image/jpeg, image/png, */*;q=0.1"),
    );
    if let Some(authorization) = authorization {
        let mut value = value(authorization)?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    let mut request = Request::builder()
        .uri(url.path.as_str())
        .body(Empty::new())
        .map_err(|error| HttpError::Invalid(error.to_string()))?;
    *request.headers_mut() = headers;
    Ok(request)
}

async fn handshake(url: &HttpSpec, stream: TcpStream) -> Result<Connection, SourceErrorKind> {
    if !url.tls {
        return drive(TokioIo::new(stream)).await;
    }
    drive(TokioIo::new(tls::handshake(&url.host, stream, url.insecure).await.map_err(HttpError::from)?)).await
}

async fn drive<T>(io: TokioIo<T>) -> Result<Connection, SourceErrorKind>
where
    TokioIo<T>: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
        .handshake(io)
        .await
        .map_err(|error| failed(&error))?;
    let driver = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "HTTP connection");
        }
    });
    Ok(Connection { sender, _driver: Driver(driver) })
}

/// Returns whether a body ended before its length, or without its last chunk.
pub(super) fn is_cut(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    error.is_incomplete_message() || cause.is_some_and(|cause| cause.kind() == io::ErrorKind::UnexpectedEof)
}

/// Returns the error of a connection.
pub(super) fn failed(error: &hyper::Error) -> SourceErrorKind {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(error) => HttpError::Tls(error.to_string()).into(),
                None => SourceErrorKind::Read(io::Error::new(error.kind(), error.to_string())),
            };
        }
        cause = error.source();
    }
    if error.is_parse_too_large() {
        return HttpError::Invalid(format!("its head has more than {MAX_HEAD_BYTES} bytes")).into();
    }
    HttpError::Invalid(crate::error::with_causes(error)).into()
}
