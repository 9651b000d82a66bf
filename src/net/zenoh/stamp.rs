//! The attachment of `frame` and `detections`.

use prost::Message as _;

use crate::net::clock::received_now;

/// Number, times and wire message of one frame.
///
/// ```proto
/// syntax = "proto3";
/// package oaktap;
///
/// message Stamp {
///   uint64 seq = 1;                         // counts the confirmed frames of the stream, from 0
///   bytes wire = 2;                         // oaktap.Wire, as in recordings
///   sfixed64 arrival_unix_ns = 3;           // arrival of the last byte at the receiver
///   sfixed64 sent_unix_ns = 4;              // when the receiver handed it to Zenoh
///   optional uint64 clock_error_ns = 5;     // error bound of capture_unix_ns
///   optional sfixed64 capture_unix_ns = 6;  // capture, by the camera's clock
///   fixed64 run = 7;                        // identifies the count of seq: another one begins at 0
/// }
/// ```
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Stamp {
    /// Counts the confirmed frames of the stream, from 0, before any of them is dropped: a gap at the far side is exactly what
    /// was dropped on this side or on the bus.
    #[prost(uint64, tag = "1")]
    pub(crate) seq: u64,
    /// The encoded wire message ([`WireMessage`](crate::recording::schema::WireMessage)) of the frame, without a checksum. Its
    /// `payload` is set only in the stamp of a `frame` whose image message does not hold the payload exactly. Its `context` is set
    /// at least once a second. In the stamp of `detections`, `payload_crc32` is 0.
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) wire: Vec<u8>,
    /// Arrival of the last byte at the receiver, in nanoseconds since 1970, UTC.
    #[prost(sfixed64, tag = "3")]
    pub(crate) arrival_unix_ns: i64,
    /// When the receiver handed the message to Zenoh, in nanoseconds since 1970, UTC.
    #[prost(sfixed64, tag = "4")]
    pub(crate) sent_unix_ns: i64,
    /// Error bound of `capture_unix_ns`; see [`ClockModel::error_bound_ns`](crate::recording::ClockModel::error_bound_ns).
    /// `None` in the first seconds of a camera.
    #[prost(uint64, optional, tag = "5")]
    pub(crate) clock_error_ns: Option<u64>,
    /// Capture time by the camera's clock, in nanoseconds since 1970, UTC; also the time in the message itself.
    #[prost(sfixed64, optional, tag = "6")]
    pub(crate) capture_unix_ns: Option<i64>,
    /// Identifies the count that `seq` belongs to; see [`new_run`]. 0 in stamps of programs without it.
    #[prost(fixed64, tag = "7")]
    pub(crate) run: u64,
}

/// Returns a number for frames that are counted from now on, from 0: the time in nanoseconds since 1970, UTC. A receiver that is
/// restarted, or a camera that is added again, must not look like a gap.
pub(crate) fn new_run() -> u64 {
    received_now().unix_ns.unsigned_abs().max(1)
}

impl Stamp {
    /// Returns it as an attachment.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    /// Parses an attachment.
    ///
    /// # Errors
    /// It is not a stamp.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        Self::decode(bytes).map_err(|error| format!("invalid oaktap.Stamp: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_a_number() {
        let first = new_run();
        assert!(first > 1_700_000_000_000_000_000 && new_run() >= first);
    }

    #[test]
    fn stamps_are_read_back() {
        let full = Stamp {
            seq: u64::MAX,
            wire: vec![1, 2, 3],
            arrival_unix_ns: 1_700_000_000_000_000_000,
            sent_unix_ns: -1,
            clock_error_ns: Some(0),
            capture_unix_ns: Some(1_600_000_000_000_000_000),
            run: u64::MAX,
        };
        for stamp in [full, Stamp::default()] {
            assert_eq!(Stamp::parse(&stamp.to_bytes()), Ok(stamp));
        }
        let error = Stamp::parse(b"\xff").unwrap_err();
        assert!(error.starts_with("invalid oaktap.Stamp: "), "{error}");
    }
}
