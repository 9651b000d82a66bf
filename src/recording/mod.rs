//! MCAP files: what the camera sent, in a form that Foxglove, Rerun and Python open as it is.
//!
//! ```text
//! Frame -> SegmentWriter -> /NAME/image        foxglove.RawImage | CompressedImage | CompressedVideo
//!                           /NAME/detections   foxglove.ImageAnnotations
//!                           /NAME/wire         oaktap.Wire: header, detection text, times, CRC-32; gaps and skipped bytes
//! Reader -> the bytes of the wire again -> Decoder -> Frame
//! ```
//!
//! The three messages of a frame share their times and their sequence number; that of the wire is the last one, and a
//! chunk holds whole frames only. A payload that no image message can hold exactly is in the wire message as well.

mod annotations;
mod clock;
mod decode;
pub mod disk;
mod error;
mod image;
pub mod inspect;
mod join;
pub mod playback;
mod player;
mod reader;
mod record;
pub mod recover;
mod salvage;
pub mod schema;
mod seal;
mod serve;
mod timeline;
mod unpack;
pub mod verify;
mod walk;
mod window;
mod writer;

pub use clock::{ClockError, ClockFit, ClockModel};
pub use error::RecordingError;
pub use playback::{Playback, Speed};
pub(crate) use player::feed;
pub use player::{Next, Played, Player};
pub use reader::{Chunk, Entry, Reader, Recorded};
pub use serve::{RecordingServer, Served};
pub use writer::{CameraInfo, Compression, SegmentWriter};
