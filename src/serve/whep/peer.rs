//! One viewer.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use str0m::channel::ChannelId;
use str0m::media::{MediaTime, Mid, Pt};
use str0m::{Event, IceConnectionState, Input, Output, Rtc, RtcError};
use tokio::sync::OwnedSemaphorePermit;

use super::offer::Answered;
use super::outbox::Outbox;
use super::{CONNECT_TIMEOUT, peers};
use crate::frame::{Frame, FrameNumbers, PayloadKind};
use crate::serve::camera::ServedCamera;
use crate::serve::capture_clock::CaptureClock;
use crate::serve::feed::Media;
use crate::serve::viewer::Viewer;
use crate::sink::detections::{DetectedFrame, DetectionRecord};

/// Label of the data channel on which a viewer gets detections.
const DETECTIONS: &str = "detections";

/// Detections of a frame, for the data channel.
#[derive(Serialize)]
struct ChannelMessage<'a> {
    /// Time stamp of the RTP packets of the frame's picture.
    rtp_time: u32,
    #[serde(flatten)]
    record: DetectionRecord<'a>,
}

/// A viewer of one camera.
pub(super) struct Peer {
    pub(super) id: String,
    camera: Arc<ServedCamera>,
    media: Media,
    rtc: Rtc,
    mid: Mid,
    payload_type: Pt,
    channel: Option<ChannelId>,
    /// `None` before it is connected.
    pub(super) viewer: Option<Viewer<Arc<Frame>>>,
    clock: CaptureClock,
    numbers: FrameNumbers,
    /// Time of its next step.
    pub(super) due: Instant,
    connects_until: Instant,
    _place: OwnedSemaphorePermit,
}

impl Peer {
    pub(super) fn new(
        id: String,
        camera: Arc<ServedCamera>,
        media: Media,
        answered: Answered,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let Answered { rtc, mid, payload_type, .. } = answered;
        let now = Instant::now();
        Self {
            id,
            camera,
            media,
            rtc,
            mid,
            payload_type,
            channel: None,
            viewer: None,
            clock: CaptureClock::new(),
            numbers: FrameNumbers::default(),
            due: now,
            connects_until: now + CONNECT_TIMEOUT,
            _place: place,
        }
    }

    /// Returns whether the viewer may stay.
    pub(super) fn is_alive(&self) -> bool {
        self.rtc.is_alive()
    }

    /// Returns whether a datagram is from this viewer.
    pub(super) fn accepts(&self, input: &Input<'_>) -> bool {
        self.rtc.accepts(input)
    }

    /// Takes a datagram or the passing of time.
    pub(super) fn input(&mut self, input: Input<'_>, outbox: &mut Outbox) {
        let result = self.rtc.handle_input(input).and_then(|()| self.drain(outbox));
        self.end_on_error(result);
        if self.viewer.is_none() && Instant::now() >= self.connects_until {
            tracing::debug!(camera = self.camera.name, id = self.id, "the viewer did not connect in time");
            self.rtc.disconnect();
        }
    }

    /// Ends the connection, and says so to the viewer.
    pub(super) fn close(&mut self, outbox: &mut Outbox) {
        let result = self.rtc.close().and_then(|()| self.drain(outbox));
        self.end_on_error(result);
        self.rtc.disconnect();
    }

    fn end_on_error(&mut self, result: Result<(), RtcError>) {
        if let Err(error) = result {
            tracing::debug!(camera = self.camera.name, id = self.id, %error, "a viewer's connection ends");
            self.rtc.disconnect();
        }
    }

    /// Sends a frame that was taken from the viewer's lane.
    pub(super) fn send(&mut self, frame: &Arc<Frame>, outbox: &mut Outbox) {
        if frame.kind != PayloadKind::H264 {
            // The camera has been changed: the viewer connects again.
            self.close(outbox);
            return;
        }
        let before = outbox.bytes();
        let result = self.write(frame, outbox);
        let is_sent = result.is_ok();
        self.end_on_error(result);
        if let Some(viewer) = &self.viewer {
            if is_sent {
                viewer.sent(outbox.bytes() - before);
            } else {
                viewer.left_out(1);
            }
        }
    }

    fn write(&mut self, frame: &Arc<Frame>, outbox: &mut Outbox) -> Result<(), RtcError> {
        let time = self.clock.stamp(frame);
        let sets = self.camera.whep.sets_before(frame);
        let unit: Arc<[u8]> =
            if sets.is_empty() { frame.payload().into() } else { [&*sets, frame.payload()].concat().into() };
        let writer = self.rtc.writer(self.mid).ok_or(RtcError::NoSenderSource)?;
        writer.write(self.payload_type, Instant::now(), MediaTime::from_90khz(time), unit)?;
        self.drain(outbox)?;
        let number = self.numbers.number(frame.id);
        let Some(id) = self.channel else { return Ok(()) };
        let detected = DetectedFrame::new(frame, false, 0);
        let record = DetectionRecord::new(&detected, number, &self.camera.style);
        let record = DetectionRecord { camera: Some(&self.camera.name), ..record };
        // Strings and numbers: serializing them cannot fail.
        let message = serde_json::to_vec(&ChannelMessage { rtp_time: time as u32, record }).unwrap_or_default();
        let is_accepted = match self.rtc.channel(id) {
            Some(mut channel) => channel.write(false, &message)?,
            None => false,
        };
        if !is_accepted {
            tracing::trace!(id = self.id, "the data channel of a viewer is full");
        }
        self.drain(outbox)
    }

    /// Does what is due now, and moves what is to be sent to the outbox.
    fn drain(&mut self, outbox: &mut Outbox) -> Result<(), RtcError> {
        for _ in 0..peers::STEPS_MAX {
            match self.rtc.poll_output()? {
                Output::Transmit(transmit) => outbox.push(&transmit),
                Output::Event(event) => self.event(&event),
                Output::Timeout(at) => {
                    let now = Instant::now();
                    if at > now {
                        self.due = if self.viewer.is_some() { at } else { at.min(self.connects_until) };
                        return Ok(());
                    }
                    self.rtc.handle_input(Input::Timeout(now))?;
                }
            }
        }
        // The rest is done in the next step, after those of other viewers.
        self.due = Instant::now();
        Ok(())
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Connected => self.begin(),
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => self.rtc.disconnect(),
            Event::KeyframeRequest(_) => self.camera.whep.request_key_frame(),
            Event::ChannelOpen(id, label) if label == DETECTIONS => self.channel = Some(*id),
            Event::ChannelClose(id) if self.channel == Some(*id) => self.channel = None,
            _ => {}
        }
    }

    fn begin(&mut self) {
        if self.viewer.is_some() {
            return;
        }
        match self.camera.whep.watch(&self.camera.viewers, &self.media) {
            Ok(viewer) => self.viewer = Some(viewer),
            Err(error) => {
                tracing::info!(camera = self.camera.name, %error, "cannot serve a viewer");
                self.rtc.disconnect();
            }
        }
    }
}
