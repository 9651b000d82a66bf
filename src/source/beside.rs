//! Frames of the other streams of a recorded connection, which are played as cameras of their own.

use super::delivery::Delivery;
use crate::frame::PixelFormat;
use crate::recording::schema::PayloadLayout;
use crate::recording::{Decoders, RecordedFrame};

/// Passes on the frames of other streams that concern the camera that is played: depth pictures, in which its boxes are
/// measured, and frame numbers of a counter that all streams may share.
#[derive(Debug, Default)]
pub(super) struct Beside {
    decoders: Decoders,
}

impl Beside {
    /// Delivers a frame of another stream.
    pub(super) fn deliver(&mut self, recorded: &RecordedFrame, delivery: &Delivery) {
        if let Some(number) = recorded.wire.camera_seq {
            delivery.outlets.ledger.update(|stats| stats.numbered_beside(number));
        }
        let layout = recorded.wire.layout.as_ref().and_then(PayloadLayout::geometry);
        if delivery.outlets.depth_beside.is_empty() || layout.is_none_or(|layout| layout.format != PixelFormat::Raw16) {
            return;
        }
        match self.decoders.decode(recorded) {
            Ok(frame) => delivery.outlets.depth_beside.offer(&frame),
            // The session of that stream reports it.
            Err(why) => tracing::debug!(camera = delivery.name(), "a depth picture cannot be read: {why}"),
        }
    }
}
