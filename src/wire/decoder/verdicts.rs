//! Whether frames waited in the camera before the connection: decided by the frames after them, or by a silence.

use std::time::Duration;

use super::{Decoder, Event};
use crate::frame::{Backlog, Received};

impl Decoder {
    /// Sets the time at which the connection was opened. Frames that were captured later are not stale. Call it before the first
    /// byte.
    pub fn opened(&mut self, at: Received) {
        self.backlog = Backlog::opened_at(at.mono_ns);
    }

    /// Returns the time without a byte after which [`Self::settle`] is to be called; `None` if no frame is undecided.
    #[must_use]
    pub fn max_silence(&self) -> Option<Duration> {
        self.backlog.max_silence()
    }

    /// Decides whether the last frames are stale, because no other follows. Drain [`Self::poll`] afterwards.
    pub fn settle(&mut self) {
        self.backlog.silence();
        self.report_verdicts();
    }

    pub(super) fn report_verdicts(&mut self) {
        while let Some(verdict) = self.backlog.verdict() {
            self.output.push(Event::Aged(verdict));
        }
    }
}
