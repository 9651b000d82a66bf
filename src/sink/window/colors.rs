//! Colors of the words on the screen.

use crate::source::SessionState;

pub(super) const WHITE: u32 = 0x00ff_ffff;
pub(super) const DIM: u32 = 0x00a8_b2bd;
pub(super) const GREEN: u32 = 0x003d_dc84;
pub(super) const AMBER: u32 = 0x00ff_b83d;
pub(super) const RED: u32 = 0x00ff_5a52;

/// Color between the pictures.
pub(super) const BACKGROUND: u32 = 0x0012_161b;

/// Text with its color.
pub(super) type ColoredText = (u32, String);

pub(super) fn color_of(state: &SessionState) -> u32 {
    match state {
        SessionState::Streaming => GREEN,
        SessionState::Connecting { .. } | SessionState::Waiting | SessionState::Silent | SessionState::Stalled => AMBER,
        SessionState::Lost { .. } | SessionState::Ended { error: Some(_) } => RED,
        SessionState::Ended { error: None } => DIM,
    }
}
