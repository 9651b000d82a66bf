//! Memory of the copies of frames on the way to the disk.

use std::time::Duration;

use super::{Entry, Worker};
use crate::error::with_causes;
use crate::frame::WriterRoom;
use crate::sink::record::segment::Segment;
use crate::units::Bytes;

/// Longest wait for memory before the worker looks for a stop again.
const MEMORY_WAIT: Duration = Duration::from_millis(200);

impl Worker {
    /// Updates the frames and the bytes that are not in the file yet.
    pub(super) fn count_unwritten(&mut self) {
        let mut progress = self.shared.progress();
        match &self.segment {
            Some(segment) => segment.unwritten(&mut progress.unwritten),
            None => progress.unwritten.fill(0),
        }
        if let Some(memory) = &self.memory {
            memory.set(self.segment.as_ref().map_or(0, Segment::memory_bytes));
        }
    }

    /// Waits at most 200 ms for the memory that writing the next frame takes. Returns `false` if it is still not there, or
    /// if the frame was dropped because it never will be.
    pub(super) fn has_memory(&mut self) -> bool {
        let (Some(memory), Some(Entry::Frame { camera, frame, .. })) = (&self.memory, self.ready.front()) else {
            return true;
        };
        let frame_bytes = frame.payload().len();
        let needed = Segment::frame_memory(self.segment.as_ref(), frame);
        match memory.ask(needed, frame_bytes) {
            WriterRoom::Granted => true,
            WriterRoom::Wait => {
                self.release_memory();
                if let Some(memory) = &self.memory {
                    memory.wait(MEMORY_WAIT);
                }
                false
            }
            WriterRoom::None => {
                let camera = *camera;
                let known = &mut self.cameras[camera];
                known.context.observe(frame);
                known.parameter_sets.observe(frame);
                known.clock.observe_frame(frame, self.timeline.unix_ns(frame.received));
                known.lost_unmarked.add(frame.stream.as_ref(), 1);
                self.ready.pop_front();
                let why = format!(
                    "a frame of {} is not recorded: writing it takes {} of memory, which --buffer does not leave",
                    Bytes(frame_bytes as u64),
                    Bytes(needed as u64)
                );
                let mut progress = self.shared.progress();
                progress.taken[camera].no_memory += 1;
                if progress.taken[camera].no_memory == 1 && progress.add_problem(&why) {
                    tracing::warn!("{why}");
                }
                false
            }
        }
    }

    pub(super) fn release_memory(&mut self) {
        let released = self.segment.as_mut().map_or(Ok(()), Segment::release_memory);
        if let Err(error) = released {
            self.abandon(&with_causes(&error));
        }
        self.count_unwritten();
    }
}
