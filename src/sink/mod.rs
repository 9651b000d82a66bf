//! Takes frames or pictures: to files, to a window, to programs.

pub mod detections;
pub(crate) mod names;
pub mod record;
pub mod snapshot;
#[cfg(feature = "window")]
pub mod window;
