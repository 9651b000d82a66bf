//! Calls of the window system for everything that minifb lacks. X11 only; elsewhere [`Display`] and [`Companion`] do
//! nothing.

use std::path::PathBuf;

use super::mouse::PointerEvent;

/// An event that minifb does not report, or not in time.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum WindowEvent {
    /// The pointer has moved, or a button was used.
    Pointer(PointerEvent),
    /// A part of the window became visible and must be drawn.
    Exposed,
    /// Keys go to another window from here on.
    Unfocused,
    /// The user wants to close the window.
    #[cfg_attr(not(all(unix, not(target_os = "macos"))), allow(dead_code))]
    CloseAsked,
    /// The window fills the screen, or no longer.
    Fullscreen(bool),
    /// Files were dropped on the window; otherwise why they cannot be used.
    #[cfg_attr(not(all(unix, not(target_os = "macos"))), allow(dead_code))]
    Dropped(Result<Vec<PathBuf>, String>),
}

/// The icon of the window: corners of a detection box around a dot, on a dark tile. Transparent outside. `0xAARRGGBB`.
#[cfg_attr(not(all(unix, not(target_os = "macos"))), allow(dead_code))]
fn icon(side: u32) -> Vec<u32> {
    const TILE: u32 = 0xff12_161b;
    const BOX: u32 = 0xff3d_dc84;
    const DOT: u32 = 0xffff_ffff;
    let unit = f64::from(side) / 32.0;
    let pixel = |at: u32| {
        // From the middle, in units of 1/32 of the side.
        let (x, y) = (f64::from(at % side) + 0.5, f64::from(at / side) + 0.5);
        let (x, y) = ((x / unit - 16.0).abs(), (y / unit - 16.0).abs());
        let (beyond_x, beyond_y) = ((x - 10.0).max(0.0), (y - 10.0).max(0.0));
        let is_corner = x.max(y) < 11.0 && x.max(y) >= 8.5 && x.min(y) >= 4.0;
        match () {
            () if beyond_x.hypot(beyond_y) > 6.0 => 0,
            () if is_corner => BOX,
            () if x.hypot(y) < 3.5 => DOT,
            () => TILE,
        }
    };
    (0..side * side).map(pixel).collect()
}

#[cfg(all(unix, not(target_os = "macos")))]
mod drop;
#[cfg(all(unix, not(target_os = "macos")))]
mod x11;
#[cfg(all(unix, not(target_os = "macos")))]
mod xlib;

#[cfg(all(unix, not(target_os = "macos")))]
pub(super) use x11::{Companion, Display};

#[cfg(not(all(unix, not(target_os = "macos"))))]
pub(super) use elsewhere::{Companion, Display};

#[cfg(not(all(unix, not(target_os = "macos"))))]
mod elsewhere {
    #[derive(Debug)]
    pub(in super::super) struct Display;

    impl Display {
        pub(in super::super) fn ask() -> Result<Self, String> {
            Ok(Self)
        }

        pub(in super::super) fn room(&self) -> Option<(usize, usize)> {
            None
        }

        pub(in super::super) fn scale(&self) -> f32 {
            1.0
        }
    }

    #[derive(Debug)]
    pub(in super::super) struct Companion;

    impl Companion {
        pub(in super::super) fn attach(_display: Display, _window: &minifb::Window) -> Self {
            Self
        }

        pub(in super::super) fn unsafe_to_record(&self) -> Option<&'static str> {
            None
        }

        pub(in super::super) fn lost(&mut self) -> Option<String> {
            None
        }

        pub(in super::super) fn events(&mut self) -> Vec<super::WindowEvent> {
            Vec::new()
        }

        pub(in super::super) fn has_pointer(&self) -> bool {
            false
        }

        pub(in super::super) fn toggle_fullscreen(&mut self) -> bool {
            false
        }

        pub(in super::super) fn resize(&mut self, _size: (usize, usize)) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_icon_is_a_box_on_a_tile_at_any_size() {
        for side in [16, 32, 48, 64] {
            let icon = icon(side);
            let share = |color: u32| icon.iter().filter(|pixel| **pixel == color).count() as f64 / icon.len() as f64;
            assert_eq!(icon[0], 0, "transparent corners");
            assert!(share(0xff3d_dc84) > 0.04 && share(0xffff_ffff) > 0.02 && share(0xff12_161b) > 0.5, "{side}");
        }
    }
}
