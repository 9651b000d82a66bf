//! State that is named on the screen as long as it holds, whatever the HUD shows.

use super::design::{ColoredText, Ink};
use super::screen::Screen;
use crate::sink::record::RecorderState;

/// Classes of `--only` that are named.
const ONLY_NAMES_MAX: usize = 3;

/// Formats seconds as `1:05` or `2:01:05`.
fn elapsed(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

impl Screen {
    /// Returns one line for each state: recording, paused, and detections that are not drawn.
    pub(super) fn notices(&self) -> Vec<Vec<ColoredText>> {
        let mut lines = Vec::new();
        if let (Some(health), Some(since_ns)) = (&self.recording, self.recording_since_ns) {
            let seconds = self.now_ns.saturating_sub(since_ns) / 1_000_000_000;
            let mut line = vec![(Ink::Alarm, "● ".to_owned()), (Ink::Text, format!("REC {}", elapsed(seconds)))];
            let state = match health.total.state {
                RecorderState::Recording => None,
                RecorderState::Waiting => Some((Ink::Dim, "  waiting")),
                RecorderState::Paused { .. } => Some((Ink::Alarm, "  interrupted")),
                RecorderState::Finished => Some((Ink::Alarm, "  ended")),
            };
            line.extend(state.map(|(ink, text)| (ink, text.to_owned())));
            lines.push(line);
        }
        if self.paused {
            let keys = if self.playbacks.is_empty() { "  . next picture" } else { "  , . other picture" };
            lines.push(vec![(Ink::Text, "paused".to_owned()), (Ink::Dim, keys.to_owned())]);
        }
        lines.extend(self.undrawn().map(|text| vec![(Ink::Warning, text)]));
        lines
    }

    /// Returns which detections are not drawn.
    fn undrawn(&self) -> Option<String> {
        let mut words = Vec::new();
        if self.threshold > 0 {
            words.push(format!("confidence from {} %", self.threshold));
        }
        if let Some(class) = self.panel.class_name() {
            words.push(format!("only {class}"));
        } else if let given @ [_, ..] = &*self.views.style().only {
            let named = given.get(..ONLY_NAMES_MAX).unwrap_or(given).join(", ");
            let more = given.len().saturating_sub(ONLY_NAMES_MAX);
            words.push(if more > 0 { format!("only {named} and {more} more") } else { format!("only {named}") });
        }
        if !self.boxes {
            words.push("boxes hidden".to_owned());
        }
        if !self.labels {
            words.push("labels hidden".to_owned());
        }
        (!words.is_empty()).then(|| words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elapsed_time_has_hours_when_it_needs_them() {
        assert_eq!([0, 65, 3599, 7265].map(elapsed), ["0:00", "1:05", "59:59", "2:01:05"]);
    }
}
