//! Addresses with a signature, for players and pages that cannot send the token.
//!
//! The signature is HMAC-SHA256 of the path and the query up to `&signature=`, as the client sends them. Its key is SHA-256 of
//! `oaktap signature ` and the token, so that a program that has the token can sign by itself. docs/serve.md has the recipe.

use std::fmt;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::guard::refuse;
use super::routes::{Server, json};
use super::signed_query::{has_parameter, parse};
use crate::net::clock::received_now;
use crate::units::hex;

/// Longest validity in seconds: 7 days.
const VALID_MAX_S: u64 = 7 * 24 * 60 * 60;

/// Validity in seconds unless the request says otherwise: 1 hour.
const VALID_DEFAULT_S: u64 = 60 * 60;

/// Longest path in bytes, with its query.
const PATH_MAX: usize = 1024;

/// Makes and checks signatures. Created from a token.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SigningKey([u8; 32]);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

/// Result of looking at the query of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signed {
    /// The query has no signature, or this address takes none.
    No,
    Valid,
    /// The signature is right, and its time is over.
    Expired {
        unix_s: u64,
    },
    /// The query has another form than expected.
    Malformed(&'static str),
    Wrong,
}

/// Returns whether an address of pictures takes a signature.
fn takes_signature(path: &str) -> bool {
    path.starts_with("/stream/") || path.starts_with("/snapshot/") || is_whep(path)
}

/// Returns whether a request to this address begins to watch over WebRTC.
fn is_whep(path: &str) -> bool {
    path.strip_prefix("/whep/").is_some_and(|name| !name.contains('/'))
}

impl SigningKey {
    pub(super) fn of_token(token: &str) -> Self {
        Self(Sha256::digest(format!("oaktap signature {token}").as_bytes()).into())
    }

    fn mac(&self, path: &str, signed: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        for part in [path, "?", signed] {
            mac.update(part.as_bytes());
        }
        Some(mac)
    }

    /// Checks the signature of a request. `unix_s`: the time now.
    pub(super) fn check(&self, method: &Method, uri: &Uri, unix_s: u64) -> Signed {
        let reads =
            if is_whep(uri.path()) { *method == Method::POST } else { matches!(*method, Method::GET | Method::HEAD) };
        let Some(query) = uri.query().filter(|_| reads && takes_signature(uri.path())) else { return Signed::No };
        let query = match parse(query) {
            Ok(Some(query)) => query,
            Ok(None) => return Signed::No,
            Err(error) => return Signed::Malformed(error.text()),
        };
        // Compares in constant time.
        let is_right = self.mac(uri.path(), query.signed).is_some_and(|mac| mac.verify_slice(&query.signature).is_ok());
        match query.expires_unix_s {
            _ if !is_right => Signed::Wrong,
            expires if expires < unix_s => Signed::Expired { unix_s: expires },
            _ => Signed::Valid,
        }
    }

    /// Appends the time and the signature to a path with or without a query.
    fn sign(&self, target: &str, expires_unix_s: u64) -> Option<String> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let and = if query.is_empty() { "" } else { "&" };
        let signed = format!("{query}{and}expires={expires_unix_s}");
        let signature = hex(&self.mac(path, &signed)?.finalize().into_bytes());
        Some(format!("{path}?{signed}&signature={signature}"))
    }
}

/// Returns the time now in seconds since 1970.
pub(super) fn now_unix_s() -> u64 {
    u64::try_from(received_now().unix_ns / 1_000_000_000).unwrap_or(0)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignRequest {
    path: String,
    seconds: Option<u64>,
}

#[derive(Debug, Serialize)]
struct SignAnswer {
    /// The path with its signature.
    path: String,
    /// End of its validity in seconds since 1970.
    expires: u64,
}

/// `POST /api/sign`: signs the address of pictures. The guard has checked the token.
pub(super) async fn sign(State(server): State<Arc<Server>>, body: Bytes) -> Response {
    let bad = |text: &dyn fmt::Display| refuse(StatusCode::BAD_REQUEST, text);
    let Some(token) = &server.guard.token else {
        return refuse(StatusCode::CONFLICT, "this server has no --token, so its addresses need no signature");
    };
    let request: SignRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return bad(&format!("expected {{\"path\":\"/stream/NAME.mjpg\",\"seconds\":3600}}: {error}")),
    };
    let seconds = request.seconds.unwrap_or(VALID_DEFAULT_S);
    if !(1..=VALID_MAX_S).contains(&seconds) {
        return bad(&format!("`seconds` is {seconds}; expected 1 to {VALID_MAX_S}"));
    }
    let (path, query) = match request.path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (request.path.as_str(), None),
    };
    let is_address = request.path.len() <= PATH_MAX
        && request.path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
        && takes_signature(path)
        && !["expires", "signature"].into_iter().any(|name| has_parameter(query.unwrap_or_default(), name));
    if !is_address {
        let text = "expected the path of pictures, such as /stream/NAME.mjpg, /snapshot/NAME.jpg or /whep/NAME, without signature";
        return bad(&text);
    }
    if let Err(response) = server.check_pictures(path, query) {
        return *response;
    }
    let expires = now_unix_s() + seconds;
    match token.signing.sign(&request.path, expires) {
        Some(path) => json(&SignAnswer { path, expires }),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &SigningKey, target: &str, unix_s: u64) -> Signed {
        key.check(&Method::GET, &target.parse().expect("an address"), unix_s)
    }

    #[test]
    fn a_signature_is_valid_for_its_address_until_its_time() {
        let key = SigningKey::of_token("0123456789abcdef");
        for target in ["/stream/front.mjpg", "/snapshot/front.jpg?h=480&boxes=1"] {
            let signed = key.sign(target, 1000).expect("a key");
            assert_eq!(check(&key, &signed, 1000), Signed::Valid, "{signed}");
            assert_eq!(check(&key, &signed, 1001), Signed::Expired { unix_s: 1000 });
            assert_eq!(check(&SigningKey::of_token("0123456789abcdeg"), &signed, 1000), Signed::Wrong);
            assert_eq!(check(&key, &signed.replace("front", "back"), 1000), Signed::Wrong);
            assert_eq!(check(&key, &signed.replace("expires=1000", "expires=9999"), 1000), Signed::Wrong);
            assert_eq!(check(&key, target, 1000), Signed::No);
            let uri = signed.parse().expect("an address");
            assert_eq!(key.check(&Method::POST, &uri, 1000), Signed::No, "a signature changes nothing");
            // One digit more or less, and each digit changed.
            let (before, hex) = signed.rsplit_once('=').expect("a signature");
            assert!(matches!(check(&key, &format!("{signed}0"), 1000), Signed::Malformed(_)));
            for at in 0..hex.len() {
                let other = if &hex[at..=at] == "0" { "1" } else { "0" };
                let changed = format!("{before}={}{other}{}", &hex[..at], &hex[at + 1..]);
                assert_eq!(check(&key, &changed, 1000), Signed::Wrong, "{changed}");
            }
        }
        let query = key.sign("/snapshot/front.jpg?h=480", 1000).expect("a key");
        assert_eq!(check(&key, &query.replace("h=480", "h=481"), 1000), Signed::Wrong);
        let other = key.sign("/api/cameras", 1000).expect("a key");
        assert_eq!(check(&key, &other, 1000), Signed::No, "not an address of pictures");
    }

    #[test]
    fn the_two_parameters_are_last_and_occur_once() {
        let hex = "0".repeat(64);
        for (query, expected) in [
            (format!("signature={hex}"), "ends with"),
            (format!("expires=1&signature={hex}&h=1"), "64 lower-case"),
            (format!("expires=1&h=1&signature={hex}"), "ends with"),
            (format!("expires=1&expires=1&signature={hex}"), "ends with"),
            (format!("signature={hex}&expires=1&signature={hex}"), "ends with"),
            (format!("expires=&signature={hex}"), "seconds since 1970"),
            (format!("expires=+1&signature={hex}"), "seconds since 1970"),
            (format!("expires=99999999999999999999&signature={hex}"), "seconds since 1970"),
            (format!("expires=1&signature={}", "A".repeat(64)), "64 lower-case"),
        ] {
            let error = parse(&query).expect_err(&query);
            assert!(error.text().contains(expected), "{query}: {error:?}");
        }
        assert_eq!(parse("h=480"), Ok(None));
    }
}
