//! When the frames of a recording are due, and who may change that: pause, step, seek, speed, loop.
//!
//! `Pace` decides and knows no clock; a [`Playback`] is one that its player and a window share.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// How fast a recording is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// So many times as fast as it was recorded.
    Times(f64),
    /// As fast as somebody takes the frames.
    Max,
}

impl Speed {
    /// What the keys for faster and slower go through.
    const STEPS: [Self; 9] = [
        Self::Times(0.125),
        Self::Times(0.25),
        Self::Times(0.5),
        Self::Times(1.0),
        Self::Times(2.0),
        Self::Times(4.0),
        Self::Times(8.0),
        Self::Times(16.0),
        Self::Max,
    ];

    /// Slower shows nothing that happens, and faster is [`Self::Max`] on every machine.
    const RANGE: std::ops::RangeInclusive<f64> = 0.001..=1000.0;

    fn factor(self) -> f64 {
        match self {
            Self::Times(times) => times,
            Self::Max => f64::INFINITY,
        }
    }

    fn faster(self) -> Self {
        Self::STEPS.into_iter().find(|step| step.factor() > self.factor()).unwrap_or(Self::Max)
    }

    fn slower(self) -> Self {
        Self::STEPS.into_iter().rev().find(|step| step.factor() < self.factor()).unwrap_or(Self::STEPS[0])
    }
}

impl Default for Speed {
    fn default() -> Self {
        Self::Times(1.0)
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(times) => times.fmt(f),
            Self::Max => f.write_str("max"),
        }
    }
}

impl FromStr for Speed {
    /// What was expected instead.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times = text.strip_suffix('x').unwrap_or(text).parse().ok().filter(|times| Self::RANGE.contains(times));
        let expected = || format!("expected {} to {} times, or max", Self::RANGE.start(), Self::RANGE.end());
        times.map(Self::Times).ok_or_else(expected)
    }
}

/// A lag up to this is caught up with, so that the pace does not drift; after a longer one the clock starts anew.
const CAUGHT_UP_NS: u64 = 250_000_000;

/// The beginning of a recording, whenever that is.
pub(crate) const BEGINNING: i64 = i64::MIN;

/// One camera's place in a playback that several may share.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    seeks: u64,
    steps: u64,
    ended: bool,
}

/// When a frame is to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Now: it counts as delivered.
    Now,
    /// At this moment of the present, unless something changes before.
    At(u64),
    /// Not before something changes.
    Held,
    /// Not at all: the first frame that arrived at this time or later is next.
    Seek(i64),
}

/// What the end of the recording means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// That was it.
    Over,
    /// Wait: others are not there yet, or somebody may still seek.
    Held,
    /// Go on with the first frame that arrived at this time or later.
    Seek(i64),
}

/// When frames are due. Times of the recording are nanoseconds since 1970; those of the present are nanoseconds on one
/// clock that never goes backwards.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    speed: Speed,
    paused: bool,
    looped: bool,
    /// At the end of the recording a seek is waited for.
    holds: bool,
    /// This moment of the recording is that moment of the present.
    anchor: Option<(i64, u64)>,
    /// What was delivered last, unless what follows it is due at once.
    last: Option<i64>,
    /// Where it stands, to be shown.
    position: Option<i64>,
    span: Option<(i64, i64)>,
    /// Counted up for each seek, and where to.
    seeks: u64,
    target: i64,
    /// Counted up for each frame that every camera may show while paused, and what it was at the last seek.
    steps: u64,
    steps_before: u64,
    /// Cameras that take part, those of them that are at the end, and frames since the beginning or the last seek.
    players: usize,
    ended: usize,
    frames: u64,
}

impl Pace {
    pub(crate) fn new(speed: Speed, looped: bool) -> Self {
        Self { speed, looped, ..Self::default() }
    }

    /// One more camera takes part.
    fn join(&mut self) -> Cursor {
        self.players += 1;
        Cursor { seeks: 0, steps: self.steps, ended: false }
    }

    fn leave(&mut self, cursor: Cursor) {
        self.players -= 1;
        self.ended -= usize::from(cursor.ended && cursor.seeks == self.seeks);
    }

    /// When the next frame of a camera, which arrived then, is due.
    fn due(&mut self, cursor: &mut Cursor, arrived_ns: i64, now_ns: u64) -> Due {
        if let Some(target) = self.sought(cursor) {
            return Due::Seek(target);
        }
        if self.paused {
            if cursor.steps == self.steps {
                return Due::Held;
            }
            cursor.steps += 1;
            return self.now(arrived_ns);
        }
        cursor.steps = self.steps;
        let Speed::Times(speed) = self.speed else { return self.now(arrived_ns) };
        let (from_ns, from_now_ns) = *self.anchor.get_or_insert((self.last.unwrap_or(arrived_ns), now_ns));
        // A time before that one is due at once: several cameras share a clock, and the host's clock can have been set.
        let after_ns = (arrived_ns.saturating_sub(from_ns).max(0) as f64 / speed) as u64;
        let due_ns = from_now_ns.saturating_add(after_ns);
        if due_ns > now_ns {
            return Due::At(due_ns);
        }
        if now_ns - due_ns > CAUGHT_UP_NS {
            self.anchor = Some((arrived_ns, now_ns));
        }
        self.now(arrived_ns)
    }

    fn now(&mut self, arrived_ns: i64) -> Due {
        self.last = Some(arrived_ns);
        self.position = Some(arrived_ns);
        self.frames += 1;
        Due::Now
    }

    /// Where a seek that this camera has not followed yet leads to.
    fn sought(&self, cursor: &mut Cursor) -> Option<i64> {
        (cursor.seeks != self.seeks).then(|| {
            *cursor = Cursor { seeks: self.seeks, steps: self.steps_before, ended: false };
            self.target
        })
    }

    /// A camera has no more frames.
    fn end(&mut self, cursor: &mut Cursor) -> End {
        if let Some(target) = self.sought(cursor) {
            return End::Seek(target);
        }
        self.ended += usize::from(!std::mem::replace(&mut cursor.ended, true));
        if self.looped && self.frames > 0 {
            if self.ended < self.players {
                return End::Held;
            }
            self.go(BEGINNING);
            self.steps_before = cursor.steps;
            return self.sought(cursor).map_or(End::Over, End::Seek);
        }
        // Somebody who stepped to the last frame wants to see it.
        if self.holds || self.paused { End::Held } else { End::Over }
    }

    fn go(&mut self, target: i64) {
        self.seeks += 1;
        self.target = target;
        (self.anchor, self.last) = (None, None);
        (self.ended, self.frames) = (0, 0);
    }

    fn seek(&mut self, target: i64) {
        let (first, last) = self.span.unwrap_or((BEGINNING, i64::MAX));
        let target = target.clamp(first, last);
        self.go(target);
        self.position = Some(target).filter(|target| *target != BEGINNING);
        self.steps_before = self.steps;
        // While paused, the frame that was sought is shown.
        self.steps += u64::from(self.paused);
    }

    fn seek_by(&mut self, ns: i64) {
        if let Some(position) = self.position.or(self.span.map(|(first, _)| first)) {
            self.seek(position.saturating_add(ns));
        }
    }

    fn pause(&mut self, paused: bool) {
        self.paused = paused;
        self.anchor = None;
    }

    fn set_speed(&mut self, speed: Speed) {
        self.speed = speed;
        self.anchor = None;
    }

    /// What is to be shown of a recording has these first and last times, beside what was known.
    fn include(&mut self, (first, last): (i64, i64)) {
        self.span = Some(self.span.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
    }
}

/// Where a playback stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// When what is shown had arrived: nanoseconds since 1970, UTC. `None` before the first frame.
    pub position_ns: Option<i64>,
    /// First and last arrival in the recording, as far as that is known.
    pub span_ns: Option<(i64, i64)>,
    /// How fast it is played.
    pub speed: Speed,
    /// Whether it stands still.
    pub paused: bool,
    /// Whether it begins again at the end.
    pub looped: bool,
    /// Whether every camera has come to the end, and nobody has sought back yet.
    pub ended: bool,
}

/// A recording that is played, for those who watch it and those who play it: clones are the same playback. Several
/// cameras of one recording that share a playback keep together.
#[derive(Clone, Debug)]
pub struct Playback {
    pace: Arc<watch::Sender<Pace>>,
    /// Where the clock of the present begins.
    origin: Instant,
}

impl Playback {
    /// Nothing is played yet.
    #[must_use]
    pub fn new(speed: Speed, looped: bool) -> Self {
        Self { pace: Arc::new(watch::Sender::new(Pace::new(speed, looped))), origin: Instant::now() }
    }

    /// It does not end at the end, but waits there for a seek.
    #[must_use]
    pub fn holding(self) -> Self {
        self.pace.send_modify(|pace| pace.holds = true);
        self
    }

    /// Whether this is the same playback.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pace, &other.pace)
    }

    /// Where it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let pace = self.pace.borrow();
        Standing {
            position_ns: pace.position,
            span_ns: pace.span,
            speed: pace.speed,
            paused: pace.paused,
            looped: pace.looped,
            ended: pace.players > 0 && pace.ended == pace.players,
        }
    }

    /// Stands still, or goes on.
    pub fn pause(&self, paused: bool) {
        self.pace.send_modify(|pace| pace.pause(paused));
    }

    /// One more frame of each camera, while paused.
    pub fn step(&self) {
        self.pace.send_modify(|pace| pace.steps += u64::from(pace.paused));
    }

    /// Goes on with what arrived then: nanoseconds since 1970, UTC; not beyond the recording. While paused, that frame
    /// is shown.
    pub fn seek(&self, unix_ns: i64) {
        self.pace.send_modify(|pace| pace.seek(unix_ns));
    }

    /// Seeks from where it stands, so many nanoseconds forwards or backwards.
    pub fn seek_by(&self, ns: i64) {
        self.pace.send_modify(|pace| pace.seek_by(ns));
    }

    /// Plays as fast as that.
    pub fn set_speed(&self, speed: Speed) {
        self.pace.send_modify(|pace| pace.set_speed(speed));
    }

    /// The next higher of the usual speeds.
    pub fn faster(&self) {
        self.pace.send_modify(|pace| pace.set_speed(pace.speed.faster()));
    }

    /// The next lower of the usual speeds.
    pub fn slower(&self) {
        self.pace.send_modify(|pace| pace.set_speed(pace.speed.slower()));
    }

    /// One more camera takes part until what is returned is dropped.
    pub(crate) fn join(&self) -> Part {
        let mut cursor = Cursor::default();
        self.pace.send_modify(|pace| cursor = pace.join());
        Part { playback: self.clone(), cursor, changes: self.pace.subscribe() }
    }
}

/// One camera's part in a playback.
#[derive(Debug)]
pub(crate) struct Part {
    playback: Playback,
    cursor: Cursor,
    changes: watch::Receiver<Pace>,
}

impl Part {
    /// What is to be shown has these first and last times.
    pub(crate) fn include(&self, span_ns: (i64, i64)) {
        self.playback.pace.send_modify(|pace| pace.include(span_ns));
    }

    /// The present.
    pub(crate) fn now_ns(&self) -> u64 {
        // 584 years.
        u64::try_from(self.playback.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A moment of the present, for timers; not further away than those can count.
    pub(crate) fn instant(&self, ns: u64) -> Instant {
        const YEAR_NS: u64 = 365 * 86_400 * 1_000_000_000;
        self.playback.origin + Duration::from_nanos(ns.min(self.now_ns().saturating_add(YEAR_NS)))
    }

    /// When the next frame, which arrived then, is due.
    pub(crate) fn due(&mut self, arrived_ns: i64, now_ns: u64) -> Due {
        self.ask(|pace, cursor| pace.due(cursor, arrived_ns, now_ns))
    }

    /// There is no next frame.
    pub(crate) fn end(&mut self) -> End {
        self.ask(Pace::end)
    }

    /// Waits until something has changed since [`Self::due`] or [`Self::end`] was asked.
    pub(crate) async fn changed(&mut self) {
        // We hold a sender ourselves, so it cannot be gone.
        let _ = self.changes.changed().await;
    }

    fn ask<R>(&mut self, question: impl FnOnce(&mut Pace, &mut Cursor) -> R) -> R {
        self.changes.mark_unchanged();
        let (cursor, mut answer) = (&mut self.cursor, None);
        // A delivered frame is no change that another camera waits for; a new round, or one that is at its end, is.
        self.playback.pace.send_if_modified(|pace| {
            let before = (pace.seeks, pace.ended);
            answer = Some(question(pace, cursor));
            (pace.seeks, pace.ended) != before
        });
        answer.expect("the question is asked at once")
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let cursor = self.cursor;
        self.playback.pace.send_modify(|pace| pace.leave(cursor));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn ms(ms: u64) -> u64 {
        ms * 1_000_000
    }

    fn pace(speed: Speed) -> (Pace, Cursor) {
        let mut pace = Pace::new(speed, false);
        pace.include((0, 1000 * MS));
        let cursor = pace.join();
        (pace, cursor)
    }

    #[test]
    fn speeds_as_people_write_them() {
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
        assert_eq!(Speed::Times(0.01).slower(), Speed::Times(0.125), "the slowest that has a key");
    }

    #[test]
    fn frames_come_as_they_came() {
        for (speed, times) in [(Speed::Times(1.0), 1), (Speed::Times(4.0), 4)] {
            let (mut pace, mut cursor) = pace(speed);
            assert_eq!(pace.due(&mut cursor, 100 * MS, ms(7000)), Due::Now);
            assert_eq!(pace.due(&mut cursor, 140 * MS, ms(7001)), Due::At(ms(7000 + 40 / times)));
            assert_eq!(pace.due(&mut cursor, 140 * MS, ms(7000 + 40 / times)), Due::Now);
            // A little late: the one after it is on time all the same.
            assert_eq!(pace.due(&mut cursor, 180 * MS, ms(7000 + 100 / times)), Due::Now);
            assert_eq!(pace.due(&mut cursor, 220 * MS, ms(7000 + 100 / times)), Due::At(ms(7000 + 120 / times)));
        }
        let (mut pace, mut cursor) = pace(Speed::Max);
        assert!((0..100).all(|i| pace.due(&mut cursor, i * 1000 * MS, 5) == Due::Now));
    }

    #[test]
    fn after_a_long_delay_nothing_is_rushed() {
        let (mut pace, mut cursor) = pace(Speed::Times(1.0));
        assert_eq!(pace.due(&mut cursor, 0, 0), Due::Now);
        assert_eq!(pace.due(&mut cursor, 40 * MS, ms(3000)), Due::Now);
        assert_eq!(pace.due(&mut cursor, 80 * MS, ms(3000)), Due::At(ms(3040)));
    }

    #[test]
    fn a_clock_that_was_set_back_while_recording_holds_nothing_up() {
        let (mut pace, mut cursor) = pace(Speed::Times(1.0));
        assert_eq!(pace.due(&mut cursor, 500 * MS, 0), Due::Now);
        assert_eq!(pace.due(&mut cursor, 100 * MS, ms(1)), Due::Now);
    }

    #[test]
    fn pause_step_and_go_on() {
        let (mut pace, mut cursor) = pace(Speed::Times(1.0));
        assert_eq!(pace.due(&mut cursor, 0, 0), Due::Now);
        pace.pause(true);
        assert_eq!(pace.due(&mut cursor, 40 * MS, ms(900)), Due::Held);
        pace.steps += 1;
        assert_eq!(pace.due(&mut cursor, 40 * MS, ms(900)), Due::Now);
        assert_eq!(pace.due(&mut cursor, 80 * MS, ms(900)), Due::Held);
        assert_eq!(pace.position, Some(40 * MS));
        pace.pause(false);
        assert_eq!(pace.due(&mut cursor, 80 * MS, ms(5000)), Due::At(ms(5040)), "as far from the last as it was");
        // Faster in between: from here on.
        pace.set_speed(Speed::Times(2.0));
        assert_eq!(pace.due(&mut cursor, 80 * MS, ms(5010)), Due::At(ms(5030)));
    }

    #[test]
    fn a_seek_shows_its_frame_at_once_even_while_paused() {
        let (mut pace, mut cursor) = pace(Speed::Times(1.0));
        assert_eq!(pace.due(&mut cursor, 0, 0), Due::Now);
        pace.seek_by(500 * MS);
        assert_eq!(pace.due(&mut cursor, 40 * MS, ms(1)), Due::Seek(500 * MS));
        assert_eq!(pace.due(&mut cursor, 510 * MS, ms(2)), Due::Now);
        assert_eq!(pace.due(&mut cursor, 550 * MS, ms(2)), Due::At(ms(42)));
        pace.pause(true);
        pace.seek_by(-10_000 * MS);
        assert_eq!(pace.position, Some(0), "not before the beginning");
        assert_eq!(pace.due(&mut cursor, 550 * MS, ms(9)), Due::Seek(0));
        assert_eq!(pace.due(&mut cursor, 0, ms(9)), Due::Now);
        assert_eq!(pace.due(&mut cursor, 40 * MS, ms(9)), Due::Held);
        pace.seek(i64::MAX);
        assert_eq!(pace.position, Some(1000 * MS), "nor behind the end");
    }

    #[test]
    fn the_end_is_the_end_unless_somebody_may_seek() {
        let (mut pace, mut cursor) = pace(Speed::Max);
        assert_eq!(pace.end(&mut cursor), End::Over);
        pace.holds = true;
        assert_eq!(pace.end(&mut cursor), End::Held);
        pace.seek(0);
        assert_eq!(pace.end(&mut cursor), End::Seek(0));
        assert_eq!(pace.ended, 0);
    }

    #[test]
    fn cameras_of_one_recording_keep_together() {
        let mut pace = Pace::new(Speed::Times(1.0), true);
        let (mut left, mut right) = (pace.join(), pace.join());
        assert_eq!(pace.due(&mut left, 100 * MS, ms(1000)), Due::Now);
        assert_eq!(pace.due(&mut right, 120 * MS, ms(1001)), Due::At(ms(1020)));
        assert_eq!(pace.due(&mut right, 120 * MS, ms(1020)), Due::Now);
        assert_eq!(pace.end(&mut left), End::Held, "the other one is not there yet");
        assert_eq!(pace.end(&mut right), End::Seek(BEGINNING));
        assert_eq!(pace.end(&mut left), End::Seek(BEGINNING));
        // One leaves: the other goes round alone.
        pace.leave(left);
        assert_eq!(pace.due(&mut right, 120 * MS, ms(1021)), Due::Now);
        assert_eq!(pace.end(&mut right), End::Seek(BEGINNING));
    }

    #[test]
    fn nothing_is_not_played_for_ever() {
        let mut pace = Pace::new(Speed::Max, true);
        let mut cursor = pace.join();
        assert_eq!(pace.end(&mut cursor), End::Over);
    }

    #[test]
    fn stepping_over_the_end_of_a_loop() {
        let (mut pace, mut cursor) = pace(Speed::Times(1.0));
        pace.looped = true;
        assert_eq!(pace.due(&mut cursor, 0, 0), Due::Now);
        pace.pause(true);
        pace.steps += 1;
        assert_eq!(pace.end(&mut cursor), End::Seek(BEGINNING));
        assert_eq!(pace.due(&mut cursor, 0, 0), Due::Now);
        assert_eq!(pace.due(&mut cursor, 40 * MS, 0), Due::Held);
    }

    #[test]
    fn a_shared_playback_tells_where_it_stands() {
        let playback = Playback::new(Speed::default(), false);
        let mut part = playback.join();
        part.include((5, 50));
        assert_eq!(part.due(7, 0), Due::Now);
        playback.pause(true);
        let standing = Standing {
            position_ns: Some(7),
            span_ns: Some((5, 50)),
            speed: Speed::Times(1.0),
            paused: true,
            looped: false,
            ended: false,
        };
        assert_eq!(playback.standing(), standing);
        assert_eq!(part.end(), End::Held, "what is paused does not end");
        playback.pause(false);
        assert_eq!(part.end(), End::Over);
        assert!(playback.standing().ended);
        drop(part);
        assert!(!playback.standing().ended, "nobody plays");
    }
}
