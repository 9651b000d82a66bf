//! State that is named on the screen as long as it holds, whatever the HUD shows.

use super::design::{ColoredText, Ink};
use super::recording::named;
use super::screen::Screen;
use crate::sink::record::{RecorderState, Recorders, format_remaining};
use crate::view::Zoom;

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
            let recorded = self.recorders.as_ref().map(Recorders::recorded).unwrap_or_default();
            if recorded.len() < self.cameras.len() {
                let names = self.cameras.get(recorded).unwrap_or_default().iter().map(|camera| &*camera.name);
                line.push((Ink::Text, format!("  {}", named(names))));
            }
            let state = match health.total.state {
                RecorderState::Recording => {
                    health.seconds_left.map(|seconds| (Ink::Dim, format!("  {} left", format_remaining(seconds))))
                }
                RecorderState::Waiting => Some((Ink::Dim, "  waiting".to_owned())),
                RecorderState::Paused { .. } => Some((Ink::Alarm, "  interrupted".to_owned())),
                RecorderState::Finished => Some((Ink::Alarm, "  ended".to_owned())),
            };
            line.extend(state);
            lines.push(line);
        }
        if !self.playbacks.is_empty() && self.position.as_ref().is_some_and(|position| position.ended) {
            lines.push(vec![(Ink::Text, "end".to_owned()), (Ink::Dim, "  Space: start again".to_owned())]);
        } else if self.paused {
            let keys = if self.playbacks.is_empty() { "  . next picture" } else { "  , . other picture" };
            lines.push(vec![(Ink::Text, "paused".to_owned()), (Ink::Dim, keys.to_owned())]);
        }
        lines.extend(self.zoom().map(|text| vec![(Ink::Text, text)]));
        lines.extend(self.undrawn().map(|text| vec![(Ink::Warning, text)]));
        if self.cramped {
            lines.push(vec![(Ink::Text, "no room for the full HUD".to_owned())]);
        }
        lines
    }

    /// Returns how large the pixels of enlarged pictures are: 100 % is the original size.
    fn zoom(&self) -> Option<String> {
        let shown = self.tiles.iter().enumerate().filter(|(at, _)| self.is_shown(*at));
        let percent = shown.filter_map(|(_, tile)| match tile.zoom {
            Zoom::Times { times, .. } => Some((100.0 * times).round()),
            Zoom::Fit => None,
        });
        let (least, most) = percent.fold((f64::MAX, 0.0_f64), |(least, most), of| (least.min(of), most.max(of)));
        match () {
            () if most == 0.0 => None,
            () if least == most => Some(format!("zoom {most} %")),
            () => Some(format!("zoom {least} to {most} %")),
        }
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
