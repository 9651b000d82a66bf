//! Errors of a session with a bootloader.

use std::time::Duration;

use super::message::MessageError;
use super::version::Version;
use crate::xlink::LinkError;

/// Time without an acknowledged ping after which the session fails, as in the vendor's client (bootloader.md 2.4).
pub(super) const WATCHDOG_TIMEOUT: Duration = Duration::from_secs(6);

/// Failure of a request or of the whole session.
///
/// `request` and `during` are the vendor's name of the request; `during` may also be a phase of the session. `sent` of `total`
/// bytes of the request's data were consumed by the camera, `received` bytes of the response's data came from it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The texts and the paragraph above explain the fields.
pub enum ClientError {
    /// The camera violated the XLink protocol.
    #[error("the camera violated the XLink protocol: {0}")]
    Link(#[from] LinkError),
    /// The response is not a message of a bootloader.
    #[error("{during}: cannot parse the camera's response: {error}")]
    Message { during: &'static str, error: MessageError },
    /// The bootloader's version does not support the request.
    #[error(
        "{request} requires bootloader {needs} or newer, found {has}; `oaktap bootloader CAMERA update` installs a newer one"
    )]
    TooOld { request: &'static str, needs: Version, has: Version },
    /// The camera answered that it does not support the request.
    #[error("{request}: the camera does not support this request (it answered NO_OP)")]
    Unsupported { request: &'static str },
    /// The response belongs to another request.
    #[error("{request}: the camera answered {found}, expected {expected}")]
    Unexpected { request: &'static str, found: &'static str, expected: &'static str },
    /// The camera refused the request, with its own text.
    #[error("{request}: the camera refused: \"{why}\" (after {sent} of {total} bytes)")]
    Refused { request: &'static str, why: String, sent: u64, total: u64 },
    /// The camera reported success before it had all data.
    #[error("{request}: the camera reported success after {sent} of {total} bytes")]
    DoneEarly { request: &'static str, sent: u64, total: u64 },
    /// The camera announced or sent more data than requested.
    #[error("{request}: the camera announced {announced} bytes and sent {received}, expected at most {requested}")]
    TooMuch { request: &'static str, requested: u64, announced: u64, received: u64 },
    /// The camera did not answer in time, or answered without progress.
    #[error(
        "{during}: the camera has made no progress for {} s, after {sent} bytes of data were sent to it and {received} received",
        .limit.as_secs()
    )]
    Silent { during: &'static str, limit: Duration, sent: u64, received: u64 },
    /// The camera made progress, but too slowly.
    #[error(
        "{during}: the session has taken more than {} s, after {sent} bytes of data were sent and {received} received",
        .limit.as_secs()
    )]
    TooSlow { during: &'static str, limit: Duration, sent: u64, received: u64 },
    /// The user stopped the session.
    #[error(transparent)]
    Stopped(Stopped),
    /// The camera does not acknowledge watchdog pings.
    #[error(
        "{during}: the camera has not acknowledged a watchdog ping for {} s: the link is too slow, or the camera hangs",
        WATCHDOG_TIMEOUT.as_secs()
    )]
    Watchdog { during: &'static str },
    /// The connection ended.
    #[error(
        "{during}: the camera closed the connection after {sent} of {total} bytes of data were sent to it and {received} received"
    )]
    Closed { during: &'static str, sent: u64, total: u64, received: u64 },
    /// The camera refused to open a stream.
    #[error("the camera refused to open stream `{0}`: it is not in its bootloader, or another host is connected")]
    StreamRefused(&'static str),
}

/// The point at which the user stopped a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped at byte {byte} of {total} ({during})")]
pub struct Stopped {
    /// The vendor's name of the request, or a phase of the session.
    pub during: &'static str,
    /// `true` if the request and all its data are sent, so that the camera carries it out. It writes nothing before that
    /// (bootloader.md 8).
    pub sent: bool,
    /// Bytes that were sent, written or received.
    pub byte: u64,
    /// Bytes of the request's data, or of the data in its response.
    pub total: u64,
}

impl ClientError {
    /// Returns whether the camera works but declined the request.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::TooOld { .. } | Self::Unsupported { .. } | Self::Refused { .. })
    }
}
