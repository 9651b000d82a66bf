//! The log of a session without frames: each state once, then reminders at growing intervals.
//!
//! A command that only waits must not look as if it hangs, but a camera may be down for days, and forty of them may be.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oaktap::source::SessionState;
use oaktap::sync::locked;
use oaktap::units::{count, rounded_time};
use tokio::time::{Instant, sleep_until};

/// Reminders follow after these times without frames, and then after each further [`INTERVAL_MAX`].
const REMINDERS: [Duration; 4] =
    [Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(600), Duration::from_secs(3600)];
const INTERVAL_MAX: Duration = Duration::from_secs(3600);

/// Ways to end the command.
const ADVICE: &str = "Ctrl-C ends the command; -d TIME ends it after a time, such as -d 30s";

/// The help that has been printed. All sessions of a command share it: forty cameras can be down for one reason.
#[derive(Clone, Debug)]
pub(crate) struct Advised(Arc<Mutex<BTreeSet<String>>>);

/// Most texts of [`Advised`]: one may hold numbers from the network.
const ADVISED_MAX: usize = 64;

/// Most texts of [`Waiting`] without a frame between them: those of a server of HTTP may differ each time.
const LOGGED_MAX: usize = 64;

impl Advised {
    /// `ends`: the command ends by itself after a time.
    pub(crate) fn new(ends: bool) -> Self {
        Self(Arc::new(Mutex::new(ends.then(|| ADVICE.to_owned()).into_iter().collect())))
    }

    /// Adds a help text, and returns whether it is new.
    pub(crate) fn is_new(&self, help: &str) -> bool {
        let mut known = locked(&self.0);
        known.len() < ADVISED_MAX && known.insert(help.to_owned())
    }
}

/// The time without frames of one session.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// `None` while frames arrive.
    since: Option<Instant>,
    next: Instant,
    /// Reminders since then.
    count: usize,
    /// Attempts and connections that failed since then.
    failures: u64,
    /// Texts that were logged since then, without their numbers: one may hold a time.
    logged: BTreeSet<String>,
    advised: Advised,
}

impl Waiting {
    pub(crate) fn new(advised: Advised) -> Self {
        Self { since: None, next: Instant::now(), count: 0, failures: 0, logged: BTreeSet::new(), advised }
    }

    /// Returns the help that has been printed.
    pub(crate) const fn advised(&self) -> &Advised {
        &self.advised
    }

    /// Updates with the state of the session, and returns whether this text about it is new since frames arrived.
    pub(crate) fn observe(&mut self, state: &SessionState, text: &str) -> bool {
        match state {
            SessionState::Streaming => {
                // Frames arrive, so nobody wonders whether the command hangs.
                self.advised.is_new(ADVICE);
                self.since = None;
            }
            // A recording that is played has frames elsewhere, and a camera that sends pictures on events may pause for hours.
            SessionState::Outside(_) | SessionState::Paused | SessionState::Ended { .. } => self.since = None,
            _ if self.since.is_none() => {
                let now = Instant::now();
                (self.since, self.next, self.count, self.failures) = (Some(now), now + REMINDERS[0], 0, 0);
                self.logged.clear();
            }
            _ => {}
        }
        self.failures += u64::from(matches!(state, SessionState::Lost { .. }));
        let mut is_new = || {
            let text = text.chars().filter(|c| !c.is_ascii_digit()).collect();
            self.logged.len() < LOGGED_MAX && self.logged.insert(text)
        };
        self.since.is_none() || is_new()
    }

    /// Waits for the time of the next reminder, and returns it for a session in this state. Never returns while frames
    /// arrive.
    pub(crate) async fn reminder(&mut self, state: &str) -> String {
        let Some(since) = self.since else { return std::future::pending().await };
        sleep_until(self.next).await;
        self.count += 1;
        self.next = match REMINDERS.get(self.count) {
            Some(after) => since + *after,
            None => self.next + INTERVAL_MAX,
        };
        let failures = match self.failures {
            0 => String::new(),
            failures => format!(" ({})", count(failures, "failure", "failures")),
        };
        let text = format!("no frames for {}: {state}{failures}", rounded_time(since.elapsed()));
        if self.advised.is_new(ADVICE) { format!("{text}\nhelp: {ADVICE}") } else { text }
    }
}

#[cfg(test)]
mod tests {
    use oaktap::source::{ConnContext, SourceError, SourceErrorKind};

    use super::*;

    const CONNECTING: SessionState = SessionState::Connecting { attempt: 1 };

    fn reminders(waiting: &mut Waiting, count: usize) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            waiting.observe(&CONNECTING, "connecting");
            let mut texts = Vec::new();
            for _ in 0..count {
                waiting.observe(&SessionState::Silent, "silent");
                texts.push(waiting.reminder("silent").await);
            }
            waiting.observe(&SessionState::Streaming, "streaming");
            let never = tokio::time::timeout(Duration::from_secs(7200), waiting.reminder("streaming")).await;
            assert!(never.is_err());
            texts
        })
    }

    #[test]
    fn any_number_of_texts_takes_bounded_memory() {
        let mut waiting = Waiting::new(Advised::new(false));
        let text = |number: usize| char::from_u32(0x4e00 + number as u32).expect("a letter").to_string();
        let logged = (0..1000).filter(|number| waiting.observe(&CONNECTING, &text(*number))).count();
        assert_eq!((logged, waiting.logged.len()), (LOGGED_MAX, LOGGED_MAX));
        waiting.observe(&SessionState::Streaming, "streaming");
        assert!(waiting.observe(&CONNECTING, &text(0)), "frames have arrived since then");
    }

    #[test]
    fn a_camera_without_frames_is_reported_at_growing_intervals() {
        let mut waiting = Waiting::new(Advised::new(false));
        let texts = reminders(&mut waiting, 6);
        assert_eq!(texts[0], format!("no frames for 10 s: silent\nhelp: {ADVICE}"));
        let times: Vec<_> =
            texts.iter().filter_map(|text| text.split([':', '\n']).next()?.strip_prefix("no frames for ")).collect();
        assert_eq!(times, ["10 s", "1 min", "10 min", "1 h", "2 h", "3 h"]);
        // It has sent frames, so nobody waits for the first one.
        assert_eq!(reminders(&mut waiting, 1), ["no frames for 10 s: silent"]);
        assert_eq!(reminders(&mut Waiting::new(Advised::new(true)), 1), ["no frames for 10 s: silent"]);
    }

    #[test]
    fn the_ways_to_end_are_printed_for_one_of_several_cameras() {
        let advised = Advised::new(false);
        let texts = [(); 2].map(|()| reminders(&mut Waiting::new(advised.clone()), 1).concat());
        assert_eq!(texts.map(|text| text.contains(ADVICE)), [true, false]);
    }

    #[test]
    fn states_that_repeat_are_counted_and_logged_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let mut waiting = Waiting::new(Advised::new(true));
            let lost = SessionState::Lost {
                reason: Arc::new(SourceError { conn: ConnContext::default(), kind: SourceErrorKind::Closed }),
                retry_in: Duration::ZERO,
            };
            let mut new = Vec::new();
            for attempt in 0..3 {
                new.push(waiting.observe(&CONNECTING, "connecting"));
                new.push(waiting.observe(&SessionState::Silent, "silent"));
                new.push(waiting.observe(&lost, &format!("connection lost after {attempt} s")));
            }
            assert_eq!(new.iter().filter(|new| **new).count(), 3, "{new:?}");
            assert!(new[..3].iter().all(|new| *new));
            assert_eq!(waiting.reminder("connection lost").await, "no frames for 10 s: connection lost (3 failures)");
            assert!(waiting.observe(&SessionState::Streaming, "streaming"));
            assert!(waiting.observe(&SessionState::Stalled, "stalled"), "a new silence");
        });
    }
}
