//! What silence means, and what to do about trouble: decisions of the supervisor, without a socket or a clock.

use std::collections::VecDeque;
use std::time::Duration;

use crate::wire::{Event, SkipReason};

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For an answer to the attempt to connect.
    pub connect: Duration,
    /// For the first frame on a new connection, before it counts as silent (wire.md 4.11).
    pub first_byte: Duration,
    /// Without a byte, before a stream counts as stalled; at least five frame times.
    pub stalled: Duration,
    /// Without a byte, before the connection is given up; at least ten frame times (wire.md 4.12).
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            first_byte: Duration::from_secs(4),
            stalled: Duration::from_millis(500),
            idle: Duration::from_secs(2),
        }
    }
}

/// Assumed until the camera's rhythm is known.
const USUAL_FRAME_TIME: Duration = Duration::from_millis(40);

/// A camera is neither faster nor slower than this, as far as waiting for it is concerned.
const FRAME_TIMES: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(2);

/// What the silence on a connection amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Quiet {
    /// It is none.
    No,
    /// Bytes may wait in the kernel below the low-water mark: sink the mark and look.
    Look,
    /// About two frame times: what has arrived is judged as it stands.
    Idle,
    /// The stream stands still.
    Stalled,
    /// Too long.
    Over,
}

/// Watches one connection. Times are nanoseconds on one clock that never goes backwards.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    timeouts: Timeouts,
    frame_time: Duration,
    opened_ns: u64,
    first_byte_ns: Option<u64>,
    last_byte_ns: u64,
    last_frame_ns: Option<u64>,
}

impl Watch {
    pub(super) fn new(timeouts: Timeouts, opened_ns: u64) -> Self {
        Self {
            timeouts,
            frame_time: USUAL_FRAME_TIME,
            opened_ns,
            first_byte_ns: None,
            last_byte_ns: opened_ns,
            last_frame_ns: None,
        }
    }

    pub(super) fn bytes(&mut self, now_ns: u64) {
        self.first_byte_ns.get_or_insert(now_ns);
        self.last_byte_ns = now_ns;
    }

    pub(super) fn frame(&mut self, now_ns: u64, frame_time_us: Option<i64>) {
        self.last_frame_ns = Some(now_ns);
        if let Some(us) = frame_time_us {
            self.frame_time = Duration::from_micros(us.unsigned_abs()).clamp(*FRAME_TIMES.start(), *FRAME_TIMES.end());
        }
    }

    pub(super) fn streams(&self) -> bool {
        self.last_frame_ns.is_some()
    }

    /// How long each degree of silence takes to be reached. The last two need a stream that can fall silent.
    fn steps(&self) -> [(Quiet, Duration); 4] {
        [
            (Quiet::Look, self.frame_time * 3 / 2),
            (Quiet::Idle, self.frame_time * 2),
            (Quiet::Stalled, self.timeouts.stalled.max(self.frame_time * 5)),
            (Quiet::Over, self.timeouts.idle.max(self.frame_time * 10)),
        ]
    }

    /// How silent it is.
    pub(super) fn quiet(&self, now_ns: u64) -> Quiet {
        let quiet = self.silence(now_ns);
        let reached = |(_, after): &&(Quiet, Duration)| quiet >= *after;
        self.steps().iter().filter(reached).map(|(quiet, _)| *quiet).max().unwrap_or(Quiet::No)
    }

    /// When to look at [`Self::quiet`] again, if nothing comes.
    pub(super) fn next_look(&self, now_ns: u64) -> Duration {
        let quiet = self.silence(now_ns);
        let next = self.steps().iter().map(|(_, after)| *after).filter(|after| *after > quiet).min();
        let first = if self.streams() { None } else { Some(self.first_frame_due(now_ns)) };
        let next = next.map_or(self.timeouts.idle, |after| after - quiet);
        // Not a busy loop, whatever the numbers.
        next.min(first.filter(|due| !due.is_zero()).unwrap_or(next)).max(Duration::from_millis(1))
    }

    /// Time without a byte.
    pub(super) fn silence(&self, now_ns: u64) -> Duration {
        Duration::from_nanos(now_ns.saturating_sub(self.last_byte_ns))
    }

    /// Nothing has ever come, for longer than a camera that is free takes to send its first frame.
    pub(super) fn is_silent(&self, now_ns: u64) -> bool {
        self.first_byte_ns.is_none() && self.first_frame_due(now_ns).is_zero()
    }

    /// Bytes came, and no frame among them within the time that the first one may take.
    pub(super) fn first_frame_is_late(&self, now_ns: u64) -> bool {
        self.first_byte_ns.is_some() && !self.streams() && self.first_frame_due(now_ns).is_zero()
    }

    fn first_frame_due(&self, now_ns: u64) -> Duration {
        let since = now_ns.saturating_sub(self.first_byte_ns.unwrap_or(self.opened_ns));
        self.timeouts.first_byte.saturating_sub(Duration::from_nanos(since))
    }

    /// Time without a frame, when that is too long although bytes may flow. For streams that have lost their place.
    pub(super) fn no_frames(&self, now_ns: u64) -> Option<Duration> {
        let since = Duration::from_nanos(now_ns.saturating_sub(self.last_frame_ns?));
        (since >= self.timeouts.idle.max(self.frame_time * 10)).then_some(since)
    }
}

/// How long to wait before the next attempt: no longer than the cause calls for.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    /// A refused attempt costs the camera one packet and us nothing, and a camera that streamed a moment ago is usually
    /// back at once: with this, frames flow again within 100 ms of the port's return.
    pub(super) const QUICK: Duration = Duration::from_millis(50);
    const FIRST: Duration = Duration::from_millis(200);
    const LAST: Duration = Duration::from_secs(5);

    pub(super) const fn new() -> Self {
        Self { next: Self::FIRST }
    }

    /// `quick`: the port refused us, or frames flowed on the connection that ended.
    pub(super) fn delay(&mut self, quick: bool) -> Duration {
        if quick {
            self.next = Self::FIRST;
            return Self::QUICK;
        }
        let delay = self.next;
        self.next = (delay * 2).min(Self::LAST);
        delay
    }
}

/// Decides whether reconnecting is cheaper than searching for the next header again.
///
/// That is so after three losses of frame sync within three seconds with fewer than nine confirmed frames between them:
/// reconnecting costs up to nine stale frames (wire.md sections 2.5 and 5.1).
#[derive(Clone, Debug, Default)]
pub(super) struct Storm {
    /// Time of each of the last losses, and the frames that had been confirmed by then.
    losses: VecDeque<(u64, u64)>,
    confirmed: u64,
    /// Sync was lost and no frame has followed yet.
    lost: bool,
}

impl Storm {
    pub(super) const FAILURES: u32 = 3;
    const WITHIN_NS: u64 = 3_000_000_000;
    const CHEAPER_THAN_FRAMES: u64 = 9;

    /// Takes note of an event, and returns whether to reconnect.
    pub(super) fn observe(&mut self, event: &Event, now_ns: u64) -> bool {
        match event {
            Event::Frame(_) => self.lost = false,
            Event::Confirmed(_) => self.confirmed += 1,
            // A record of an unknown kind stands where a record may stand: sync is not lost.
            Event::Skipped(skipped) if skipped.reason != SkipReason::ForeignRecord => {
                return !std::mem::replace(&mut self.lost, true) && self.sync_lost(now_ns);
            }
            Event::Skipped(_) | Event::Withdrawn(..) | Event::Lost(_) | Event::BadDetections(_) | Event::Record(_) => {}
        }
        false
    }

    fn sync_lost(&mut self, now_ns: u64) -> bool {
        if self.losses.len() == Self::FAILURES as usize {
            self.losses.pop_front();
        }
        self.losses.push_back((now_ns, self.confirmed));
        self.losses.len() == Self::FAILURES as usize
            && self.losses.front().is_some_and(|(ns, confirmed)| {
                now_ns.saturating_sub(*ns) <= Self::WITHIN_NS && self.confirmed - confirmed < Self::CHEAPER_THAN_FRAMES
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Skipped;

    const MS: u64 = 1_000_000;

    fn streaming(frame_time_us: i64) -> Watch {
        let mut watch = Watch::new(Timeouts::default(), 0);
        watch.bytes(MS);
        watch.frame(MS, Some(frame_time_us));
        watch
    }

    #[test]
    fn silence_by_degrees() {
        let watch = streaming(25_000);
        for (ms, quiet) in [
            (0, Quiet::No),
            (37, Quiet::No),
            (38, Quiet::Look),
            (50, Quiet::Idle),
            (499, Quiet::Idle),
            (500, Quiet::Stalled),
            (2000, Quiet::Over),
        ] {
            assert_eq!(watch.quiet(MS + ms * MS), quiet, "after {ms} ms");
        }
        let slow = streaming(1_000_000);
        for (ms, quiet) in [
            (1400, Quiet::No),
            (2000, Quiet::Idle),
            (5000, Quiet::Stalled),
            (9999, Quiet::Stalled),
            (10_000, Quiet::Over),
        ] {
            assert_eq!(slow.quiet(MS + ms * MS), quiet, "one frame a second, after {ms} ms");
        }
    }

    /// Following `next_look` meets every degree within a millisecond of its time, and never runs in circles.
    #[test]
    fn looking_when_told_to_misses_nothing() {
        for watch in [streaming(25_000), streaming(1_000_000), streaming(1), Watch::new(Timeouts::default(), 0)] {
            let (mut now, mut looks, mut met) = (MS, 0, vec![]);
            while now < 12_000 * MS {
                let quiet = watch.quiet(now);
                if met.last() != Some(&quiet) {
                    met.push(quiet);
                }
                now += u64::try_from(watch.next_look(now).as_nanos()).unwrap();
                looks += 1;
            }
            assert_eq!(met, [Quiet::No, Quiet::Look, Quiet::Idle, Quiet::Stalled, Quiet::Over]);
            assert!(looks < 20, "{looks} looks");
        }
    }

    #[test]
    fn a_camera_that_says_nothing_is_silent_and_one_that_says_no_frame_is_late() {
        let mut watch = Watch::new(Timeouts::default(), 0);
        assert!(!watch.is_silent(3_999 * MS));
        assert!(watch.is_silent(4_000 * MS) && !watch.first_frame_is_late(4_000 * MS));
        assert!(watch.next_look(3_900 * MS) <= Duration::from_millis(100));
        watch.bytes(5_000 * MS);
        assert!(!watch.is_silent(9_000 * MS));
        assert!(watch.first_frame_is_late(9_000 * MS) && !watch.first_frame_is_late(8_999 * MS));
        watch.frame(9_000 * MS, None);
        assert!(!watch.first_frame_is_late(20_000 * MS));
    }

    #[test]
    fn back_off_grows_for_hosts_that_are_gone_and_not_for_ports_that_refuse() {
        let mut backoff = Backoff::new();
        let ms: Vec<_> = (0..7).map(|_| backoff.delay(false).as_millis()).collect();
        assert_eq!(ms, [200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!([backoff.delay(true), backoff.delay(true)], [Backoff::QUICK; 2]);
        assert_eq!(backoff.delay(false), Backoff::FIRST, "it was there, so it begins again");
    }

    /// Loses sync at these times in milliseconds, with frames confirmed before each; returns when to reconnect.
    fn storm(losses: impl IntoIterator<Item = (u64, u64)>) -> Vec<bool> {
        let mut storm = Storm::default();
        let loss = |(ms, confirmed)| {
            storm.observe(&Event::Frame(Default::default()), ms * MS);
            assert!(!(0..confirmed).any(|id| storm.observe(&Event::Confirmed(id), ms * MS)));
            let skipped = |at, reason| Event::Skipped(Skipped { at, len: 32, reason, found: [0; 32] });
            assert!(!storm.observe(&skipped(0, SkipReason::ForeignRecord), ms * MS));
            let first = storm.observe(&skipped(32, SkipReason::NotAHeader), ms * MS);
            assert!(!storm.observe(&skipped(64, SkipReason::DamagedFrame), ms * MS), "one loss, in two ranges");
            first
        };
        losses.into_iter().map(loss).collect()
    }

    #[test]
    fn three_losses_in_three_seconds_are_a_storm_and_one_in_a_hundred_frames_is_not() {
        assert_eq!(storm([(0, 0), (1000, 4), (2000, 4)]), [false, false, true]);
        assert!(!storm((0..100).map(|i| (i * 25, 100))).contains(&true));
        assert!(!storm((0..100).map(|i| (i * 1600, 0))).contains(&true), "one in 1.6 s");
    }
}
