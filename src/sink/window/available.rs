//! What can be done now: the help and the menu leave out the rest.

use super::act::PAGE;
use super::screen::Screen;

/// The window in which an action does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Always,
    OneCamera,
    SeveralCameras,
    /// More cameras than a page has.
    Pages,
    Live,
    /// A recording is played.
    Replay,
    /// The cameras can be recorded.
    CanRecord,
}

/// The kind of a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Available {
    pub(super) cameras: usize,
    pub(super) replay: bool,
    pub(super) records: bool,
}

impl Available {
    pub(super) const fn holds(&self, when: When) -> bool {
        match when {
            When::Always => true,
            When::OneCamera => self.cameras == 1,
            When::SeveralCameras => self.cameras > 1,
            When::Pages => self.cameras > PAGE,
            When::Live => !self.replay,
            When::Replay => self.replay,
            When::CanRecord => self.records,
        }
    }
}

impl Screen {
    pub(super) fn available(&self) -> Available {
        Available {
            cameras: self.cameras.len(),
            replay: !self.playbacks.is_empty(),
            records: self.recorders.is_some() && self.no_recording.is_none(),
        }
    }
}
