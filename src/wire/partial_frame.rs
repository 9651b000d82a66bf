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
    /// Takes a cleared frame from the pool; `None` if it has no memory for it. `previous_len` is the payload length of the
    /// last confirmed frame, in bytes.
    pub(super) fn new(
        frames: &Pool<Frame>,
        dialect: Dialect,
        expected: usize,
        previous_len: Option<usize>,
    ) -> Option<Self> {
        let reserved = expected.min(previous_len.unwrap_or(0).max(GROWTH_STEP));
        let mut frame = frames.lease(reserved);
        frame.clear();
        frame.dialect = dialect.name();
        frame.try_payload_mut(reserved)?;
        let searched = (!is_plausible(dialect, expected, previous_len)).then_some(0);
        Some(Self { frame, dialect, expected, received: 0, searched })
    }

    /// Returns whether the length is implausible, so that the payload is searched for the next header.
    pub(super) fn is_searched(&self) -> bool {
        self.searched.is_some()
    }

    /// Grows the memory for payload bytes if it is used up. Returns `false` if there is none.
    pub(super) fn grow(&mut self) -> bool {
        let room = self.frame.payload().len();
        // Memory doubles as bytes arrive, whatever length the header announces.
        self.received < room || self.frame.try_payload_mut(self.expected.min(self.received * 2)).is_some()
    }

    /// Returns memory for the next payload bytes. Not empty while payload is missing, once it has [grown](Self::grow).
    pub(super) fn space(&mut self) -> &mut [u8] {
        let room = self.frame.payload().len();
        &mut self.frame.payload_mut(room)[self.received..]
    }

    /// Moves the payload bytes at the front of the input into the frame. Returns their number; `None` if there is no memory
    /// for them.
    pub(super) fn fill(&mut self, input: &mut InputBuffer) -> Option<usize> {
        let n = input.len().min(self.expected - self.received);
        if n > 0 {
            let to = self.received + n;
            let room = self.frame.payload().len();
            let payload = self.frame.try_payload_mut(to.max(room))?;
            payload[self.received..to].copy_from_slice(&input.bytes()[..n]);
            self.received = to;
            input.consume(n);
        }
        Some(n)
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

/// Returns whether a payload may have this length after one of `previous_len` bytes.
pub(super) fn is_plausible(dialect: Dialect, expected: usize, previous_len: Option<usize>) -> bool {
    let plausible = previous_len.map(|len| if dialect.carries_raw_pixels() { len } else { 2 * len });
    plausible.is_none_or(|plausible| expected <= plausible)
}
