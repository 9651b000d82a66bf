//! Counts a frame when it arrives, and its times when it is known whether it is stale.

use super::backlog::Fresh;
use super::{CLOCK_STEP_MAX_US, EARLY_MAX_US, Stats};
use crate::frame::{Backlog, DeviceTime, Frame, PayloadKind, Received, Staleness, jpeg_defect};

/// The times of a frame. Whether it is stale decides what they say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timed {
    pub(super) device: DeviceTime,
    pub(super) received: Received,
    /// Bytes received until the frame was complete, on all connections.
    pub(super) bytes: u64,
    /// Missing frames are not estimated: the frame has a number, was counted before, or has no capture time. Intervals
    /// between arrivals do not show what is missing: a network that pauses delivers every frame later.
    pub(super) is_numbered: bool,
    /// The frame follows the one before it without an interruption.
    pub(super) follows: bool,
    /// The camera's clock was set before this frame.
    pub(super) was_set: bool,
    /// Time since the last frame by the camera's clock and by its arrival.
    pub(super) step_us: i64,
    pub(super) arrived_us: u64,
    /// Frames since the last one that were lost, or are missing in the recording that is played.
    pub(super) lost: u64,
    /// The frame was counted before: a part of a recording plays again.
    pub(super) repeated: bool,
}

impl Stats {
    /// Returns whether the step of the camera's clock to a frame that arrives now takes longer than the connection lasts:
    /// then the frame before waited in the camera until we connected, however slowly it arrived.
    pub(super) fn is_jump(&self, device: DeviceTime, arrived: Received) -> bool {
        // A camera keeps no more frames than this.
        let may_have_waited = (1..=u64::from(Backlog::MAX_FRAMES)).contains(&self.connection.frames);
        let Some(last) = self.last_device.filter(|_| may_have_waited) else { return false };
        let age_us = self.connection.age_us(arrived);
        let step_us = u64::try_from(device.since(last)).unwrap_or(0);
        // Frames of a steady stream arrive a little early, too.
        age_us < step_us - (step_us / 4).min(EARLY_MAX_US)
    }

    /// Counts a number that the camera sent beside its pictures. A camera that sends numbers only is not down.
    pub fn measured(&mut self, received: Received) {
        self.measurements += 1;
        if self.frames.received == 0 {
            self.outages.frame(received.mono_ns);
        }
    }

    pub(super) fn frame(&mut self, frame: &Frame) {
        if frame.labels.is_some() {
            self.labels.clone_from(&frame.labels);
        }
        if frame.kind == PayloadKind::Jpeg
            && !self.repeats
            && let Some(defect) = jpeg_defect(frame.payload())
        {
            self.bad_pictures += 1;
            self.damaged(|| defect.to_string());
        }
        let is_jump = self.is_jump(frame.device_time, frame.received);
        let here = &mut self.connection;
        self.frames.received += 1;
        self.streams.frame(frame.stream.as_ref());
        self.frames.repeated += u64::from(self.repeats);
        self.frames.pending += 1;
        here.sync_lost = false;
        if frame.stream.is_some() {
            // Rates, gaps and the camera's clock are those of its first stream.
            let follows = here.frames > 1 && !is_jump;
            self.numbered(frame, follows);
            self.count_missing();
            return self.outages.frame(frame.received.mono_ns);
        }
        here.frames += 1;
        let lost = std::mem::take(&mut here.lost_since_frame);
        if here.frames == 1 {
            here.first = frame.received;
        }
        let step_us = self.last_device.replace(frame.device_time).map_or(0, |last| frame.device_time.since(last));
        self.reboots += u64::from(step_us < 0 && !self.repeats);
        let age_us = here.age_us(frame.received);
        let arrived_us = self.span.map_or(0, |(_, last)| frame.received.mono_ns.saturating_sub(last.mono_ns) / 1000);
        let was_set = step_us < 0 || step_us.unsigned_abs() > CLOCK_STEP_MAX_US.saturating_add(age_us);
        let follows = here.frames > 1 && !is_jump;
        self.numbered(frame, follows);
        let timed = Timed {
            device: frame.device_time,
            received: frame.received,
            bytes: self.closed.received + self.open.received,
            is_numbered: frame.camera_seq.is_some() || self.repeats || frame.no_clock,
            follows,
            lost,
            was_set,
            step_us,
            arrived_us,
            repeated: self.repeats,
        };
        match frame.staleness {
            Staleness::Known(stale) => self.timed(timed, stale),
            // Counted by its verdict, even if that is known already: the decoder is ahead of its events, and the verdicts of
            // the frames before may still be among them. Out of order, the intervals would show gaps that do not exist.
            Staleness::Later(_) => {
                self.undecided.push_back(timed);
                self.count_missing();
            }
        }
        self.span = Some((self.span.map_or(frame.received, |(first, _)| first), frame.received));
        self.outages.frame(frame.received.mono_ns);
    }

    /// Counts a frame that was received partly.
    pub(super) fn count_lost(&mut self) {
        self.frames.lost += 1;
        self.streams.lost();
        self.connection.lost_since_frame = self.connection.lost_since_frame.saturating_add(1);
        self.sequence.lost(self.streams.next());
        self.count_missing();
    }

    /// Counts the number of a frame.
    fn numbered(&mut self, frame: &Frame, follows: bool) {
        let (stream, number) = (frame.stream.as_ref(), frame.camera_seq);
        if self.repeats {
            self.sequence.repeated(stream, number, follows);
        } else {
            self.sequence.frame(stream, number, follows);
        }
    }

    /// Counts a frame by its times, now that it is decided whether it is stale.
    pub(super) fn timed(&mut self, timed: Timed, stale: bool) {
        let Timed { device, received, bytes, is_numbered, follows, was_set, lost, .. } = timed;
        self.frames.stale += u64::from(stale && !timed.repeated);
        if !stale {
            self.fresh.get_or_insert(Fresh::new(received, bytes)).add(received, bytes);
        }
        if follows && !stale {
            self.count_backlog(timed);
        }
        if was_set || !follows || stale {
            // The interval before this frame is not a frame period: the clock was set, or no client was connected.
            self.gaps.interrupt();
            self.recent.clear();
        }
        if follows && !stale {
            let before = self.gaps.missing();
            self.gaps.observe(device, lost);
            if !is_numbered {
                // The estimate of earlier frames can also shrink, when the median changes.
                self.frames.estimated =
                    self.frames.estimated.saturating_add(self.gaps.missing()).saturating_sub(before);
            }
            self.recent.observe(device, received, bytes);
        }
        self.count_missing();
    }
}
