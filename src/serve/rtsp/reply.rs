//! Answers requests of a player.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use super::MEDIA_TIMEOUT;
use super::message::Request;
use super::name::{TRACK, camera_in};
use super::sdp;
use super::session::{Path, Session, TIMEOUT_S};
use super::transport::supported;
use crate::serve::camera::ServedCamera;
use crate::serve::guard::wrong;
use crate::serve::routes::Server;

/// Methods that are answered.
const METHODS: &str = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, TEARDOWN";

/// Number and name of a status.
type Status = (u16, &'static str);

const OK: Status = (200, "OK");
pub(super) const BAD_REQUEST: Status = (400, "Bad Request");
const UNAUTHORIZED: Status = (401, "Unauthorized");
const NOT_FOUND: Status = (404, "Not Found");
const METHOD_NOT_ALLOWED: Status = (405, "Method Not Allowed");
const SESSION_NOT_FOUND: Status = (454, "Session Not Found");
const INVALID_STATE: Status = (455, "Method Not Valid in This State");
const UNSUPPORTED_TRANSPORT: Status = (461, "Unsupported Transport");
const INTERNAL_ERROR: Status = (500, "Internal Server Error");
const UNAVAILABLE: Status = (503, "Service Unavailable");
const VERSION_NOT_SUPPORTED: Status = (505, "RTSP Version Not Supported");
const OPTION_NOT_SUPPORTED: Status = (551, "Option not supported");

/// A successful answer, or the reason for a refusal with a text for people.
type Answer = Result<Success, (Status, String)>;

/// Headers and body of a successful answer.
#[derive(Debug, Default)]
struct Success {
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// Addresses of a connection, and its session.
pub(super) struct Player {
    pub(super) server: Arc<Server>,
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
    pub(super) session: Option<Session>,
}

/// Returns a refusal of bytes that are not a request.
pub(super) fn refusal(status: Status, text: &str) -> Vec<u8> {
    written(status, &[], format!("{text}\n").as_bytes())
}

fn written((number, name): Status, headers: &[(&str, String)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("RTSP/1.0 {number} {name}\r\nServer: oaktap\r\n");
    // Writing into a `String` cannot fail.
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    if !body.is_empty() {
        let _ = write!(text, "Content-Length: {}\r\n", body.len());
    }
    [text.as_bytes(), b"\r\n", body].concat()
}

impl Player {
    /// Answers a request.
    pub(super) async fn answer(&mut self, request: &Request) -> Vec<u8> {
        if let Some(session) = &mut self.session {
            session.heard = tokio::time::Instant::now();
        }
        // A number: repeated in the answer, so it must not contain line breaks.
        let number = request.header("CSeq").and_then(|number| number.parse::<u32>().ok());
        let answer = match (request.is_supported(), number) {
            (false, _) => Err((VERSION_NOT_SUPPORTED, "expected RTSP/1.0".to_owned())),
            (_, None) => Err((BAD_REQUEST, "expected a `CSeq` header with a number".to_owned())),
            _ => self.authorized(request).await,
        };
        let (status, answer) = match answer {
            Ok(answer) => (OK, answer),
            Err((status, text)) => {
                tracing::debug!(peer = %self.peer, status = status.0, text, "refused an RTSP request");
                let kind = ("Content-Type", "text/plain; charset=utf-8".to_owned());
                let more = match status {
                    UNAUTHORIZED => vec![("WWW-Authenticate", "Basic realm=\"oaktap\"".to_owned())],
                    METHOD_NOT_ALLOWED => vec![("Allow", METHODS.to_owned())],
                    OPTION_NOT_SUPPORTED => {
                        let wanted = request.header("Require").map(|wanted| wanted.escape_default().to_string());
                        vec![("Unsupported", wanted.unwrap_or_default())]
                    }
                    _ => Vec::new(),
                };
                (status, Success { headers: [vec![kind], more].concat(), body: (text + "\n").into_bytes() })
            }
        };
        let number = number.map(|number| ("CSeq", number.to_string()));
        let headers: Vec<_> = number.into_iter().chain(answer.headers).collect();
        written(status, &headers, &answer.body)
    }

    async fn authorized(&mut self, request: &Request) -> Answer {
        if request.method == "OPTIONS" {
            return Ok(Success { headers: vec![("Public", METHODS.to_owned())], body: Vec::new() });
        }
        if let Some(token) = &self.server.guard.token {
            let given = request.header("Authorization");
            if !given.is_some_and(|given| token.is_authorization(given)) {
                if given.is_some() {
                    wrong(&self.server.guard).await;
                }
                let text = "expected the token of --token as the password: rtsp://user:TOKEN@HOST:PORT/NAME";
                return Err((UNAUTHORIZED, text.to_owned()));
            }
        }
        if let Some(wanted) = request.header("Require") {
            return Err((OPTION_NOT_SUPPORTED, format!("`{}` is not supported", wanted.escape_default())));
        }
        match request.method.as_str() {
            "DESCRIBE" => self.describe(request).await,
            "SETUP" => self.setup(request).await,
            "PLAY" => {
                let session = self.with_session(request)?;
                session.play().map_err(|error| (UNAVAILABLE, error.to_string()))?;
                let session = self.with_session(request)?;
                let base = base(request);
                let info = format!("url={base}/{TRACK};seq={}", session.rtp.sequence);
                Ok(success(session, vec![("RTP-Info", info)]))
            }
            "PAUSE" => {
                let session = self.with_session(request)?;
                session.viewer = None;
                Ok(success(session, Vec::new()))
            }
            "GET_PARAMETER" => match &self.session {
                Some(_) => Ok(success(self.with_session(request)?, Vec::new())),
                None => Ok(Success::default()),
            },
            "TEARDOWN" => {
                self.with_session(request)?;
                self.session = None;
                Ok(Success::default())
            }
            other => {
                Err((METHOD_NOT_ALLOWED, format!("`{}` is not supported; expected {METHODS}", other.escape_default())))
            }
        }
    }

    fn camera(&self, request: &Request) -> Result<Arc<ServedCamera>, (Status, String)> {
        let name = camera_in(request.path()).unwrap_or_default();
        self.server.camera(&name).cloned().ok_or_else(|| {
            let names: Vec<_> = self.server.each().map(|(camera, _)| camera.name.as_str()).collect();
            (NOT_FOUND, format!("no camera `{}`; expected {}", name.escape_default(), names.join(", ")))
        })
    }

    /// Returns the session that a request names.
    fn with_session(&mut self, request: &Request) -> Result<&mut Session, (Status, String)> {
        let named = request.header("Session").map(|named| named.split(';').next().unwrap_or("").trim());
        match &mut self.session {
            Some(session) if named == Some(&session.id) => Ok(session),
            _ => Err((SESSION_NOT_FOUND, "expected the `Session` header that SETUP returned".to_owned())),
        }
    }

    async fn describe(&self, request: &Request) -> Answer {
        let camera = self.camera(request)?;
        let media = camera.rtsp.media(MEDIA_TIMEOUT).await.map_err(|error| (UNAVAILABLE, error.to_string()))?;
        let base = base(request);
        Ok(Success {
            headers: vec![("Content-Type", "application/sdp".to_owned()), ("Content-Base", base + "/")],
            body: sdp::describe(&camera.name, &media, self.local.ip()),
        })
    }

    async fn setup(&mut self, request: &Request) -> Answer {
        let camera = self.camera(request)?;
        if request.header("Session").is_some() {
            self.with_session(request)?;
        }
        if self.session.as_ref().is_some_and(|session| session.viewer.is_some()) {
            return Err((INVALID_STATE, "the camera is playing already".to_owned()));
        }
        let header = request.header("Transport").unwrap_or_default();
        let transport = supported(header, self.peer.ip().to_canonical()).ok_or_else(|| {
            let text = "expected `RTP/AVP/TCP;unicast;interleaved=0-1` or `RTP/AVP;unicast;client_port=A-B`; packets over UDP are \
                        sent to the address of the RTSP connection only";
            (UNSUPPORTED_TRANSPORT, text.to_owned())
        })?;
        let media = camera.rtsp.media(MEDIA_TIMEOUT).await.map_err(|error| (UNAVAILABLE, error.to_string()))?;
        let (path, header) = Path::open(transport, self.local.ip(), self.peer.ip())
            .await
            .map_err(|error| (INTERNAL_ERROR, format!("cannot open ports for UDP: {error}")))?;
        let session = self.session.insert(Session::new(camera, media, path));
        let header = format!("{header};ssrc={:08X}", session.rtp.ssrc);
        Ok(success(session, vec![("Transport", header)]))
    }
}

fn success(session: &Session, mut headers: Vec<(&'static str, String)>) -> Success {
    headers.push(("Session", format!("{};timeout={TIMEOUT_S}", session.id)));
    Success { headers, body: Vec::new() }
}

/// Returns the URL of a camera without what follows its name.
fn base(request: &Request) -> String {
    let url = request.without_query();
    let url = url.strip_suffix(TRACK).unwrap_or(url);
    url.strip_suffix('/').unwrap_or(url).to_owned()
}
