//! Computes when frames are due.

use std::collections::BTreeMap;

use super::{
    Arrival, AtEnd, CATCH_UP_MAX_NS, Due, FramesAround, GAP_POLL_NS, GAP_WAIT_NS, MOMENT_NS, PlaybackCursor,
    RECORDING_START, SeekTarget, Speed,
};

/// Computes when frames are due. Times of the recording are nanoseconds since 1970, UTC; present times are nanoseconds of
/// a monotonic clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlaybackClock {
    pub(super) speed: Speed,
    pub(super) paused: bool,
    pub(super) looped: bool,
    /// Wait for a seek at the end of the recording.
    pub(super) waits_at_end: bool,
    /// A time of the recording, and the present time at which it is due.
    pub(super) anchor: Option<(i64, u64)>,
    /// Time of the last delivered frame. `None` if the next frame is due at once.
    pub(super) last: Option<i64>,
    /// Present time at which the last frame was delivered since the last seek or pause.
    pub(super) delivered_ns: Option<u64>,
    /// Time of the last delivered frame or seek, for display.
    pub(super) position: Option<i64>,
    pub(super) span: Option<(i64, i64)>,
    /// Time at which every recording starts in this playback. `None`: each at its own time.
    pub(super) common_start: Option<i64>,
    /// Number of seeks, and the target of the last.
    pub(super) seeks: u64,
    pub(super) target: SeekTarget,
    /// Number of steps, each of which lets every camera deliver one frame while paused, and that number at the last seek.
    pub(super) steps: u64,
    pub(super) steps_before: u64,
    /// Number of cameras that have reported the frames around the target of the last seek, and the frames of all.
    pub(super) reported: usize,
    pub(super) around: Vec<FramesAround>,
    /// Arrival of the next frame of each camera that waits to deliver it.
    pub(super) next: BTreeMap<usize, i64>,
    /// Number of cameras that have ever joined.
    pub(super) joined: usize,
    /// Number of cameras, of cameras at the end, and of frames since the beginning or the last seek.
    pub(super) cameras: usize,
    pub(super) ended: usize,
    pub(super) frames: u64,
}

impl PlaybackClock {
    pub(super) fn new(speed: Speed, looped: bool) -> Self {
        Self { speed, looped, ..Self::default() }
    }

    /// Adds a camera.
    pub(super) fn join(&mut self) -> PlaybackCursor {
        self.cameras += 1;
        self.joined += 1;
        PlaybackCursor { id: self.joined, steps: self.steps, ..PlaybackCursor::default() }
    }

    pub(super) fn leave(&mut self, cursor: PlaybackCursor) {
        self.cameras -= 1;
        let is_here = cursor.seeks == self.seeks;
        self.ended -= usize::from(cursor.ended && is_here);
        self.reported -= usize::from(cursor.reported && is_here);
        self.next.remove(&cursor.id);
    }

    /// Returns when the next frame of a camera is due. `arrived_ns` is its time in the recording.
    pub(super) fn due(&mut self, cursor: &mut PlaybackCursor, arrived_ns: i64, now_ns: u64) -> Due {
        if let Some(target) = self.pending_seek(cursor) {
            return Due::Seek(target);
        }
        self.next.insert(cursor.id, arrived_ns);
        if self.paused {
            // Other cameras may have frames before this one.
            if cursor.steps == self.steps || self.next.len() + self.ended < self.cameras {
                return Due::Paused;
            }
            cursor.steps += 1;
            let earliest_ns = self.next.values().min().copied().unwrap_or(arrived_ns);
            if arrived_ns.saturating_sub(MOMENT_NS) > earliest_ns {
                return Due::Paused;
            }
            return self.deliver(cursor, arrived_ns, now_ns);
        }
        cursor.steps = self.steps;
        let Speed::Times(speed) = self.speed else { return self.deliver(cursor, arrived_ns, now_ns) };
        // The first frame of one of several cameras may be much later than those of the others.
        let start_ns = self.span.filter(|_| self.cameras > 1).map_or(arrived_ns, |(first, _)| first.min(arrived_ns));
        let (from_ns, from_now_ns) = *self.anchor.get_or_insert((self.last.unwrap_or(start_ns), now_ns));
        // A frame from before the anchor is due at once: several cameras share this clock, and the host's clock may have
        // been set back during the recording.
        let after_ns = (arrived_ns.saturating_sub(from_ns).max(0) as f64 / speed) as u64;
        let due_ns = from_now_ns.saturating_add(after_ns);
        if due_ns > now_ns {
            let skip_ns = self.delivered_ns.get_or_insert(now_ns).saturating_add(GAP_WAIT_NS);
            if !cursor.after_gap || due_ns <= skip_ns {
                return Due::At(due_ns);
            }
            let is_first = self.next.values().all(|next_ns| *next_ns >= arrived_ns);
            if !is_first || self.next.len() + self.ended < self.cameras {
                return Due::At(skip_ns.max(now_ns.saturating_add(GAP_POLL_NS)).min(due_ns));
            }
            if now_ns < skip_ns {
                return Due::Skip(skip_ns);
            }
            self.anchor = Some((arrived_ns, now_ns));
            return self.deliver(cursor, arrived_ns, now_ns);
        }
        if now_ns - due_ns > CATCH_UP_MAX_NS {
            self.anchor = Some((arrived_ns, now_ns));
        }
        self.deliver(cursor, arrived_ns, now_ns)
    }

    pub(super) fn deliver(&mut self, cursor: &PlaybackCursor, arrived_ns: i64, now_ns: u64) -> Due {
        self.next.remove(&cursor.id);
        self.delivered_ns = Some(now_ns);
        self.last = Some(arrived_ns);
        self.position = Some(arrived_ns);
        self.frames += 1;
        Due::Now
    }

    /// Returns the target of a seek that this camera has not made yet, and marks it as made.
    pub(super) fn pending_seek(&self, cursor: &mut PlaybackCursor) -> Option<SeekTarget> {
        (cursor.seeks != self.seeks).then(|| {
            let id = cursor.id;
            *cursor = PlaybackCursor { id, seeks: self.seeks, steps: self.steps_before, ..PlaybackCursor::default() };
            self.target
        })
    }

    /// Takes the frames of a camera around the target of the last seek.
    pub(super) fn report(&mut self, cursor: &mut PlaybackCursor, around: FramesAround) {
        if cursor.seeks == self.seeks && !std::mem::replace(&mut cursor.reported, true) {
            self.reported += 1;
            self.around.push(around);
        }
    }

    /// Returns where the cameras continue after a seek.
    pub(super) fn arrival(&mut self, cursor: &mut PlaybackCursor) -> Arrival {
        if let Some(target) = self.pending_seek(cursor) {
            return Arrival::Seek(target);
        }
        if self.reported < self.cameras {
            return Arrival::Wait;
        }
        let before = self.around.iter().filter_map(|around| around.before).max();
        let after = || self.around.iter().filter_map(|around| around.after);
        let at_ns = match self.target {
            SeekTarget::Back => before,
            SeekTarget::From(target_ns) | SeekTarget::BackTo(target_ns) => {
                let is_near = |ns: &i64| ns.saturating_sub(target_ns) <= MOMENT_NS;
                let is_back = matches!(self.target, SeekTarget::BackTo(_));
                let near = after().filter(is_near).min();
                near.or(before.filter(|_| is_back)).or(after().min()).or(before)
            }
        };
        if self.frames == 0 && at_ns.is_some() {
            (self.position, self.last) = (at_ns, at_ns);
        }
        Arrival::At(at_ns)
    }

    /// Counts a step of a camera that has no frame at the target of a seek.
    pub(super) fn pass(&mut self, cursor: &mut PlaybackCursor) {
        cursor.steps = self.steps.min(cursor.steps + 1);
    }

    /// Returns what a camera without more frames has to do.
    pub(super) fn end(&mut self, cursor: &mut PlaybackCursor) -> AtEnd {
        if let Some(target) = self.pending_seek(cursor) {
            return AtEnd::Seek(target);
        }
        self.next.remove(&cursor.id);
        self.ended += usize::from(!std::mem::replace(&mut cursor.ended, true));
        // Paused at the end, only a step continues at the start.
        let is_held = self.paused && cursor.steps == self.steps;
        if self.ended < self.cameras {
            // This camera has no frame for a step of the others.
            cursor.steps = self.steps;
        }
        if self.looped && self.frames > 0 {
            if self.ended < self.cameras {
                return AtEnd::Wait;
            }
            if is_held {
                return AtEnd::Wait;
            }
            self.jump(SeekTarget::From(RECORDING_START));
            self.steps_before = cursor.steps;
            return self.pending_seek(cursor).map_or(AtEnd::Stop, AtEnd::Seek);
        }
        // While paused, the last frame stays visible after a step to it.
        if self.waits_at_end || self.paused { AtEnd::Wait } else { AtEnd::Stop }
    }

    pub(super) fn jump(&mut self, target: SeekTarget) {
        self.seeks += 1;
        self.target = target;
        (self.anchor, self.last, self.delivered_ns) = (None, None, None);
        (self.ended, self.frames, self.reported) = (0, 0, 0);
        self.around.clear();
        self.next.clear();
    }

    pub(super) fn seek(&mut self, target_ns: i64) {
        self.go_to(target_ns, SeekTarget::From);
    }

    pub(super) fn go_to(&mut self, target_ns: i64, target: fn(i64) -> SeekTarget) {
        let (first, last) = self.span.unwrap_or((RECORDING_START, i64::MAX));
        let target_ns = target_ns.clamp(first, last);
        self.jump(target(target_ns));
        self.position = Some(target_ns).filter(|target_ns| *target_ns != RECORDING_START);
        self.show_target();
    }

    /// While paused, lets each camera show one frame at the target of the last seek.
    pub(super) fn show_target(&mut self) {
        self.steps_before = self.steps;
        self.steps += u64::from(self.paused);
    }

    pub(super) fn step_back(&mut self) {
        // No frame was shown yet, so none is before it.
        if self.position.is_some() {
            self.jump(SeekTarget::Back);
            self.show_target();
        }
    }

    pub(super) fn seek_by(&mut self, ns: i64) {
        if let Some(position) = self.position.or(self.span.map(|(first, _)| first)) {
            let target = if ns < 0 { SeekTarget::BackTo } else { SeekTarget::From };
            self.go_to(position.saturating_add(ns), target);
        }
    }

    pub(super) fn pause(&mut self, paused: bool) {
        self.paused = paused;
        (self.anchor, self.delivered_ns) = (None, None);
    }

    pub(super) fn set_speed(&mut self, speed: Speed) {
        self.speed = speed;
        self.anchor = None;
    }

    /// Extends the span by the first and last time of another recording.
    pub(super) fn include(&mut self, (first, last): (i64, i64)) {
        self.span = Some(self.span.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
    }
}
