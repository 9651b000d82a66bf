//! Times at which the frames of a recording are due, and the controls that change them: pause, step, seek, speed, loop.
//!
//! `PlaybackClock` computes the times, with the present as an argument. [`Playback`] shares one between cameras and windows.

mod clock;
mod rhythm;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use self::clock::PlaybackClock;
pub(crate) use self::rhythm::Rhythm;
pub use super::speed::Speed;

/// Delays up to this are caught up, so that the speed does not drift. After a longer delay the clock is restarted.
const CATCH_UP_MAX_NS: u64 = 250_000_000;

/// Longest wait for a frame after a gap, where no camera has frames.
const GAP_WAIT_NS: u64 = 2_000_000_000;

/// A camera whose next frame is after a gap looks this often whether another camera is there, too.
const GAP_POLL_NS: u64 = 200_000_000;

/// Seek target: the beginning of the recording.
pub(crate) const RECORDING_START: i64 = i64::MIN;

/// Frames of several cameras belong to one moment if they are at most this far apart: a camera whose next frame is later
/// shows its last frame meanwhile.
pub(crate) const MOMENT_NS: i64 = 1_000_000_000;

/// Position at which a camera continues after a seek.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SeekTarget {
    /// With the first frame that arrived at this time or later. Where no camera has frames, the playback continues with the
    /// next ones.
    From(i64),
    /// With the first frame that arrived at this time or later. Where no camera has frames, the playback continues with the
    /// last ones before.
    BackTo(i64),
    /// With the frame before the one that was delivered last.
    Back,
}

impl Default for SeekTarget {
    fn default() -> Self {
        Self::From(RECORDING_START)
    }
}

/// The frames of a camera around the target of a seek, as times of the recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FramesAround {
    /// Last frame before the target. Not needed if the next one is less than [`MOMENT_NS`] after the target.
    pub(crate) before: Option<i64>,
    /// First frame at the target or later. `None` for a step back.
    pub(crate) after: Option<i64>,
}

/// The position at which all cameras continue after a seek.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Other cameras have not found their frames yet.
    Wait,
    /// At this time; `None`: where they are, since there is no frame to go to.
    At(Option<i64>),
    /// Another seek has begun.
    Seek(SeekTarget),
}

/// The seeks and steps that one camera of a playback has already made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PlaybackCursor {
    id: usize,
    seeks: u64,
    /// The frames around the target of the last seek are reported.
    reported: bool,
    steps: u64,
    ended: bool,
    /// The next frame is after a gap.
    after_gap: bool,
}

/// Time at which a frame is to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Now. The clock counts it as delivered.
    Now,
    /// At this present time in nanoseconds, unless the playback changes before.
    At(u64),
    /// As [`Self::At`], because no camera has a frame for longer than that.
    Skip(u64),
    /// Not before the playback changes.
    Paused,
    /// Never: continue elsewhere.
    Seek(SeekTarget),
}

/// Action of a camera that has no more frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtEnd {
    /// Playback is finished.
    Stop,
    /// Wait for a change: other cameras have frames left, or a user may still seek.
    Wait,
    /// Continue elsewhere.
    Seek(SeekTarget),
}

/// State of a playback, for display.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlaybackStatus {
    /// Arrival of the current frame in nanoseconds since 1970, UTC. `None` before the first frame.
    pub position_ns: Option<i64>,
    /// First and last arrival in the recording in nanoseconds since 1970, UTC, once known.
    pub span_ns: Option<(i64, i64)>,
    /// Playback speed.
    pub speed: Speed,
    /// Playback is paused.
    pub paused: bool,
    /// Playback restarts at the end.
    pub looped: bool,
    /// Every camera has reached the end.
    pub ended: bool,
    /// Every recording starts at the same time, so that the position is not the time of their clocks.
    pub together: bool,
}

impl PlaybackStatus {
    /// Returns the time to show on a timeline: [the position](Self::position_ns), or at the end the end of the span, which
    /// can be after the last frame.
    #[must_use]
    pub fn time_ns(&self) -> Option<i64> {
        let end = self.span_ns.filter(|_| self.ended).map(|(_, last)| last);
        self.position_ns.map(|at| end.unwrap_or(at))
    }
}

/// A handle to control and watch the playback of a recording. Clones control the same playback. Cameras of one recording
/// that share a playback stay synchronized.
#[derive(Clone, Debug)]
pub struct Playback {
    clock: Arc<watch::Sender<PlaybackClock>>,
    /// Origin of present times.
    origin: Instant,
}

impl Playback {
    /// A playback without cameras.
    #[must_use]
    pub fn new(speed: Speed, looped: bool) -> Self {
        Self { clock: Arc::new(watch::Sender::new(PlaybackClock::new(speed, looped))), origin: Instant::now() }
    }

    /// Waits for a seek at the end of the recording instead of ending.
    #[must_use]
    pub fn waiting_at_end(self) -> Self {
        self.clock.send_modify(|clock| clock.waits_at_end = true);
        self
    }

    /// Sets the first and last time of all recordings (nanoseconds since 1970, UTC) before they are opened: otherwise the first
    /// one that is opened would begin at once, although another is earlier.
    #[must_use]
    pub fn covering(self, span: (i64, i64)) -> Self {
        self.clock.send_modify(|clock| clock.include(span));
        self
    }

    /// Lets every recording start at this time (nanoseconds since 1970, UTC) instead of at its own, to play recordings side
    /// by side that were not made at the same time.
    #[must_use]
    pub fn starting_together(self, start_ns: i64) -> Self {
        self.clock.send_modify(|clock| clock.common_start = Some(start_ns));
        self
    }

    /// Returns whether both control the same playback.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.clock, &other.clock)
    }

    /// Returns the current state.
    #[must_use]
    pub fn status(&self) -> PlaybackStatus {
        let clock = self.clock.borrow();
        PlaybackStatus {
            position_ns: clock.position,
            span_ns: clock.span,
            speed: clock.speed,
            paused: clock.paused,
            looped: clock.looped,
            ended: clock.cameras > 0 && clock.ended == clock.cameras,
            together: clock.common_start.is_some(),
        }
    }

    /// Returns the time at which every recording starts, if they start together.
    #[must_use]
    pub fn common_start(&self) -> Option<i64> {
        self.clock.borrow().common_start
    }

    /// Pauses or resumes.
    pub fn pause(&self, paused: bool) {
        self.clock.send_modify(|clock| clock.pause(paused));
    }

    /// Shows the next frame of each camera. Does nothing unless paused.
    pub fn step(&self) {
        self.clock.send_modify(|clock| clock.steps += u64::from(clock.paused));
    }

    /// Shows the frame before the last one of each camera. Without an earlier frame, shows the first.
    pub fn step_back(&self) {
        self.clock.send_modify(PlaybackClock::step_back);
    }

    /// Continues with the frames that arrived at this time (nanoseconds since 1970, UTC), clamped to the recording, or else
    /// with the next ones. While paused, shows the first of these frames. A camera without a frame within a second after
    /// it shows its last one before.
    pub fn seek(&self, unix_ns: i64) {
        self.clock.send_modify(|clock| clock.seek(unix_ns));
    }

    /// Seeks by a number of nanoseconds, forward or (negative) backward. A seek back into a gap leads to the last frame before
    /// it.
    pub fn seek_by(&self, ns: i64) {
        self.clock.send_modify(|clock| clock.seek_by(ns));
    }

    /// Sets the speed.
    pub fn set_speed(&self, speed: Speed) {
        self.clock.send_modify(|clock| clock.set_speed(speed));
    }

    /// Sets the next higher speed: 1/8, 1/4, 1/2, 1, 2, 4, 8, 16 times, or maximum.
    pub fn faster(&self) {
        self.clock.send_modify(|clock| clock.set_speed(clock.speed.faster()));
    }

    /// Sets the next lower speed; see [`Self::faster`].
    pub fn slower(&self) {
        self.clock.send_modify(|clock| clock.set_speed(clock.speed.slower()));
    }

    /// Adds a camera, until the returned value is dropped.
    pub(crate) fn join(&self) -> CameraPlayback {
        let mut cursor = PlaybackCursor::default();
        self.clock.send_modify(|clock| cursor = clock.join());
        CameraPlayback { playback: self.clone(), cursor, changes: self.clock.subscribe(), later_ns: 0 }
    }
}

/// One camera of a playback.
#[derive(Debug)]
pub(crate) struct CameraPlayback {
    playback: Playback,
    cursor: PlaybackCursor,
    changes: watch::Receiver<PlaybackClock>,
    /// Time from the start of the playback's recordings to the start of this one, if they start together.
    later_ns: i64,
}

impl CameraPlayback {
    /// Extends the span of the playback by this first and last time.
    pub(crate) fn include(&mut self, (first_ns, last_ns): (i64, i64)) {
        self.playback.clock.send_modify(|clock| {
            self.later_ns = clock.common_start.map_or(0, |start_ns| first_ns.saturating_sub(start_ns));
            clock.include((first_ns.saturating_sub(self.later_ns), last_ns.saturating_sub(self.later_ns)));
        });
    }

    /// Returns the target in the time of this camera's recording.
    fn own(&self, target: SeekTarget) -> SeekTarget {
        match target {
            SeekTarget::From(RECORDING_START) | SeekTarget::BackTo(RECORDING_START) | SeekTarget::Back => target,
            SeekTarget::From(ns) => SeekTarget::From(ns.saturating_add(self.later_ns)),
            SeekTarget::BackTo(ns) => SeekTarget::BackTo(ns.saturating_add(self.later_ns)),
        }
    }

    /// Reports the frames around the target of the last seek, as times of this camera's recording.
    pub(crate) fn report(&mut self, around: FramesAround) {
        let shared = |ns: i64| ns.saturating_sub(self.later_ns);
        let around = FramesAround { before: around.before.map(shared), after: around.after.map(shared) };
        self.with_clock(|clock, cursor| clock.report(cursor, around));
    }

    /// Returns where this camera continues after a seek, as a time of its recording.
    pub(crate) fn arrival(&mut self) -> Arrival {
        match self.with_clock(PlaybackClock::arrival) {
            Arrival::At(at_ns) => Arrival::At(at_ns.map(|ns| ns.saturating_add(self.later_ns))),
            Arrival::Seek(target) => Arrival::Seek(self.own(target)),
            Arrival::Wait => Arrival::Wait,
        }
    }

    /// Takes part in a seek or step without a frame.
    pub(crate) fn pass(&mut self) {
        self.with_clock(PlaybackClock::pass);
    }

    /// Time of the playback after its start, for a time of this camera's recording.
    pub(crate) fn after_start(&self, ns: i64) -> Duration {
        let start_ns = self.playback.clock.borrow().span.map_or(ns, |(first, _)| first.saturating_add(self.later_ns));
        Duration::from_nanos(u64::try_from(ns.saturating_sub(start_ns)).unwrap_or(0))
    }

    /// Returns whether a frame of this camera is more than a moment before the position of the playback.
    pub(crate) fn is_before(&self, arrived_ns: i64) -> bool {
        let position = self.playback.clock.borrow().position;
        position.is_some_and(|ns| ns.saturating_sub(arrived_ns.saturating_sub(self.later_ns)) > MOMENT_NS)
    }

    /// Returns whether a frame of this camera is more than a moment after the position of the playback.
    pub(crate) fn is_later(&self, arrived_ns: i64) -> bool {
        let clock = self.playback.clock.borrow();
        let position = clock.position.or(clock.span.map(|(first, _)| first));
        position.is_some_and(|ns| arrived_ns.saturating_sub(self.later_ns).saturating_sub(ns) > MOMENT_NS)
    }

    /// Present time in nanoseconds since the playback was created.
    pub(crate) fn now_ns(&self) -> u64 {
        // Overflows after 584 years.
        u64::try_from(self.playback.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Converts a present time for use with timers. Clamps it to one year from now, since timers overflow.
    pub(crate) fn instant(&self, ns: u64) -> Instant {
        const YEAR_NS: u64 = 365 * 86_400 * 1_000_000_000;
        self.playback.origin + Duration::from_nanos(ns.min(self.now_ns().saturating_add(YEAR_NS)))
    }

    /// Notes whether the next frame is after a gap: it is not waited for longer than 2 s.
    pub(crate) fn after_gap(&mut self, after_gap: bool) {
        self.cursor.after_gap = after_gap;
    }

    /// Returns the speed.
    pub(crate) fn speed(&self) -> Speed {
        self.playback.clock.borrow().speed
    }

    /// Returns when the next frame is due. `arrived_ns` is its time in the recording.
    pub(crate) fn due(&mut self, arrived_ns: i64, now_ns: u64) -> Due {
        let arrived_ns = arrived_ns.saturating_sub(self.later_ns);
        match self.with_clock(|clock, cursor| clock.due(cursor, arrived_ns, now_ns)) {
            Due::Seek(target) => Due::Seek(self.own(target)),
            due => due,
        }
    }

    /// Returns what to do without a next frame.
    pub(crate) fn end(&mut self) -> AtEnd {
        match self.with_clock(PlaybackClock::end) {
            AtEnd::Seek(target) => AtEnd::Seek(self.own(target)),
            end => end,
        }
    }

    /// Waits until the playback has changed since the last call of [`Self::due`] or [`Self::end`].
    pub(crate) async fn changed(&mut self) {
        // Cannot fail, because `playback` holds a sender.
        let _ = self.changes.changed().await;
    }

    fn with_clock<R>(&mut self, call: impl FnOnce(&mut PlaybackClock, &mut PlaybackCursor) -> R) -> R {
        self.changes.mark_unchanged();
        let (cursor, mut result) = (&mut self.cursor, None);
        // Other cameras wait for a seek, for a gap that is skipped, or for a camera at its end, and while paused for the next
        // frames of all, and not for a delivered frame.
        let waited_for = |clock: &PlaybackClock| {
            (clock.seeks, clock.anchor, clock.ended, clock.reported, if clock.paused { clock.next.len() } else { 0 })
        };
        self.playback.clock.send_if_modified(|clock| {
            let before = waited_for(clock);
            result = Some(call(clock, cursor));
            waited_for(clock) != before
        });
        result.expect("`send_if_modified` calls the closure")
    }
}

impl Drop for CameraPlayback {
    fn drop(&mut self) {
        let cursor = self.cursor;
        self.playback.clock.send_modify(|clock| clock.leave(cursor));
    }
}

#[cfg(test)]
mod tests {
    use super::SeekTarget::{Back, BackTo, From};
    use super::*;

    const MS: i64 = 1_000_000;

    fn ms(ms: u64) -> u64 {
        ms * 1_000_000
    }

    fn clock(speed: Speed) -> (PlaybackClock, PlaybackCursor) {
        let mut clock = PlaybackClock::new(speed, false);
        clock.include((0, 1000 * MS));
        let cursor = clock.join();
        (clock, cursor)
    }

    #[test]
    fn a_gap_is_skipped_after_two_seconds() {
        let mut clock = PlaybackClock::new(Speed::default(), false);
        let mut cursor = clock.join();
        assert_eq!(clock.due(&mut cursor, 0, 0), Due::Now);
        let hour = 3_600_000 * MS;
        assert_eq!(clock.due(&mut cursor, hour, ms(10)), Due::At(ms(3_600_000)), "a slow camera in one file");
        cursor.after_gap = true;
        assert_eq!(clock.due(&mut cursor, 1500 * MS, ms(10)), Due::At(ms(1500)));
        assert_eq!(clock.due(&mut cursor, hour, ms(10)), Due::Skip(ms(2000)));
        assert_eq!(clock.due(&mut cursor, hour, ms(2000)), Due::Now);
        cursor.after_gap = false;
        assert_eq!(clock.due(&mut cursor, hour + 40 * MS, ms(2000)), Due::At(ms(2040)));
    }

    #[test]
    fn a_gap_of_one_camera_is_not_skipped_while_another_has_frames() {
        let mut clock = PlaybackClock::new(Speed::default(), false);
        clock.include((0, 7_200_000 * MS));
        let (mut off, mut on) = (clock.join(), clock.join());
        assert_eq!((clock.due(&mut off, 0, 0), clock.due(&mut on, 0, 0)), (Due::Now, Due::Now));
        let hour = 3_600_000 * MS;
        off.after_gap = true;
        // The next frame of the other camera is not known yet, or is earlier.
        assert_eq!(clock.due(&mut off, hour, ms(5000)), Due::At(ms(5200)));
        assert_eq!(clock.due(&mut on, 30_000 * MS, ms(5000)), Due::At(ms(30_000)));
        assert_eq!(clock.due(&mut off, hour, ms(5000)), Due::At(ms(5200)));
        assert_eq!(clock.due(&mut on, 30_000 * MS, ms(30_000)), Due::Now);
        // Both are off: the first that is on again is first.
        on.after_gap = true;
        assert_eq!(clock.due(&mut on, hour + 1000 * MS, ms(30_000)), Due::At(ms(32_000)));
        assert_eq!(clock.due(&mut off, hour, ms(30_000)), Due::Skip(ms(32_000)));
        assert_eq!(clock.due(&mut off, hour, ms(32_000)), Due::Now);
        assert_eq!(clock.due(&mut on, hour + 1000 * MS, ms(32_000)), Due::At(ms(33_000)));
    }

    #[test]
    fn speeds_are_parsed_and_printed() {
        for (text, speed) in [("1", Speed::Times(1.0)), ("0.25x", Speed::Times(0.25)), ("max", Speed::Max)] {
            assert_eq!(text.parse(), Ok(speed), "{text}");
            assert_eq!(speed.to_string().parse(), Ok(speed), "{text}");
        }
        for wrong in ["", "x", "0", "-1", "nan", "inf", "1e9", "fast"] {
            assert_eq!(wrong.parse::<Speed>(), Err("expected 0.001 to 1000 times, or max".to_owned()), "{wrong}");
        }
        assert_eq!([Speed::Times(1.0).faster(), Speed::Times(3.0).faster()], [Speed::Times(2.0), Speed::Times(4.0)]);
        assert_eq!([Speed::Times(99.0).faster(), Speed::Max.faster()], [Speed::Max; 2]);
        assert_eq!([Speed::Max.slower(), Speed::Times(1.0).slower()], [Speed::Times(16.0), Speed::Times(0.5)]);
        assert_eq!(Speed::Times(0.01).slower(), Speed::Times(0.125), "the slowest step");
    }

    #[test]
    fn frames_are_due_at_their_recorded_intervals() {
        for (speed, times) in [(Speed::Times(1.0), 1), (Speed::Times(4.0), 4)] {
            let (mut clock, mut cursor) = clock(speed);
            assert_eq!(clock.due(&mut cursor, 100 * MS, ms(7000)), Due::Now);
            assert_eq!(clock.due(&mut cursor, 140 * MS, ms(7001)), Due::At(ms(7000 + 40 / times)));
            assert_eq!(clock.due(&mut cursor, 140 * MS, ms(7000 + 40 / times)), Due::Now);
            // Delivered late, which does not delay the next frame.
            assert_eq!(clock.due(&mut cursor, 180 * MS, ms(7000 + 100 / times)), Due::Now);
            assert_eq!(clock.due(&mut cursor, 220 * MS, ms(7000 + 100 / times)), Due::At(ms(7000 + 120 / times)));
        }
        let (mut clock, mut cursor) = clock(Speed::Max);
        assert!((0..100).all(|i| clock.due(&mut cursor, i * 1000 * MS, 5) == Due::Now));
    }

    #[test]
    fn long_delay_restarts_the_clock() {
        let (mut clock, mut cursor) = clock(Speed::Times(1.0));
        assert_eq!(clock.due(&mut cursor, 0, 0), Due::Now);
        assert_eq!(clock.due(&mut cursor, 40 * MS, ms(3000)), Due::Now);
        assert_eq!(clock.due(&mut cursor, 80 * MS, ms(3000)), Due::At(ms(3040)));
    }

    #[test]
    fn frame_after_a_clock_set_back_is_due_at_once() {
        let (mut clock, mut cursor) = clock(Speed::Times(1.0));
        assert_eq!(clock.due(&mut cursor, 500 * MS, 0), Due::Now);
        assert_eq!(clock.due(&mut cursor, 100 * MS, ms(1)), Due::Now);
    }

    #[test]
    fn paused_playback_delivers_one_frame_per_step() {
        let (mut clock, mut cursor) = clock(Speed::Times(1.0));
        assert_eq!(clock.due(&mut cursor, 0, 0), Due::Now);
        clock.pause(true);
        assert_eq!(clock.due(&mut cursor, 40 * MS, ms(900)), Due::Paused);
        clock.steps += 1;
        assert_eq!(clock.due(&mut cursor, 40 * MS, ms(900)), Due::Now);
        assert_eq!(clock.due(&mut cursor, 80 * MS, ms(900)), Due::Paused);
        assert_eq!(clock.position, Some(40 * MS));
        clock.pause(false);
        assert_eq!(clock.due(&mut cursor, 80 * MS, ms(5000)), Due::At(ms(5040)), "40 ms after the last frame");
        // A new speed applies from the present on.
        clock.set_speed(Speed::Times(2.0));
        assert_eq!(clock.due(&mut cursor, 80 * MS, ms(5010)), Due::At(ms(5030)));
    }

    #[test]
    fn seek_delivers_one_frame_at_once_even_while_paused() {
        let (mut clock, mut cursor) = clock(Speed::Times(1.0));
        assert_eq!(clock.due(&mut cursor, 0, 0), Due::Now);
        clock.seek_by(500 * MS);
        assert_eq!(clock.due(&mut cursor, 40 * MS, ms(1)), Due::Seek(From(500 * MS)));
        assert_eq!(clock.due(&mut cursor, 510 * MS, ms(2)), Due::Now);
        assert_eq!(clock.due(&mut cursor, 550 * MS, ms(2)), Due::At(ms(42)));
        clock.pause(true);
        clock.seek_by(-10_000 * MS);
        assert_eq!(clock.position, Some(0), "clamped to the beginning");
        assert_eq!(clock.due(&mut cursor, 550 * MS, ms(9)), Due::Seek(BackTo(0)));
        assert_eq!(clock.due(&mut cursor, 0, ms(9)), Due::Now);
        assert_eq!(clock.due(&mut cursor, 40 * MS, ms(9)), Due::Paused);
        clock.seek(i64::MAX);
        assert_eq!(clock.position, Some(1000 * MS), "clamped to the end");
    }

    #[test]
    fn step_back_delivers_one_frame_of_each_camera() {
        let mut clock = PlaybackClock::new(Speed::Times(1.0), false);
        let (mut left, mut right) = (clock.join(), clock.join());
        clock.pause(true);
        clock.step_back();
        assert_eq!([clock.due(&mut left, 0, 0), clock.due(&mut right, 10 * MS, 0)], [Due::Paused; 2], "none was shown");
        clock.steps += 1;
        // A camera waits until the next frames of all are known.
        assert_eq!([clock.due(&mut left, 40 * MS, 0), clock.due(&mut right, 50 * MS, 0)], [Due::Now, Due::Paused]);
        assert_eq!([clock.due(&mut left, 80 * MS, 0), clock.due(&mut right, 50 * MS, 0)], [Due::Paused, Due::Now]);
        clock.step_back();
        assert_eq!([clock.due(&mut left, 80 * MS, 0), clock.due(&mut right, 90 * MS, 0)], [Due::Seek(Back); 2]);
        assert_eq!([clock.due(&mut left, 0, 0), clock.due(&mut right, 10 * MS, 0)], [Due::Paused, Due::Now]);
        assert_eq!([clock.due(&mut right, 50 * MS, 0), clock.due(&mut left, 0, 0)], [Due::Paused, Due::Now]);
        assert_eq!([clock.due(&mut left, 40 * MS, 0), clock.due(&mut right, 50 * MS, 0)], [Due::Paused; 2]);
        assert_eq!(clock.end(&mut left), AtEnd::Wait);
        clock.step_back();
        assert_eq!(clock.end(&mut left), AtEnd::Seek(Back), "from the end too");
    }

    #[test]
    fn cameras_agree_where_a_seek_leads() {
        const S: i64 = 1000 * MS;
        let around = |before: Option<i64>, after: Option<i64>| FramesAround { before, after };
        // Each pair: the frames of two cameras around the target of 10 s.
        let (gap, near) =
            ([around(Some(2 * S), Some(15 * S)), around(Some(3 * S), None)], around(None, Some(10_400 * MS)));
        let cases: [(SeekTarget, [FramesAround; 2], Option<i64>); 6] = [
            (From(10 * S), [gap[0], near], Some(10_400 * MS)),
            (BackTo(10 * S), [gap[0], near], Some(10_400 * MS)),
            (From(10 * S), gap, Some(15 * S)),
            (BackTo(10 * S), gap, Some(3 * S)),
            (From(10 * S), [around(Some(2 * S), None), around(Some(3 * S), None)], Some(3 * S)),
            (Back, [around(None, None); 2], None),
        ];
        for (target, found, expected) in cases {
            let mut clock = PlaybackClock::new(Speed::Times(1.0), false);
            let mut cameras = [clock.join(), clock.join()];
            clock.jump(target);
            for (camera, found) in cameras.iter_mut().zip(found) {
                assert_eq!(clock.arrival(camera), Arrival::Seek(target));
                assert_eq!(clock.arrival(camera), Arrival::Wait);
                clock.report(camera, found);
            }
            assert_eq!(clock.arrival(&mut cameras[0]), Arrival::At(expected), "{target:?} {found:?}");
            assert_eq!(clock.position, expected);
            // A camera that is closed is not waited for.
            clock.jump(target);
            let [mut left, right] = cameras;
            assert_eq!(clock.arrival(&mut left), Arrival::Seek(target));
            clock.report(&mut left, found[0]);
            assert_eq!(clock.arrival(&mut left), Arrival::Wait);
            clock.leave(right);
            assert!(matches!(clock.arrival(&mut left), Arrival::At(_)));
        }
    }

    #[test]
    fn a_step_does_not_show_frames_after_a_gap_of_one_camera() {
        let mut clock = PlaybackClock::new(Speed::Times(1.0), false);
        let (mut left, mut right) = (clock.join(), clock.join());
        clock.pause(true);
        clock.steps = 2;
        assert_eq!(clock.due(&mut left, 20_000 * MS, 0), Due::Paused, "the other camera has not read its frame");
        assert_eq!([clock.due(&mut right, 40 * MS, 0), clock.due(&mut right, 80 * MS, 0)], [Due::Now, Due::Now]);
        assert_eq!(clock.due(&mut right, 120 * MS, 0), Due::Paused);
        assert_eq!([clock.due(&mut left, 20_000 * MS, 0), clock.due(&mut left, 20_000 * MS, 0)], [Due::Paused; 2]);
        assert_eq!(clock.position, Some(80 * MS));
        // After the end of the other camera it is the next frame.
        clock.steps += 1;
        assert_eq!([clock.due(&mut right, 120 * MS, 0)], [Due::Now]);
        assert_eq!(clock.end(&mut right), AtEnd::Wait);
        clock.steps += 1;
        clock.due(&mut left, 20_000 * MS, 0);
        assert_eq!(clock.position, Some(20_000 * MS));
    }

    #[test]
    fn a_recording_that_begins_later_waits_although_it_is_opened_first() {
        let mut clock = PlaybackClock::new(Speed::Times(1.0), false);
        clock.include((0, 50_000 * MS));
        let (mut later, mut first) = (clock.join(), clock.join());
        assert_eq!(clock.due(&mut later, 40_000 * MS, ms(1)), Due::At(ms(40_001)));
        assert_eq!(clock.due(&mut first, 0, ms(2)), Due::Now);
        // Long after the last frame, from the end and after a pause.
        assert_eq!(clock.end(&mut first), AtEnd::Stop);
        clock.seek(0);
        assert_eq!(clock.due(&mut later, 40_000 * MS, ms(60_000)), Due::Seek(From(0)));
        assert_eq!(clock.end(&mut first), AtEnd::Seek(From(0)));
        clock.report(&mut later, FramesAround { before: None, after: Some(40_000 * MS) });
        clock.report(&mut first, FramesAround { before: None, after: Some(0) });
        assert_eq!(clock.arrival(&mut later), Arrival::At(Some(0)));
        later.after_gap = true;
        assert!(matches!(clock.due(&mut later, 40_000 * MS, ms(60_001)), Due::At(_)));
        assert_eq!(clock.due(&mut first, 0, ms(60_002)), Due::Now);
        clock.pause(true);
        clock.pause(false);
        assert!(matches!(clock.due(&mut later, 40_000 * MS, ms(90_000)), Due::At(_)));
        assert!(matches!(clock.due(&mut first, 40 * MS, ms(90_000)), Due::At(_)));
    }

    #[test]
    fn playback_stops_at_the_end_unless_it_waits_for_a_seek() {
        let (mut clock, mut cursor) = clock(Speed::Max);
        assert_eq!(clock.end(&mut cursor), AtEnd::Stop);
        clock.waits_at_end = true;
        assert_eq!(clock.end(&mut cursor), AtEnd::Wait);
        clock.seek(0);
        assert_eq!(clock.end(&mut cursor), AtEnd::Seek(From(0)));
        assert_eq!(clock.ended, 0);
    }

    #[test]
    fn cameras_of_one_recording_stay_synchronized() {
        let mut clock = PlaybackClock::new(Speed::Times(1.0), true);
        let (mut left, mut right) = (clock.join(), clock.join());
        assert_eq!(clock.due(&mut left, 100 * MS, ms(1000)), Due::Now);
        assert_eq!(clock.due(&mut right, 120 * MS, ms(1001)), Due::At(ms(1020)));
        assert_eq!(clock.due(&mut right, 120 * MS, ms(1020)), Due::Now);
        assert_eq!(clock.end(&mut left), AtEnd::Wait, "the other camera is not at its end");
        assert_eq!(clock.end(&mut right), AtEnd::Seek(From(RECORDING_START)));
        assert_eq!(clock.end(&mut left), AtEnd::Seek(From(RECORDING_START)));
        // The other camera repeats alone after one has left.
        clock.leave(left);
        assert_eq!(clock.due(&mut right, 120 * MS, ms(1021)), Due::Now);
        assert_eq!(clock.end(&mut right), AtEnd::Seek(From(RECORDING_START)));
    }

    #[test]
    fn empty_recording_is_not_repeated() {
        let mut clock = PlaybackClock::new(Speed::Max, true);
        let mut cursor = clock.join();
        assert_eq!(clock.end(&mut cursor), AtEnd::Stop);
    }

    #[test]
    fn step_over_the_end_of_a_loop_shows_the_first_frame() {
        let (mut clock, mut cursor) = clock(Speed::Times(1.0));
        clock.looped = true;
        assert_eq!(clock.due(&mut cursor, 0, 0), Due::Now);
        clock.pause(true);
        clock.steps += 1;
        assert_eq!(clock.end(&mut cursor), AtEnd::Seek(From(RECORDING_START)));
        assert_eq!(clock.due(&mut cursor, 0, 0), Due::Now);
        assert_eq!(clock.due(&mut cursor, 40 * MS, 0), Due::Paused);
    }

    #[test]
    fn a_loop_that_is_paused_stays_at_its_end() {
        let (mut clock, mut long) = clock(Speed::Times(1.0));
        clock.looped = true;
        let mut short = clock.join();
        assert_eq!(clock.due(&mut short, 0, 0), Due::Now);
        clock.pause(true);
        clock.seek(i64::MAX);
        for cursor in [&mut short, &mut long] {
            assert_eq!(clock.due(cursor, 0, 0), Due::Seek(From(1000 * MS)));
        }
        assert_eq!(clock.end(&mut short), AtEnd::Wait, "the other camera is not at its end");
        assert_eq!(clock.due(&mut long, 1000 * MS, 0), Due::Now);
        // Each wakes the other.
        for _ in 0..2 {
            assert_eq!((clock.end(&mut long), clock.end(&mut short)), (AtEnd::Wait, AtEnd::Wait), "paused at the end");
        }
        assert_eq!(clock.position, Some(1000 * MS));
        clock.pause(false);
        assert_eq!(clock.end(&mut short), AtEnd::Seek(From(RECORDING_START)));
        assert_eq!(clock.end(&mut long), AtEnd::Seek(From(RECORDING_START)));
    }

    #[test]
    fn recordings_of_different_days_start_together() {
        const DAY: i64 = 86_400_000 * MS;
        let playback = Playback::new(Speed::Times(1.0), false).waiting_at_end().starting_together(100 * MS);
        let (mut today, mut later) = (playback.join(), playback.join());
        today.include((100 * MS, 900 * MS));
        later.include((100 * MS + DAY, 700 * MS + DAY));
        assert_eq!(playback.status().span_ns, Some((100 * MS, 900 * MS)));
        assert_eq!(today.due(100 * MS, 0), Due::Now);
        assert_eq!(later.due(140 * MS + DAY, 0), Due::At(ms(40)));
        playback.seek(500 * MS);
        assert_eq!(today.due(140 * MS, ms(1)), Due::Seek(From(500 * MS)));
        assert_eq!(later.due(140 * MS + DAY, ms(1)), Due::Seek(From(500 * MS + DAY)));
        playback.seek(i64::MIN);
        assert_eq!(later.end(), AtEnd::Seek(From(100 * MS + DAY)));
    }

    #[test]
    fn status_reports_position_pause_and_end() {
        let playback = Playback::new(Speed::default(), false);
        let mut camera = playback.join();
        camera.include((5, 50));
        assert_eq!(camera.due(7, 0), Due::Now);
        playback.pause(true);
        let status = PlaybackStatus {
            position_ns: Some(7),
            span_ns: Some((5, 50)),
            speed: Speed::Times(1.0),
            paused: true,
            looped: false,
            ended: false,
            together: false,
        };
        assert_eq!(playback.status(), status);
        assert_eq!(status.time_ns(), Some(7));
        assert_eq!(camera.end(), AtEnd::Wait, "paused playback does not end");
        playback.pause(false);
        assert_eq!(camera.end(), AtEnd::Stop);
        assert!(playback.status().ended);
        assert_eq!(playback.status().time_ns(), Some(50), "the timeline is full at the end");
        drop(camera);
        assert!(!playback.status().ended, "no cameras");
    }
}
