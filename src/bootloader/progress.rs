//! Progress of a request that transfers data.

/// Progress of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TransferProgress {
    /// The camera has consumed data of the request.
    Sent {
        /// Bytes so far.
        bytes: u64,
        /// Total bytes.
        total: u64,
    },
    /// Data of the response was received.
    Read {
        /// Bytes so far.
        bytes: u64,
        /// Total bytes.
        total: u64,
    },
    /// The camera reports the written share, 0 to 1.
    Written(f32),
}
