//! Calls of the window system for everything that minifb lacks. X11 only; elsewhere [`Display`] and [`Companion`] do
//! nothing.

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
    }
}
