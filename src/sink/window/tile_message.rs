//! Messages in the tiles of cameras that have no live picture.

use std::borrow::Cow;

use super::design::{Ink, ink_of};
use super::status::{CameraStatus, state_word};
use crate::source::{Advise, Outside, SessionState};
use crate::view::ViewHealth;

/// A message over a picture that is not live, or in place of one that cannot be shown.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) ink: Ink,
    /// For tiles that are too small for the lines.
    pub(super) short: [String; 2],
    /// The state, and what to do.
    pub(super) lines: Vec<String>,
}

/// The next step for the user in the words of the program, which names the camera. Formatted once, not for each image.
#[derive(Debug, Default)]
pub(super) struct Advised {
    help: String,
    text: String,
}

impl Advised {
    /// Returns the next step in this state of a camera, if there is one.
    pub(super) fn text(
        &mut self,
        name: &str,
        state: &SessionState,
        health: &ViewHealth,
        advise: Advise,
    ) -> Option<String> {
        let help = help(state, health)?;
        if *help != self.help {
            (self.text, self.help) = (advise(&help, name), help.into_owned());
        }
        Some(self.text.clone())
    }
}

/// Returns the next step for the user, with `CAMERA` in place of the camera.
fn help<'a>(state: &'a SessionState, health: &ViewHealth) -> Option<Cow<'a, str>> {
    match state {
        SessionState::Streaming => health.help.filter(|_| health.error.is_some()).map(Cow::Borrowed),
        SessionState::Lost { reason, .. } => reason.help(),
        SessionState::Ended { error: Some(error) } => error.help(),
        SessionState::Silent => {
            Some("the camera serves one client at a time: close the other client, or power-cycle the camera".into())
        }
        _ => None,
    }
}

/// Returns whether the picture of a camera is one of an earlier time, which is gray and has no boxes.
pub(super) fn is_past(status: &CameraStatus) -> bool {
    !matches!(status.state, SessionState::Streaming) && message(status, true).is_some()
}

/// Returns the message of a camera, if it needs one.
pub(super) fn message(status: &CameraStatus, has_picture: bool) -> Option<Message> {
    let name = &status.name;
    let message = |ink: Ink, short: &str, lines: Vec<String>| {
        Some(Message { ink, short: [name.clone(), short.to_owned()], lines })
    };
    match &status.state {
        SessionState::Streaming => {
            let error = status.health.error.as_ref()?;
            let short = if has_picture { "no new picture" } else { "no picture" };
            let mut lines = vec![format!("{name}: {short}"), error.clone()];
            lines.extend(status.help.clone());
            message(status.ink(), short, lines)
        }
        SessionState::Stalled if !has_picture => None,
        // The picture is the last one, or the right one for the position. The status line says why it does not change.
        SessionState::Paused if has_picture => None,
        // In a gap, the last picture is not the one of this time.
        SessionState::Outside(outside)
            if has_picture && !matches!(outside, Outside::Gap { .. } | Outside::Skipped { .. }) =>
        {
            None
        }
        state => {
            let mut lines = vec![format!("{name}: {state}")];
            lines.extend(status.help.clone());
            message(ink_of(state), &state_word(status), lines)
        }
    }
}
