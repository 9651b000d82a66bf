//! Consumers of frames and pictures: files, a window, JSON records, and other programs.

pub mod detections;
mod label_weight;
pub(crate) mod names;
#[cfg(feature = "mqtt")]
pub mod publish;
pub mod record;
pub mod snapshot;
#[cfg(feature = "window")]
pub mod window;
