//! Frames of the other streams of a recorded connection, which are played as cameras of their own.

use std::sync::Arc;

use super::delivery::Delivery;
use crate::frame::{Frame, PixelFormat};
use crate::hub::Hub;
use crate::recording::schema::PayloadLayout;
use crate::recording::{ConnectionEntry, Decoders, RecordedFrame, Series};
use crate::stats::Ledger;

/// Passes on the frames of other streams that concern the camera that is played: depth pictures, in which its boxes are
/// measured, and frame numbers of a counter that all streams may share.
#[derive(Debug, Default)]
pub(super) struct Beside {
    decoders: Decoders,
}

impl Beside {
    /// Delivers a depth picture of another stream.
    pub(super) fn deliver(&mut self, recorded: &RecordedFrame, delivery: &Delivery) {
        match self.decoders.decode(recorded) {
            Ok(frame) => delivery.outlets.depth_beside.offer(&frame),
            // The session of that stream reports it.
            Err(why) => tracing::debug!(camera = delivery.name(), "a depth picture cannot be read: {why}"),
        }
    }
}

/// Returns the next entry of the camera, or a depth picture beside it if a sink wants those. Counts the numbers of the others.
pub(super) fn next_entry(series: &mut Series, ledger: &Ledger, depth: &Hub<Arc<Frame>>) -> Option<ConnectionEntry> {
    loop {
        let entry = series.next_of_connection()?;
        let ConnectionEntry::Beside(recorded) = &entry else { return Some(entry) };
        if let Some(number) = recorded.wire.camera_seq {
            ledger.update(|stats| stats.numbered_beside(number));
        }
        let layout = recorded.wire.layout.as_ref().and_then(PayloadLayout::geometry);
        if !depth.is_empty() && layout.is_some_and(|layout| layout.format == PixelFormat::Raw16) {
            return Some(entry);
        }
    }
}
