//! Decodes recorded frames, with one decoder per camera.

use std::sync::Arc;

use super::RecordedFrame;
use super::mcap_record::MESSAGE_BYTES_MAX;
use super::player::feed;
use crate::frame::{Frame, Interpreter, Pool, Received};
use crate::wire::{Decoder, Event, Limits};

/// The decoders of the cameras of a file.
#[derive(Debug, Default)]
pub(crate) struct Decoders {
    decoders: Vec<Decoder>,
    pool: Pool<Frame>,
}

impl Decoders {
    /// Decodes one frame, and checks that the result is what was recorded.
    ///
    /// # Errors
    /// The bytes are not exactly one frame. The text is the decoder's reason.
    pub(crate) fn decode(&mut self, recorded: &RecordedFrame) -> Result<Arc<Frame>, String> {
        let limits = Limits { payload: MESSAGE_BYTES_MAX as usize, ..Limits::default() };
        while self.decoders.len() <= recorded.camera {
            self.decoders.push(Decoder::new(self.pool.clone(), Interpreter::default(), limits));
        }
        let decoder = &mut self.decoders[recorded.camera];
        let now = Received { mono_ns: recorded.wire.arrival_mono_ns, unix_ns: recorded.log_ns };
        let (mut frames, mut skipped, mut complaint) = (Vec::new(), 0, None);
        let mut drain = |decoder: &mut Decoder| {
            while let Some(event) = decoder.poll() {
                match event {
                    Event::Frame(frame) => frames.push(frame),
                    Event::Lost(damage) => complaint = Some(damage.to_string()),
                    Event::BadDetections(error) => complaint = Some(error.to_string()),
                    Event::Skipped(range) => skipped += range.len,
                    // The header of the next frame confirmed it during the recording. Here no next frame follows.
                    Event::Confirmed(_) | Event::Withdrawn(..) | Event::Aged(_) | Event::Record(_) => {}
                }
            }
        };
        feed(decoder, recorded, now, &mut drain);
        let whole = decoder.byte_counts().pending == 0;
        if !whole {
            decoder.finish();
            drain(decoder);
            decoder.restart();
        }
        let wire = &recorded.wire;
        match (frames.pop(), frames.pop()) {
            (Some(frame), None) if whole => {
                let same = frame.header == wire.header
                    && frame.detection_text == wire.detections
                    && frame.payload() == recorded.payload
                    && frame.device_time.0 == wire.device_time_us;
                if same { Ok(frame) } else { Err("a different header, text, payload or device time".to_owned()) }
            }
            (Some(_), Some(_)) => Err("more than one frame".to_owned()),
            _ => Err(complaint.unwrap_or_else(|| {
                format!("no frame ({skipped} bytes skipped) after the header \"{}\"", wire.header.escape_ascii())
            })),
        }
    }
}
