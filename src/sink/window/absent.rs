//! Cameras that are not streaming: counted in the title, named on the screen while they are not shown, and shown by a key.

use super::act::PAGE;
use super::design::{ColoredText, Ink, ink_of};
use super::screen::Screen;
use crate::source::SessionState;
use crate::units::count;

impl Screen {
    /// Returns the cameras that are not streaming. A recording is absent only if it cannot be played.
    pub(super) fn absent(&self) -> Vec<usize> {
        let is_absent = |at: &usize| match &self.tiles[*at].status.state {
            SessionState::Streaming => false,
            SessionState::Lost { .. } | SessionState::Ended { error: Some(_) } => true,
            _ => self.cameras[*at].playback.is_none(),
        };
        (0..self.camera_count()).filter(is_absent).collect()
    }

    /// Returns the title of the window: what it shows, and how many cameras are not streaming.
    #[must_use]
    pub fn title(&self) -> String {
        let (absent, count) = (self.absent().len(), self.camera_count());
        let shown = self.shown_name();
        match (absent, self.enlarged) {
            (0, _) => format!("oaktap - {shown}"),
            (_, _) if count == 1 => format!("oaktap - {shown}, not streaming"),
            (_, None) => format!("oaktap - {shown}, {absent} not streaming"),
            (_, Some(_)) => format!("oaktap - {shown}, {absent} of {count} not streaming"),
        }
    }

    /// Names the only camera, or the enlarged tile, or else what is shown by its number.
    pub(super) fn shown_name(&self) -> String {
        match self.enlarged {
            Some(shown) => self.cameras[shown].name.clone(),
            None if self.camera_count() == 1 => self.cameras[0].name.clone(),
            None => self.shown_cameras(),
        }
    }

    /// Names the cameras that are not streaming on a line of this many characters, if one of them is not shown: as many
    /// names as fit, and the number of the others.
    pub(super) fn absent_notice(&self, columns: usize) -> Option<Vec<ColoredText>> {
        let absent = self.absent();
        if absent.iter().all(|at| self.is_shown(*at)) {
            return None;
        }
        let is_lost = absent.iter().any(|at| match &self.tiles[*at].status.state {
            // Between two attempts it is lost.
            SessionState::Connecting { attempt } => *attempt > 1,
            state => ink_of(state) == Ink::Alarm,
        });
        let ink = if is_lost { Ink::Alarm } else { Ink::Warning };
        let count = format!("{} of {} not streaming", absent.len(), self.camera_count());
        let names: Vec<&str> = absent.iter().map(|at| &*self.cameras[*at].name).collect();
        let names = named(&names, columns.saturating_sub(count.len()));
        let mut line = vec![(ink, count)];
        if !names.is_empty() {
            line.push((Ink::Text, names));
        }
        line.push((Ink::Dim, "  o: show".to_owned()));
        Some(line)
    }

    /// Returns what the cameras do, none of which is absent.
    fn presence(&self) -> String {
        let recordings = self.cameras.iter().filter(|camera| camera.playback.is_some()).count();
        let live = self.camera_count() - recordings;
        let state = match self.position {
            Some(position) if position.ended => "at the end",
            Some(position) if position.paused => "paused",
            _ => "playing",
        };
        match (live, recordings) {
            (1, 0) => "the camera is streaming".to_owned(),
            (_, 0) => format!("all {live} cameras are streaming"),
            (0, 1) => format!("the recording is {state}"),
            (0, _) => format!("all {recordings} recordings are {state}"),
            (_, _) => format!(
                "{} streaming, {} {state}",
                count(live as u64, "camera", "cameras"),
                count(recordings as u64, "recording", "recordings")
            ),
        }
    }

    /// Shows only the next camera that is not streaming.
    pub(super) fn show_absent(&mut self) {
        let absent = self.absent();
        let after = |from: usize| absent.iter().find(|at| **at > from);
        let next = self.enlarged.map_or(absent.first(), after).or(absent.first()).copied();
        match next {
            Some(camera) => {
                self.enlarged = Some(camera);
                self.interaction.page = self.interaction.page.map(|_| camera / PAGE);
            }
            None => self.show_note(self.presence()),
        }
    }
}

/// Returns `: a, b +3`: the names that fit, and the number of the others. Empty if not even the first one fits.
fn named(names: &[&str], columns: usize) -> String {
    let all = |shown: usize| {
        let rest = names.len() - shown;
        let more = if rest > 0 { format!(" +{rest}") } else { String::new() };
        format!(": {}{more}", names[..shown].join(", "))
    };
    let fits = (1..=names.len()).rev().map(all).find(|text| text.chars().count() <= columns);
    fits.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_names_as_fit_and_the_number_of_the_others() {
        let names = ["line-17", "line-33", "line-40"];
        assert_eq!(named(&names, 40), ": line-17, line-33, line-40");
        assert_eq!(named(&names, 26), ": line-17, line-33 +1");
        assert_eq!(named(&names, 12), ": line-17 +2");
        assert_eq!(named(&names, 11), "");
    }
}
