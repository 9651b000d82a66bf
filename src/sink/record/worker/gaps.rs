//! Marks frames that are in no file, in the stream that they belong to.

use std::sync::Arc;

use super::Worker;
use crate::error::with_causes;
use crate::recording::RecordingError;
use crate::sink::record::by_stream::ByStream;

impl Worker {
    /// Marks missing frames of a camera in the file. Marks all that it can if one fails.
    ///
    /// # Errors
    /// The file cannot be written, or has too many streams.
    pub(super) fn mark_missing(
        &mut self,
        camera: usize,
        missing: &ByStream,
        log_ns: i64,
    ) -> Result<(), RecordingError> {
        let Some(segment) = &mut self.segment else {
            self.cameras[camera].lost_unmarked.append(missing);
            return Ok(());
        };
        let (known, info) = (&self.cameras[camera], &self.infos[camera]);
        let mut marked = Ok(());
        for (stream, frames) in missing.iter() {
            self.shared.progress().gaps += 1;
            let added =
                stream.map_or(Ok(()), |name| segment.add_stream(camera, name, info, || known.context.records()));
            marked = marked.and(added).and(segment.gap(camera, stream, frames, log_ns));
        }
        marked
    }

    /// Marks the frames that are missing at the end.
    pub(super) fn mark_missing_at_end(&mut self) {
        for number in 0..self.cameras.len() {
            let camera = &mut self.cameras[number];
            let dropped = camera.drops.all(camera.counter.counts().dropped);
            let mut missing = dropped.since(&camera.dropped);
            missing.append(&std::mem::take(&mut camera.lost_unmarked));
            camera.dropped = Arc::clone(&dropped);
            let log_ns = self.timeline.unix_ns(self.last);
            if let Err(error) = self.mark_missing(number, &missing, log_ns) {
                self.abandon(&with_causes(&error));
            }
        }
    }

    /// Counts the missing frames that no file marks at the end.
    pub(super) fn count_unmarked(&self) {
        let unmarked = self.cameras.iter().map(|camera| camera.lost_unmarked.total()).sum();
        self.shared.progress().unmarked = unmarked;
    }
}
