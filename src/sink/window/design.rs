//! Sizes, spacing and colors of everything that the window draws. `docs/window.md` describes them.

use crate::overlay::Strokes;
use crate::source::SessionState;

/// Color between the pictures.
pub(super) const BACKGROUND: u32 = 0x0012_161b;

/// Smallest and largest scale of text and lines.
pub const SCALES: std::ops::RangeInclusive<f32> = 0.5..=4.0;

/// Factor between two steps of the scale.
pub(super) const SCALE_STEP: f32 = 0.25;

/// Text with the role of its color.
pub(super) type ColoredText = (Ink, String);

/// The role of a color.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    /// Values.
    Text,
    /// Units, captions and whatever is secondary.
    Dim,
    /// All is well.
    Good,
    /// Worth a look.
    Warning,
    /// Lost or interrupted; also the dot of a recording.
    Alarm,
}

/// Colors of the HUD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Palette {
    /// Behind text.
    pub(super) panel: u32,
    /// Opacity of panels, 0..=255.
    pub(super) panel_alpha: u8,
    inks: [u32; 5],
}

/// Light text on dark panels.
pub(super) const DARK: Palette =
    Palette { panel: 0x000b_0e12, panel_alpha: 200, inks: [0xff_ffff, 0xa8_b2bd, 0x3d_dc84, 0xff_b83d, 0xff_5a52] };

/// Dark text on light panels, for bright rooms and projectors.
pub(super) const LIGHT: Palette =
    Palette { panel: 0x00f4_f6f8, panel_alpha: 230, inks: [0x10_1418, 0x4e_5863, 0x0a_7a3d, 0x8f_5200, 0xc0_1f17] };

impl Palette {
    pub(super) const fn ink(&self, ink: Ink) -> u32 {
        self.inks[ink as usize]
    }
}

/// Returns the color role of a session's state.
pub(super) fn ink_of(state: &SessionState) -> Ink {
    match state {
        SessionState::Streaming => Ink::Good,
        SessionState::Connecting { .. }
        | SessionState::Waiting
        | SessionState::Subscribed { .. }
        | SessionState::Absent { .. }
        | SessionState::Silent
        | SessionState::Stalled => Ink::Warning,
        SessionState::Lost { .. } | SessionState::Ended { error: Some(_) } => Ink::Alarm,
        SessionState::Paused | SessionState::Outside(_) | SessionState::Ended { error: None } => Ink::Dim,
    }
}

/// Sizes in pixels at a scale, and the palette.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Design {
    scale: f32,
    pub(super) palette: Palette,
}

impl Default for Design {
    fn default() -> Self {
        Self { scale: 1.0, palette: DARK }
    }
}

impl Design {
    /// Returns the same design at another scale, within [`SCALES`].
    pub(super) fn scaled(self, scale: f32) -> Self {
        let scale = if scale.is_finite() { scale } else { 1.0 };
        Self { scale: scale.clamp(*SCALES.start(), *SCALES.end()), ..self }
    }

    /// Returns the same design in the other palette.
    pub(super) fn toggled(self) -> Self {
        Self { palette: if self.palette == DARK { LIGHT } else { DARK }, ..self }
    }

    pub(super) const fn scale(&self) -> f32 {
        self.scale
    }

    pub(super) const fn ink(&self, ink: Ink) -> u32 {
        self.palette.ink(ink)
    }

    fn px(&self, at_1x: f32) -> i32 {
        ((at_1x * self.scale).round() as i32).max(1)
    }

    /// Height of text: labels, the HUD, messages and the help.
    pub(super) fn text(&self) -> u32 {
        self.px(16.0).unsigned_abs()
    }

    /// Height of headings.
    pub(super) fn heading(&self) -> u32 {
        self.px(20.0).unsigned_abs()
    }

    /// Distance between two lines of text.
    pub(super) fn line(&self) -> i32 {
        self.px(20.0)
    }

    /// The unit of spacing. All distances are multiples of it.
    pub(super) fn space(&self) -> i32 {
        self.px(4.0)
    }

    /// Height of the status line and of the timeline's text.
    pub(super) fn strip(&self) -> i32 {
        self.text() as i32 + 2 * self.space()
    }

    /// Width of thin lines: curves, separators, marks on the timeline.
    pub(super) fn thin(&self) -> i32 {
        self.px(1.0)
    }

    /// Sizes of boxes and labels.
    pub(super) fn strokes(&self) -> Strokes {
        Strokes { line: self.px(2.0), text: self.text() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_one_scale() {
        let sizes = |scale: f32| {
            let design = Design::default().scaled(scale);
            [design.text() as i32, design.heading() as i32, design.line(), design.space(), design.strokes().line]
        };
        assert_eq!(sizes(1.0), [16, 20, 20, 4, 2]);
        assert_eq!(sizes(2.0), sizes(1.0).map(|size| 2 * size));
        assert_eq!(sizes(1.5), [24, 30, 30, 6, 3]);
        assert_eq!(sizes(f32::NAN), sizes(1.0));
        assert_eq!(sizes(100.0), sizes(4.0));
    }

    #[test]
    fn text_contrasts_with_its_panel() {
        let luminance = |color: u32| {
            let [_, r, g, b] = color.to_be_bytes().map(|channel| (f64::from(channel) / 255.0).powf(2.2));
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        let contrast = |a: f64, b: f64| (a.max(b) + 0.05) / (a.min(b) + 0.05);
        for palette in [DARK, LIGHT] {
            for ink in palette.inks {
                // 4.5 is what WCAG asks for.
                assert!(contrast(luminance(ink), luminance(palette.panel)) >= 4.5, "{ink:06x} {palette:?}");
            }
        }
    }
}
