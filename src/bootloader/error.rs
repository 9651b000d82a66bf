//! Why a session with a bootloader fails.

use std::time::Duration;

use super::Version;
use super::message::MessageError;
use crate::xlink::LinkError;

/// The camera's watchdog was not served for so long: it has rebooted, or will (bootloader.md 2.4).
pub(super) const MISSED: Duration = Duration::from_secs(6);

/// Why a camera cannot be talked to, or does not do what it was asked for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// What came is no XLink.
    #[error("the camera breaks the protocol: {0}")]
    Link(#[from] LinkError),
    /// What came is no message of a bootloader.
    #[error("{during}: the camera's answer cannot be read: {error}")]
    Message {
        /// The request that was being answered.
        during: &'static str,
        /// What is wrong.
        error: MessageError,
    },
    /// The bootloader does not know the request.
    #[error(
        "{request} needs bootloader {needs} or newer, and this is {has}; `oaktap bootloader CAMERA update` brings one"
    )]
    TooOld {
        /// The vendor's name of the request.
        request: &'static str,
        /// The first that knows it.
        needs: Version,
        /// What the camera has.
        has: Version,
    },
    /// The camera says that it does not know the request.
    #[error("{request}: the camera does not know this request (it answered NO_OP)")]
    Unsupported {
        /// The vendor's name of the request.
        request: &'static str,
    },
    /// The answer is one to another question.
    #[error("{request}: the camera answered {found}, where {expected} was expected")]
    Unexpected {
        /// The vendor's name of the request.
        request: &'static str,
        /// What came.
        found: &'static str,
        /// What should have come.
        expected: &'static str,
    },
    /// The camera says no.
    #[error("{request}: the camera refused: \"{why}\" (after {sent} of {total} bytes)")]
    Refused {
        /// The vendor's name of the request.
        request: &'static str,
        /// In the camera's words.
        why: String,
        /// Bytes of data that it had taken by then.
        sent: u64,
        /// Bytes of data in all.
        total: u64,
    },
    /// The camera says that it is done with data that it has not even got.
    #[error("{request}: the camera says that it is done after {sent} of {total} bytes, which cannot be")]
    DoneEarly {
        /// The vendor's name of the request.
        request: &'static str,
        /// Bytes of data that it had taken by then.
        sent: u64,
        /// Bytes of data in all.
        total: u64,
    },
    /// More data came than was asked for.
    #[error("{request}: the camera announced {announced} bytes and sent {came}, where at most {asked} were asked for")]
    TooMuch {
        /// The vendor's name of the request.
        request: &'static str,
        /// Bytes that were asked for.
        asked: u64,
        /// Bytes that the camera announced.
        announced: u64,
        /// Bytes that came.
        came: u64,
    },
    /// The camera is there and says nothing.
    #[error("{during}: the camera has been silent for {} s; until then it had taken {} bytes of data, and {} had come", .limit.as_secs(), .sent, .received)]
    Silent {
        /// What was being done.
        during: &'static str,
        /// How long was waited.
        limit: Duration,
        /// Bytes of data that the camera has taken.
        sent: u64,
        /// Bytes of data that were received.
        received: u64,
    },
    /// The camera does not take the pings that keep its watchdog quiet.
    #[error("{during}: the camera has not taken a ping of the watchdog for {} s: the link is too slow, or it hangs", MISSED.as_secs())]
    Watchdog {
        /// What was being done.
        during: &'static str,
    },
    /// The connection ended.
    #[error(
        "{during}: the camera closed the connection after it had taken {sent} of {total} bytes, and {received} had come"
    )]
    Closed {
        /// What was being done.
        during: &'static str,
        /// Bytes of data that the camera has taken.
        sent: u64,
        /// Bytes of data in all.
        total: u64,
        /// Bytes of data that were received.
        received: u64,
    },
    /// A stream was refused.
    #[error("the camera does not open the stream `{0}`: it is no bootloader, or another host has it")]
    StreamRefused(&'static str),
}

impl ClientError {
    /// Whether the camera is well and does not want to.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::TooOld { .. } | Self::Unsupported { .. } | Self::Refused { .. })
    }
}
