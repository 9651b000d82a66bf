//! Plays a recording through the decoder that decodes the streams of cameras.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::join::{RecordedFrame, RecordingEntry};
use super::reader::Reader;
use super::schema::{IncidentKind, PayloadLayout, RecordedIncident, WireMessage};
use super::{CameraInfo, RecordingError};
use crate::frame::{DeviceTime, Frame, Interpreter, PixelFormat, Pool, Received};
use crate::wire::encode::{self, HeaderFields, MessageHead};
use crate::wire::{Decoder, Dialect, Event, Limits, Protocol};

/// A frame of a recording.
#[derive(Clone, Debug)]
pub struct PlayedFrame {
    /// Index in [`Reader::cameras`].
    pub camera: usize,
    /// Counts the frames of this camera in this file, from 0.
    pub sequence: u32,
    /// Arrival in nanoseconds since 1970, UTC.
    pub log_ns: i64,
    /// Capture time in nanoseconds since 1970, UTC.
    pub publish_ns: i64,
    /// The frame, with the time at which it was received for the recording.
    pub frame: Arc<Frame>,
}

/// A number that a camera sent beside its pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct PlayedMeasurement {
    /// Index in [`Reader::cameras`].
    pub camera: usize,
    /// Arrival in nanoseconds since 1970, UTC.
    pub log_ns: i64,
    /// Topic on which it was published.
    pub topic: String,
    /// The number.
    pub value: f64,
    /// The broker had retained it, so it is not of the time of its arrival.
    pub stale: bool,
}

/// Messages of a camera in the order of the recording.
#[derive(Clone, Debug)]
pub enum Played {
    /// A frame.
    Frame(PlayedFrame),
    /// A number.
    Measurement(PlayedMeasurement),
}

/// Plays a recording as fast as the caller asks for frames.
#[derive(Debug)]
pub struct Player {
    reader: Reader,
    decoders: Vec<Decoder>,
    pool: Pool<Frame>,
    /// Arrivals, in nanoseconds since 1970, UTC, of the incidents that are counted, and the frames of each camera that they
    /// mark as missing.
    counted: Range<i64>,
    missing: Vec<u64>,
}

impl Player {
    /// Opens a recording.
    ///
    /// # Errors
    /// See [`Reader::open`].
    pub fn open(path: &Path, pool: Pool<Frame>) -> Result<Self, RecordingError> {
        let reader = Reader::open(path)?;
        let missing = vec![0; reader.cameras().len()];
        let mut player = Self { reader, decoders: Vec::new(), pool, counted: i64::MIN..i64::MAX, missing };
        player.restart_decoders();
        Ok(player)
    }

    /// The reader of the file.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The cameras in the file.
    pub fn cameras(&self) -> impl ExactSizeIterator<Item = &CameraInfo> {
        self.reader.cameras()
    }

    /// Counts only frames as missing that the recording marks in this range of arrivals (nanoseconds since 1970, UTC).
    pub fn count_within(&mut self, range: Range<i64>) {
        self.counted = range;
    }

    /// Returns the number of frames of a camera that the recorder marked as missing since the last seek: they arrived damaged or
    /// partly, or were not written. Those in damaged parts of the file are in [`Reader::missing`].
    #[must_use]
    pub fn not_recorded(&self, camera: usize) -> u64 {
        self.missing.get(camera).map_or(0, |missing| missing.saturating_sub(self.reader.missing(camera)))
    }

    /// Continues at this arrival time (nanoseconds since 1970, UTC) or up to one chunk before it.
    ///
    /// # Errors
    /// See [`Reader::seek`].
    pub fn seek(&mut self, unix_ns: i64) -> Result<(), RecordingError> {
        self.reader.seek(unix_ns)?;
        self.missing.fill(0);
        self.restart_decoders();
        Ok(())
    }

    /// Returns the next frame; `None` at the end.
    ///
    /// # Errors
    /// As [`Self::next_played`].
    pub fn next_frame(&mut self) -> Result<Option<PlayedFrame>, RecordingError> {
        loop {
            match self.next_played()? {
                Some(Played::Frame(frame)) => return Ok(Some(frame)),
                Some(Played::Measurement(_)) => {}
                None => return Ok(None),
            }
        }
    }

    /// Returns the next frame or number; `None` at the end.
    ///
    /// # Errors
    /// See [`Reader::next_entry`]; also if the decoder does not accept the bytes of a frame, which is damage too.
    pub fn next_played(&mut self) -> Result<Option<Played>, RecordingError> {
        loop {
            match self.reader.next_entry()? {
                Some(RecordingEntry::Frame(recorded)) => {
                    return self.decode(&recorded).map(|frame| Some(Played::Frame(frame)));
                }
                Some(RecordingEntry::Incident { camera, at_unix_ns, incident }) => {
                    if incident.kind() == Some(IncidentKind::Measurement) {
                        let RecordedIncident { text: topic, value, stale, .. } = incident;
                        let measurement = PlayedMeasurement { camera, log_ns: at_unix_ns, topic, value, stale };
                        return Ok(Some(Played::Measurement(measurement)));
                    }
                    let frames = match incident.kind() {
                        Some(IncidentKind::Gap) => incident.frames,
                        Some(IncidentKind::Withdrawn | IncidentKind::Lost) => incident.frames.max(1),
                        _ => 0,
                    };
                    if let Some(missing) = self.missing.get_mut(camera).filter(|_| self.counted.contains(&at_unix_ns)) {
                        *missing += frames;
                    }
                }
                None => return Ok(None),
            }
        }
    }

    fn restart_decoders(&mut self) {
        let limits = Limits { payload: usize::MAX / 4, ..Limits::default() };
        let decoder = || Decoder::new(self.pool.clone(), Interpreter::default(), limits);
        self.decoders = self.reader.cameras().map(|_| decoder()).collect();
    }

    fn decode(&mut self, recorded: &RecordedFrame) -> Result<PlayedFrame, RecordingError> {
        let RecordedFrame { camera, sequence, log_ns, publish_ns, ref wire, .. } = *recorded;
        let received = Received { mono_ns: wire.arrival_mono_ns, unix_ns: log_ns };
        let mut found = None;
        feed(&mut self.decoders[camera], recorded, received, |decoder| {
            while let Some(event) = decoder.poll() {
                if let Event::Frame(frame) = event {
                    found = Some(frame);
                }
            }
        });
        let frame = found.ok_or_else(|| RecordingError::Damaged {
            at: self.reader.position(),
            why: format!("cannot decode frame {sequence} with the header \"{}\"", wire.header.escape_ascii()),
        })?;
        Ok(PlayedFrame { camera, sequence, log_ns, publish_ns, frame })
    }
}

/// Feeds a frame to a decoder as if it arrived `now`. Calls `drain` afterwards, which has to poll the decoder until it is
/// empty.
pub(crate) fn feed(
    decoder: &mut Decoder,
    recorded: &RecordedFrame,
    now: Received,
    mut drain: impl FnMut(&mut Decoder),
) {
    let RecordedFrame { wire, payload, .. } = recorded;
    let layout = wire.layout.as_ref().and_then(PayloadLayout::geometry);
    if let Some(geometry) = layout.filter(|geometry| geometry.format != PixelFormat::Jpeg) {
        // Use the layout of the recording. The decoder could infer another one from the payload alone.
        decoder.announce(geometry);
    }
    if let Some(size) = wire.layout.as_ref().and_then(PayloadLayout::video_size) {
        // The key frame that states it can be in another file, or damaged.
        decoder.announce_video(size);
    }
    let head = head_of(wire);
    match wire.dialect.parse::<Protocol>() {
        Ok(protocol) => {
            decoder.recorded_picture(protocol, &head, payload, DeviceTime(wire.device_time_us), now, wire.stale);
        }
        Err(()) => decoder.decode_recorded(&wire.context, &head, payload, now, wire.stale),
    }
    drain(decoder);
}

/// Returns the records, header and detections in the order in which the camera sent them. A picture that HTTP delimits gets
/// the header that a camera with detections of this form would have sent over TCP, without a capture time: its time is that of
/// its arrival, from which a receiver would estimate missing frames.
pub(crate) fn bytes_before_payload(dialect: &str, payload_len: usize, head: MessageHead<'_>) -> Vec<u8> {
    if dialect.parse::<Protocol>().is_err() {
        return head.parts().concat();
    }
    let device_time = DeviceTime(0);
    let text = head.detection_text.trim_ascii();
    let fields = HeaderFields { device_time, payload_len, detections_len: text.len(), ..HeaderFields::default() };
    match text.first() {
        None => encode::header(Dialect::Abcde, &fields),
        Some(b'[' | b'{') => {
            [&encode::detect_head(device_time, text.len()), text, &encode::header(Dialect::Frame, &fields)].concat()
        }
        Some(_) => [&encode::header(Dialect::Img, &fields), text].concat(),
    }
}

/// Returns the bytes that the camera sent before the payload of a recorded frame.
pub(super) fn head_of(wire: &WireMessage) -> MessageHead<'_> {
    let WireMessage { records, header, detections: detection_text, .. } = wire;
    let detect_at = usize::try_from(wire.detect_at).unwrap_or(usize::MAX);
    MessageHead { records, detect_at, header, detection_text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Interpreter, Pool};
    use crate::wire::{Event, Limits};

    #[test]
    fn pictures_of_http_are_served_with_their_detections() {
        for (text, boxes) in [
            (&b"2;50.0;0.1;0.2;0.3;0.4|2;60.0;0.1;0.2;0.3;0.4\n"[..], 2),
            (br#"[{"label": 2, "confidence": 0.5, "xmin": 0, "ymin": 0, "xmax": 1, "ymax": 1}]"#, 1),
            (b"", 0),
        ] {
            let wire = WireMessage {
                dialect: Protocol::Http.name().to_owned(),
                device_time_us: 1_500_000,
                payload_len: 3,
                detections: text.to_vec(),
                ..WireMessage::default()
            };
            let bytes = [bytes_before_payload(&wire.dialect, 3, head_of(&wire)), b"BGR".to_vec()].concat();
            let mut decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
            decoder.feed(&bytes, Received::default());
            decoder.finish();
            let events: Vec<_> = std::iter::from_fn(|| decoder.poll()).collect();
            let frames: Vec<_> = events
                .iter()
                .filter_map(|event| match event {
                    Event::Frame(frame) => Some(frame),
                    _ => None,
                })
                .collect();
            assert_eq!(frames.len(), 1, "{events:?}");
            let found = (frames[0].payload(), frames[0].device_time.0, frames[0].detections.len());
            assert_eq!(found, (&b"BGR"[..], 0, boxes), "without the time of the arrival");
        }
    }
}
