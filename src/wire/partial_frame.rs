//! A frame whose payload is being received.

use super::header::Dialect;
use super::input::{GROWTH_STEP, InputBuffer};
use super::limits::Limits;
use super::message::inner_text;
use super::resync;
use super::work::Work;
use crate::frame::{Frame, Lease, Pool};

#[derive(Debug)]
pub(super) struct PartialFrame {
    pub(super) frame: Lease<Frame>,
    pub(super) dialect: Dialect,
    /// Payload length in the header, in bytes.
    pub(super) expected: usize,
    /// Payload bytes received.
    pub(super) received: usize,
    /// End of the payload bytes searched for the next header; `None` if the expected length is plausible.
    searched: Option<usize>,
}

impl PartialFrame {
    /// Takes a cleared frame from the pool. `previous_len` is the payload length of the last confirmed frame, in bytes.
    pub(super) fn new(frames: &Pool<Frame>, dialect: Dialect, expected: usize, previous_len: Option<usize>) -> Self {
        let reserved = expected.min(previous_len.unwrap_or(0).max(GROWTH_STEP));
        let mut frame = frames.lease(reserved);
        frame.clear();
        frame.dialect = dialect.name();
        frame.payload_mut(reserved);
        let plausible_len = previous_len.map(|len| if dialect.carries_raw_pixels() { len } else { 2 * len });
        let searched = plausible_len.is_some_and(|plausible| expected > plausible).then_some(0);
        Self { frame, dialect, expected, received: 0, searched }
    }

    /// Returns memory for the next payload bytes. Not empty while payload is missing.
    pub(super) fn space(&mut self) -> &mut [u8] {
        let room = self.frame.payload().len();
        // Memory doubles as bytes arrive, whatever length the header announces.
        let room = if self.received < room { room } else { self.expected.min(self.received * 2) };
        &mut self.frame.payload_mut(room)[self.received..]
    }

    /// Moves the payload bytes at the front of the input into the frame. Returns their number.
    pub(super) fn fill(&mut self, input: &mut InputBuffer) -> usize {
        let n = input.len().min(self.expected - self.received);
        if n > 0 {
            let to = self.received + n;
            let room = self.frame.payload().len();
            let payload = self.frame.payload_mut(to.max(room));
            payload[self.received..to].copy_from_slice(&input.bytes()[..n]);
            self.received = to;
            input.consume(n);
        }
        n
    }

    /// Returns the payload bytes received.
    pub(super) fn payload(&self) -> &[u8] {
        &self.frame.payload()[..self.received]
    }

    /// Returns the position of another header in the payload, in bytes after the frame's own header. Searches frames of
    /// implausible length only, and each byte once.
    pub(super) fn find_header(&mut self, limits: &Limits, work: &mut Work) -> Option<usize> {
        let searched = self.searched?;
        if let Some(at) = resync::find(self.payload(), searched, limits, work) {
            return Some(inner_text(&self.frame).len() + at);
        }
        self.searched = Some(self.received.saturating_sub(resync::PARTIAL_LINE).max(searched));
        None
    }

    /// Returns the bytes held, including header and detections.
    pub(super) fn len(&self) -> usize {
        self.frame.header.len() + self.frame.detection_text.len() + self.received
    }
}
