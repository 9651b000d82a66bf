//! Consumers of frames and pictures: files, a window, and JSON records.

pub mod detections;
mod label_weight;
pub(crate) mod names;
pub mod record;
pub mod snapshot;
#[cfg(feature = "window")]
pub mod window;
