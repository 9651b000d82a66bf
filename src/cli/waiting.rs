//! Reminders while a camera sends no frames: a command that only waits must not look as if it hangs.

use std::time::Duration;

use oaktap::source::SessionState;
use tokio::time::{Instant, sleep_until};

/// The first reminders follow each other after this time.
const INTERVAL: Duration = Duration::from_secs(10);
/// After this many, the interval doubles up to [`INTERVAL_MAX`]: a camera may be down for days.
const FREQUENT: u32 = 6;
const INTERVAL_MAX: Duration = Duration::from_secs(600);

/// The time without frames of one session.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// `None` while frames arrive.
    since: Option<Instant>,
    next: Instant,
    /// Reminders since then.
    count: u32,
    /// Names the ways to end the command. `None` if it ends by itself or has received frames.
    advice: Option<&'static str>,
}

impl Waiting {
    /// `ends`: the command ends by itself after a time.
    pub(crate) fn new(ends: bool) -> Self {
        let advice = (!ends).then_some("Ctrl-C ends the command; -d TIME ends it after a time, such as -d 30s");
        Self { since: None, next: Instant::now(), count: 0, advice }
    }

    /// Updates with the state of the session.
    pub(crate) fn observe(&mut self, state: &SessionState) {
        match state {
            SessionState::Streaming => *self = Self { since: None, advice: None, ..*self },
            // A recording that is played has frames elsewhere.
            SessionState::Outside(_) | SessionState::Ended { .. } => self.since = None,
            _ if self.since.is_none() => {
                let now = Instant::now();
                (self.since, self.next, self.count) = (Some(now), now + INTERVAL, 0);
            }
            _ => {}
        }
    }

    /// Waits for the time of the next reminder, and returns it for a session in this state. Never returns while frames
    /// arrive.
    pub(crate) async fn reminder(&mut self, state: &str) -> String {
        let Some(since) = self.since else { return std::future::pending().await };
        sleep_until(self.next).await;
        self.count += 1;
        let doubled = self.count.saturating_sub(FREQUENT - 1).min(16);
        self.next += (INTERVAL * 2u32.pow(doubled)).min(INTERVAL_MAX);
        let text = format!("no frames for {} s: {state}", since.elapsed().as_secs());
        match self.advice {
            Some(advice) => format!("{text}\nhelp: {advice}"),
            None => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reminders(waiting: &mut Waiting, count: usize) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            waiting.observe(&SessionState::Connecting { attempt: 1 });
            let mut texts = Vec::new();
            for _ in 0..count {
                waiting.observe(&SessionState::Silent);
                texts.push(waiting.reminder("silent").await);
            }
            waiting.observe(&SessionState::Streaming);
            let never = tokio::time::timeout(Duration::from_secs(3600), waiting.reminder("streaming")).await;
            assert!(never.is_err());
            texts
        })
    }

    #[test]
    fn a_camera_without_frames_is_reported_every_ten_seconds_and_later_less_often() {
        let mut waiting = Waiting::new(false);
        let texts = reminders(&mut waiting, 14);
        let help = "help: Ctrl-C ends the command; -d TIME ends it after a time, such as -d 30s";
        assert_eq!(texts[0], format!("no frames for 10 s: silent\n{help}"));
        let seconds: Vec<_> = texts.iter().filter_map(|text| text.split(' ').nth(3)).collect();
        let expected = ["10", "20", "30", "40", "50", "60", "80", "120", "200", "360", "680", "1280", "1880", "2480"];
        assert_eq!(seconds, expected);
        // It has sent frames, so nobody waits for the first one.
        assert_eq!(reminders(&mut waiting, 1), ["no frames for 10 s: silent"]);
        assert_eq!(reminders(&mut Waiting::new(true), 1), ["no frames for 10 s: silent"]);
    }
}
