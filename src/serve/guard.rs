//! Decides which requests are answered: names of this host, origins, and the token.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, fs, io};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::routes::{Server, json};
use super::signature::{Signed, SigningKey, now_unix_s};
use crate::units::hex;

/// Name of the cookie that the page gets for the token.
const COOKIE: &str = "oaktap";

/// Fewest characters of a token.
const TOKEN_MIN: usize = 16;

/// Most characters of a token.
const TOKEN_MAX: usize = 256;

/// Time that a wrong token costs. Wrong ones are answered one after the other, so this bounds guesses of all clients.
const WRONG_TOKEN_DELAY: Duration = Duration::from_millis(200);

/// Sent with every response.
const HEADERS: [(header::HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (EMBEDDING, "same-origin"),
];

/// Longest time until the body of a request has arrived.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest body of a request in bytes. Offers of WebRTC are the longest: those of browsers have about 7 KiB.
const BODY_BYTES_MAX: usize = 32 << 10;

/// Says whether other pages may embed a picture.
const EMBEDDING: header::HeaderName = header::HeaderName::from_static("cross-origin-resource-policy");

/// Reason for not using a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The system refuses the file.
    #[error("cannot read the token from {path}")]
    Read {
        /// The file.
        path: String,
        /// The error.
        source: io::Error,
    },
    /// The file has no usable token.
    #[error(
        "the token in {path} has {found}; expected one line of {TOKEN_MIN} to {TOKEN_MAX} letters, digits or signs"
    )]
    Unusable {
        /// The file.
        path: String,
        /// Its content.
        found: String,
    },
}

/// A secret that clients send. Only hashes of it are kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    bearer: [u8; 32],
    cookie: String,
    cookie_hash: [u8; 32],
    pub(super) signing: SigningKey,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

fn sha256(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

impl Token {
    /// Reads the token from the only line of a file.
    ///
    /// # Errors
    /// The file cannot be read, or the token is too short, too long, or has other characters.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let name = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|source| TokenError::Read { path: name.clone(), source })?;
        Self::new(text.trim()).map_err(|found| TokenError::Unusable { path: name, found })
    }

    /// Creates a token; returns what is wrong with it otherwise.
    fn new(text: &str) -> Result<Self, String> {
        if let Some(other) = text.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(format!("the character `{}`", other.escape_default()));
        }
        if !(TOKEN_MIN..=TOKEN_MAX).contains(&text.len()) {
            return Err(format!("{} characters", text.len()));
        }
        let cookie = sha256(format!("oaktap cookie {text}").as_bytes());
        let cookie = hex(&cookie);
        Ok(Self {
            bearer: sha256(text.as_bytes()),
            cookie_hash: sha256(cookie.as_bytes()),
            cookie,
            signing: SigningKey::of_token(text),
        })
    }

    /// Compares hashes, so that the time does not depend on how much of a wrong token is right.
    fn is(&self, text: &str) -> bool {
        sha256(text.as_bytes()) == self.bearer
    }

    fn is_cookie(&self, text: &str) -> bool {
        sha256(text.as_bytes()) == self.cookie_hash
    }

    /// Returns the header that gives the page its cookie.
    fn set_cookie(&self, is_encrypted: bool) -> String {
        let secure = if is_encrypted { "; Secure" } else { "" };
        format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict{secure}", self.cookie)
    }

    /// Returns whether a request has the token: as a bearer, as the password of a user, or as the cookie.
    fn is_in(&self, headers: &HeaderMap) -> Credentials {
        let mut given = false;
        for value in headers.get_all(header::AUTHORIZATION) {
            given = true;
            if value.to_str().is_ok_and(|value| self.is_authorization(value)) {
                return Credentials::Right;
            }
        }
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let ours = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        for (_, value) in ours.filter(|(name, _)| *name == COOKIE) {
            given = true;
            if self.is_cookie(value) {
                return Credentials::Right;
            }
        }
        if given { Credentials::Wrong } else { Credentials::Missing }
    }

    /// Returns whether the value of an `Authorization` header has the token.
    pub(super) fn is_authorization(&self, value: &str) -> bool {
        let Some((scheme, rest)) = value.split_once(' ') else { return false };
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.is(rest.trim());
        }
        let decoded = STANDARD.decode(rest.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let password = decoded.as_deref().and_then(|text| text.split_once(':')).map(|(_, password)| password);
        scheme.eq_ignore_ascii_case("basic") && password.is_some_and(|password| self.is(password))
    }
}

/// The token in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credentials {
    Right,
    Wrong,
    Missing,
}

/// Rules for requests.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) token: Option<Token>,
    pub(super) host_names: Vec<String>,
    /// The server uses TLS.
    pub(super) is_encrypted: bool,
    /// Held while a wrong token is answered.
    pub(super) wrong: Mutex<()>,
}

impl Guard {
    /// Returns whether requests may name this host so. An address cannot be rebound to another host by its owner; a name can.
    fn serves(&self, host: &str) -> bool {
        let name = without_port(host);
        let is_address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok();
        is_address
            || name.eq_ignore_ascii_case("localhost")
            || self.host_names.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    }
}

/// Returns whether the page of this origin is ours. `null` and other schemes are not.
fn is_own(origin: &str, host: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| origin.strip_prefix(scheme).is_some_and(|from| from == host))
}

/// Paths that need no token: the page itself, and whether the server runs.
fn is_public(path: &str) -> bool {
    path == "/" || path == "/healthz" || path.starts_with("/page/") || path == "/api/session"
}

/// Answers a request with a text.
pub(super) fn refuse(status: StatusCode, text: impl fmt::Display) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{text}\n")).into_response()
}

/// Refuses a request with a reason, or returns it.
fn check(guard: &Guard, request: &Request) -> Result<(), Box<Response>> {
    let headers = request.headers();
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) else {
        return Err(Box::new(refuse(StatusCode::BAD_REQUEST, "expected one `Host` header")));
    };
    if !guard.serves(host) {
        let name = without_port(host).escape_default();
        let text = format!("this server is not named `{name}`; `--host-name NAME` allows a name");
        return Err(Box::new(refuse(StatusCode::MISDIRECTED_REQUEST, text)));
    }
    let changes = changes(request);
    let origins = headers.get_all(header::ORIGIN).iter();
    let is_foreign = |origin: &HeaderValue| !origin.to_str().is_ok_and(|origin| is_own(origin, host));
    if (changes || headers.contains_key(header::UPGRADE)) && origins.into_iter().any(is_foreign) {
        return Err(Box::new(refuse(StatusCode::FORBIDDEN, "the request is from the page of another server")));
    }
    Ok(())
}

/// Returns whether a request may change something.
fn changes(request: &Request) -> bool {
    !matches!(*request.method(), Method::GET | Method::HEAD)
}

/// Lets a request pass, or answers it.
pub(super) async fn guard(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut is_signed = false;
    let mut response = match check(&server.guard, &request) {
        Ok(()) => match authorize(&server.guard, request.method(), request.uri(), request.headers()).await {
            Ok(access) => {
                is_signed = access == Access::Signed;
                // Only such requests have a body, which is read before the answer; others may be streams.
                if changes(&request) {
                    match with_body(request).await {
                        Ok(request) => next.run(request).await,
                        Err(response) => response,
                    }
                } else {
                    next.run(request).await
                }
            }
            Err(response) => response,
        },
        Err(response) => *response,
    };
    if response.status().is_client_error() {
        tracing::debug!(path, status = %response.status(), "refused a request");
    }
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if is_signed {
        // Signed for other pages, too.
        response.headers_mut().insert(EMBEDDING, HeaderValue::from_static("cross-origin"));
    }
    response
}

/// Waits for the body of a request.
async fn with_body(request: Request) -> Result<Request, Response> {
    let (head, body) = request.into_parts();
    match timeout(BODY_TIMEOUT, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => Ok(Request::from_parts(head, Body::from(bytes))),
        // Or the client has left, which reads no answer.
        Ok(Err(_)) => {
            let text = format!("the body of the request is too long; expected at most {BODY_BYTES_MAX} bytes");
            Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, text))
        }
        Err(_) => {
            let text = format!("the body of the request did not arrive within {} s", BODY_TIMEOUT.as_secs());
            Err(refuse(StatusCode::REQUEST_TIMEOUT, text))
        }
    }
}

/// Reason for answering a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Its query has a valid signature.
    Signed,
    /// It has the token, or needs none.
    Other,
}

async fn authorize(guard: &Guard, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Access, Response> {
    let path = uri.path();
    let Some(token) = guard.token.as_ref().filter(|_| !is_public(path)) else { return Ok(Access::Other) };
    let found = token.is_in(headers);
    if found == Credentials::Right {
        return Ok(Access::Other);
    }
    match token.signing.check(method, uri, now_unix_s()) {
        Signed::Valid => return Ok(Access::Signed),
        Signed::Expired { unix_s } => {
            let text = format!("this address has expired ({unix_s} s since 1970); `POST /api/sign` makes a new one");
            return Err(refuse(StatusCode::FORBIDDEN, text));
        }
        Signed::Wrong => {
            let text = "the signature is not that of this address: its path, its queries, and the token of --token";
            return Err(refuse(StatusCode::UNAUTHORIZED, text));
        }
        Signed::Malformed(expected) => return Err(refuse(StatusCode::UNAUTHORIZED, expected)),
        Signed::No => {}
    }
    if found == Credentials::Wrong {
        wrong(guard).await;
    }
    let mut response = refuse(StatusCode::UNAUTHORIZED, "expected the token of --token: `Authorization: Bearer TOKEN`");
    // Players ask for a password. In a page the browser would ask, too.
    let is_for_players = path.starts_with("/stream/") || path.starts_with("/snapshot/");
    let challenge = if is_for_players { "Basic realm=\"oaktap\"" } else { "Bearer" };
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    Err(response)
}

/// Waits after a wrong token.
pub(super) async fn wrong(guard: &Guard) {
    let _one_by_one = guard.wrong.lock().await;
    tokio::time::sleep(WRONG_TOKEN_DELAY).await;
}

#[derive(Serialize)]
struct SignInState {
    required: bool,
    signed_in: bool,
}

/// `GET /api/session`: whether a token is required, and whether the request has it.
pub(super) async fn session(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    let token = server.guard.token.as_ref();
    let signed_in = token.is_none_or(|token| token.is_in(&headers) == Credentials::Right);
    json(&SignInState { required: token.is_some(), signed_in })
}

/// `POST /api/session`: exchanges the token for the page's cookie.
pub(super) async fn sign_in(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    let Some(token) = &server.guard.token else { return StatusCode::NO_CONTENT.into_response() };
    if token.is_in(&headers) != Credentials::Right {
        wrong(&server.guard).await;
        return refuse(StatusCode::UNAUTHORIZED, "this is not the token");
    }
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, token.set_cookie(server.guard.is_encrypted))]).into_response()
}

/// `DELETE /api/session`: removes the page's cookie.
pub(super) async fn sign_out() -> Response {
    let cookie = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn guard() -> Guard {
        Guard {
            token: Some(Token::new(SECRET).expect("long enough")),
            host_names: vec!["wall.lan".into()],
            is_encrypted: false,
            wrong: Mutex::default(),
        }
    }

    fn request(method: &str, headers: &[(&str, &str)]) -> Request {
        let request = Request::builder().method(method).uri("/api/cameras");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(axum::body::Body::empty()).expect("a request")
    }

    #[test]
    fn names_of_other_hosts_are_refused() {
        for (host, served) in [
            ("127.0.0.1:8080", true),
            ("localhost", true),
            ("LOCALHOST:1", true),
            ("[::1]:8080", true),
            ("[::1]", true),
            ("192.168.1.5", true),
            ("wall.lan:8080", true),
            ("evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example:8080", false),
            ("", false),
            (":8080", false),
        ] {
            assert_eq!(guard().serves(host), served, "{host}");
        }
        assert_eq!(check(&guard(), &request("GET", &[])).unwrap_err().status(), StatusCode::BAD_REQUEST);
        let twice = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(check(&guard(), &request("GET", &twice)).unwrap_err().status(), StatusCode::BAD_REQUEST);
        let evil = check(&guard(), &request("GET", &[("host", "evil.example")])).unwrap_err();
        assert_eq!(evil.status(), StatusCode::MISDIRECTED_REQUEST);
    }

    #[test]
    fn pages_of_other_servers_neither_change_anything_nor_open_a_socket() {
        let host = ("host", "localhost:8080");
        for (method, upgrade, origin, passes) in [
            ("GET", false, "http://evil.example", true),
            ("GET", true, "http://evil.example", false),
            ("POST", false, "http://evil.example", false),
            ("POST", false, "null", false),
            ("POST", false, "http://localhost:8081", false),
            ("POST", false, "ftp://localhost:8080", false),
            ("POST", false, "http://localhost:8080", true),
            ("GET", true, "http://localhost:8080", true),
        ] {
            let mut headers = vec![host, ("origin", origin)];
            headers.extend(upgrade.then_some(("upgrade", "websocket")));
            assert_eq!(check(&guard(), &request(method, &headers)).is_ok(), passes, "{method} {upgrade} {origin}");
        }
    }

    #[test]
    fn the_token_is_a_bearer_a_password_or_a_cookie() {
        let token = guard().token.expect("one");
        let found = |name: &str, value: &str| token.is_in(request("GET", &[(name, value)]).headers());
        let password = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let cookie = token.set_cookie(false);
        let cookie = cookie.split(';').next().expect("a pair");
        for (name, value, expected) in [
            ("authorization", format!("Bearer {SECRET}"), Credentials::Right),
            ("authorization", format!("bearer {SECRET}"), Credentials::Right),
            ("authorization", format!("Bearer {SECRET}x"), Credentials::Wrong),
            ("authorization", "Bearer".to_owned(), Credentials::Wrong),
            ("authorization", password(&format!("me:{SECRET}")), Credentials::Right),
            ("authorization", password(SECRET), Credentials::Wrong),
            ("authorization", "Basic %%%".to_owned(), Credentials::Wrong),
            ("cookie", format!("a=b; {cookie}"), Credentials::Right),
            ("cookie", format!("{COOKIE}={SECRET}"), Credentials::Wrong),
            ("cookie", "a=b".to_owned(), Credentials::Missing),
            ("accept", "*/*".to_owned(), Credentials::Missing),
        ] {
            assert_eq!(found(name, &value), expected, "{name}: {value}");
        }
        assert!(!cookie.contains("Secure") && token.set_cookie(true).ends_with("; Secure"));
        assert!(!cookie.contains(SECRET) && !format!("{token:?}").contains(SECRET));
    }

    #[test]
    fn weak_tokens_are_refused() {
        for (text, found) in
            [("", "0 characters"), ("0123456789abcde", "15 characters"), ("0123456789abc def", "the character ` `")]
        {
            assert_eq!(Token::new(text).unwrap_err(), found);
        }
        assert!(Token::new(&"x".repeat(TOKEN_MAX + 1)).is_err());
    }
}
