//! Upper bounds on the sizes that a stream may announce.

/// Upper bounds on what a peer may announce. The decoder checks them before it allocates memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Payload of one frame, in bytes. Default: 64 MiB; 12-megapixel fp16 frames need 71 MiB (wire.md section 4).
    pub payload: usize,
    /// Detection text of one frame, in bytes. Default: 1 MiB.
    pub detections: usize,
    /// Boxes in one frame, and names in the label table. Default: 10 000.
    pub boxes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { payload: 64 << 20, detections: 1 << 20, boxes: 10_000 }
    }
}
