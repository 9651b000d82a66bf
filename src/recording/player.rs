//! A recording -> frames, through the same decoder as those of a camera.

use std::path::Path;
use std::sync::Arc;

use super::reader::{Entry, Reader, Recorded};
use super::schema::{Incident, Wire};
use super::{CameraInfo, RecordingError};
use crate::frame::{Frame, Interpreter, PixelFormat, Pool, Received};
use crate::wire::encode::MessageHead;
use crate::wire::{Decoder, Event, Limits};

/// A frame of a recording.
#[derive(Clone, Debug)]
pub struct Played {
    /// Which of [`Reader::cameras`].
    pub camera: usize,
    /// Counts the frames of this camera in this file.
    pub sequence: u32,
    /// Arrival, nanoseconds since 1970, UTC.
    pub log_ns: i64,
    /// When the camera took it; nanoseconds since 1970, UTC.
    pub publish_ns: i64,
    /// The frame, with the times at which it was received.
    pub frame: Arc<Frame>,
}

/// What is next.
#[derive(Clone, Debug)]
pub enum Next {
    /// A frame.
    Frame(Played),
    /// Something that happened to this camera, at this time (UTC).
    Incident(usize, i64, Incident),
}

/// Plays a recording as fast as it is asked to.
#[derive(Debug)]
pub struct Player {
    reader: Reader,
    decoders: Vec<Decoder>,
    pool: Pool<Frame>,
}

impl Player {
    /// Opens a recording.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open(path: &Path, pool: Pool<Frame>) -> Result<Self, RecordingError> {
        let reader = Reader::open(path)?;
        let mut player = Self { reader, decoders: Vec::new(), pool };
        player.begin();
        Ok(player)
    }

    /// What is played.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The cameras.
    pub fn cameras(&self) -> impl ExactSizeIterator<Item = &CameraInfo> {
        self.reader.cameras()
    }

    /// Continues at this time of arrival (UTC), or a little before.
    ///
    /// # Errors
    /// As [`Reader::seek`].
    pub fn seek(&mut self, unix_ns: i64) -> Result<(), RecordingError> {
        self.reader.seek(unix_ns)?;
        self.begin();
        Ok(())
    }

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    /// As [`Reader::next_entry`]; also when the bytes of a frame are no frame for the decoder.
    pub fn next_frame(&mut self) -> Result<Option<Played>, RecordingError> {
        loop {
            match self.next_entry()? {
                Some(Next::Frame(played)) => return Ok(Some(played)),
                Some(Next::Incident(..)) => {}
                None => return Ok(None),
            }
        }
    }

    /// The next frame or incident; `None` at the end.
    ///
    /// # Errors
    /// As [`Self::next_frame`].
    pub fn next_entry(&mut self) -> Result<Option<Next>, RecordingError> {
        match self.reader.next_entry()? {
            None => Ok(None),
            Some(Entry::Incident { camera, at_unix_ns, incident }) => {
                Ok(Some(Next::Incident(camera, at_unix_ns, incident)))
            }
            Some(Entry::Frame(recorded)) => self.decode(&recorded).map(|played| Some(Next::Frame(played))),
        }
    }

    fn begin(&mut self) {
        let limits = Limits { payload: usize::MAX / 4, ..Limits::default() };
        let decoder = || Decoder::new(self.pool.clone(), Interpreter::default(), limits);
        self.decoders = self.reader.cameras().map(|_| decoder()).collect();
    }

    fn decode(&mut self, recorded: &Recorded) -> Result<Played, RecordingError> {
        let Recorded { camera, sequence, log_ns, publish_ns, ref wire, .. } = *recorded;
        let received = Received { mono_ns: wire.arrival_mono_ns, unix_ns: log_ns };
        let mut found = None;
        feed(&mut self.decoders[camera], recorded, received, |decoder| {
            while let Some(event) = decoder.poll() {
                if let Event::Frame(frame) = event {
                    found = Some(frame);
                }
            }
        });
        let at = self.reader.torn_at().unwrap_or(self.reader.file_len());
        let frame = found.ok_or_else(|| RecordingError::Damaged {
            at,
            why: format!("the bytes of frame {sequence} are no frame: \"{}\"", wire.header.escape_ascii()),
        })?;
        Ok(Played { camera, sequence, log_ns, publish_ns, frame })
    }
}

/// Gives the bytes of a frame to a decoder as if they came now, and confirms it. `told` is to drain the decoder.
pub(crate) fn feed(decoder: &mut Decoder, recorded: &Recorded, now: Received, mut told: impl FnMut(&mut Decoder)) {
    let Recorded { wire, payload, .. } = recorded;
    let layout = wire.layout.as_ref().and_then(super::schema::Layout::geometry);
    if let Some(geometry) = layout.filter(|geometry| geometry.format != PixelFormat::Jpeg) {
        // It was taken for this when it was recorded, whatever the reason.
        decoder.announce(geometry);
    }
    for part in [&wire.context, &head(wire), payload] {
        let mut part = &part[..];
        while !part.is_empty() {
            let space = decoder.space();
            let n = space.len().min(part.len());
            space[..n].copy_from_slice(&part[..n]);
            part = &part[n..];
            decoder.commit_recorded(n, now, wire.arrival_mono_ns);
            told(decoder);
        }
    }
    // What could contradict it does not follow here, and did not when it was recorded.
    decoder.confirm();
    told(decoder);
}

/// What stood on the wire before the payload, in its order.
pub(super) fn head(wire: &Wire) -> Vec<u8> {
    let Wire { records, header, detections: detection_text, .. } = wire;
    let detect_at = usize::try_from(wire.detect_at).unwrap_or(usize::MAX);
    MessageHead { records, detect_at, header, detection_text }.parts().concat()
}
