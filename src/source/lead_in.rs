//! Frames of video before the position of a seek, which a decoder needs for the frame there.

use std::sync::Arc;

use super::SessionOptions;
use crate::frame::{Frame, Interpreter, PayloadKind, Pool, Received};
use crate::net::clock::received_now;
use crate::recording::playback::RECORDING_START;
use crate::recording::{RecordedFrame, RecordingEntry, RecordingError, Series, feed};
use crate::wire::{Decoder, Event, Limits};

/// Most frames and payload bytes between a key frame and the position of a seek. After more, the view continues at the next
/// key frame.
const FRAMES_MAX: usize = 1000;
const BYTES_MAX: usize = 64 << 20;

/// Time before the position in which the key frame is looked for first. Then in eight times as much, until it is found.
const REACH_NS: i64 = 2_000_000_000;

/// Finds the frames that a seek leads in with.
#[derive(Clone, Debug)]
pub(super) struct LeadIn {
    frames: Pool<Frame>,
    interpreter: Interpreter,
    limits: Limits,
}

/// Records and frames before the position of a seek.
type Before = (Vec<u8>, Arc<[Arc<Frame>]>);

/// Moves the reader to the first frame at this time or later. Returns the records that apply to it, and the frames before it
/// that a decoder of video needs.
///
/// # Errors
/// The file cannot be read.
pub(super) fn seek(series: &mut Series, from_ns: i64, lead_in: Option<LeadIn>) -> Result<Before, RecordingError> {
    if from_ns == RECORDING_START {
        series.rewind()?;
        return Ok(Before::default());
    }
    let records = series.records_at(from_ns)?;
    let frames = lead_in.map_or_else(|| Ok(Arc::default()), |lead_in| lead_in.before(series, from_ns))?;
    series.seek(from_ns)?;
    Ok((records, frames))
}

fn video(recorded: &RecordedFrame) -> Option<PayloadKind> {
    [PayloadKind::H264, PayloadKind::H265].into_iter().find(|kind| kind.name() == recorded.wire.kind)
}

impl LeadIn {
    pub(super) fn new(options: &SessionOptions) -> Self {
        let SessionOptions { frames, interpreter, limits, .. } = options;
        Self { frames: frames.clone(), interpreter: interpreter.clone(), limits: *limits }
    }

    /// Returns the frames from the last key frame before this time to the time. Empty if the first frame at the time or later
    /// does not need them, or if they are too many. Moves the reader.
    ///
    /// # Errors
    /// The file cannot be read.
    fn before(&self, series: &mut Series, unix_ns: i64) -> Result<Arc<[Arc<Frame>]>, RecordingError> {
        let first_ns = series.span().map_or(unix_ns, |(first_ns, _)| first_ns);
        let mut reach_ns = REACH_NS;
        loop {
            let from_ns = unix_ns.saturating_sub(reach_ns);
            series.seek(from_ns)?;
            // A decoder of its own, because these frames do not count as received.
            let mut decoder = Decoder::new(self.frames.clone(), self.interpreter.clone(), self.limits);
            let (mut found, mut bytes) = (Vec::new(), 0);
            let needs = loop {
                match series.next_entry() {
                    Some(RecordingEntry::Frame(recorded)) => {
                        let Some(kind) = video(&recorded) else { break false };
                        let is_target = recorded.log_ns >= unix_ns;
                        let Some(frame) = decoded(&mut decoder, &recorded, kind) else { continue };
                        let is_key = frame.is_key_frame();
                        if is_target {
                            break !is_key;
                        }
                        if is_key {
                            (found, bytes) = (Vec::new(), 0);
                        }
                        if is_key || !found.is_empty() {
                            bytes += frame.payload().len();
                            found.push(frame);
                        }
                        if found.len() > FRAMES_MAX || bytes > BYTES_MAX {
                            return Ok(Arc::default());
                        }
                    }
                    // Playing reports damage when it gets there.
                    Some(RecordingEntry::Incident { .. }) => {}
                    None => break false,
                }
            };
            if !needs {
                return Ok(Arc::default());
            }
            if !found.is_empty() || from_ns <= first_ns {
                return Ok(found.into());
            }
            reach_ns = reach_ns.saturating_mul(8);
        }
    }
}

/// Returns the frame, of this kind.
fn decoded(decoder: &mut Decoder, recorded: &RecordedFrame, kind: PayloadKind) -> Option<Arc<Frame>> {
    let mut found = None;
    let now = Received { unix_ns: recorded.log_ns, ..received_now() };
    feed(decoder, recorded, now, |decoder| {
        while let Some(event) = decoder.poll() {
            if let Event::Frame(frame) = event {
                found = Some(frame);
            }
        }
    });
    let mut frame = found?;
    if let Some(frame) = Arc::get_mut(&mut frame) {
        frame.kind = kind;
    }
    Some(frame)
}
