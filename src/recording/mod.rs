//! Recordings: MCAP files that Foxglove, Rerun and the Python packages for MCAP open unchanged.
//!
//! ```text
//! Frame -> SegmentWriter -> /NAME/image       foxglove.RawImage, CompressedImage
//!                                             or CompressedVideo
//!                           /NAME/detections  foxglove.ImageAnnotations
//!                           /NAME/wire        oaktap.Wire: header, detection text, times,
//!                                             CRC-32; gaps and skipped bytes
//! Reader -> the camera's bytes, rebuilt -> Decoder -> Frame
//! ```
//!
//! The three messages of a frame share their times and their sequence number. The wire message is the last of the three,
//! and a chunk holds complete frames only. Readers find the channels by topic and schema, since other tools renumber them,
//! and make frames from the image messages of other programs. If no image message can hold a payload exactly, the wire message holds it too.

mod annotations;
mod byte_window;
mod channels;
mod checksum;
mod chunk_head;
mod clock;
mod clock_fit;
mod decode;
mod decompress;
pub mod disk;
mod error;
mod foreign;
mod frame_counts;
mod frame_messages;
mod image;
pub mod inspect;
mod intervals;
mod join;
mod mcap_record;
mod measurement_report;
mod natural_order;
mod number_channels;
mod pace;
mod parts;
mod pauses;
mod picture_numbers;
pub mod playback;
mod player;
mod reader;
pub mod recover;
mod recover_topics;
pub(crate) mod ros;
mod salvage;
pub mod schema;
mod series;
mod serve;
mod speed;
mod stream_damage;
mod survey;
mod time_line;
mod timeline;
pub(crate) mod topics;
pub mod verify;
mod walk;
mod watch;
mod writer;

pub use clock::ClockModel;
pub use clock_fit::{ClockError, ClockFit, EarlierRun};
pub(crate) use decode::Decoders;
pub use error::RecordingError;
#[cfg(feature = "foxglove")]
pub(crate) use frame_messages::nanoseconds;
#[cfg(feature = "zenoh")]
pub(crate) use frame_messages::{ANNOTATIONS_SCHEMA, payload_of, wire_message};
#[cfg(any(feature = "foxglove", feature = "zenoh"))]
pub(crate) use frame_messages::{ImageEncoder, annotations_of};
#[cfg(feature = "foxglove")]
pub(crate) use image::ImageMessage;
#[cfg(feature = "zenoh")]
pub(crate) use image::bayer_encoding;
pub use join::{RecordedFrame, RecordingEntry, UnsupportedTopic};
pub use natural_order::natural_order;
#[cfg(feature = "foxglove")]
pub(crate) use number_channels::{NUMBER_SCHEMA, SCHEMA as NUMBER_JSON_SCHEMA, TOPICS_MAX, number_message};
pub use parts::{MissingFiles, Part, PartFile, missing_files};
pub use playback::{Playback, Speed};
#[cfg(feature = "serve")]
pub(crate) use player::bytes_before_payload;
pub(crate) use player::feed;
pub use player::{Played, PlayedFrame, PlayedMeasurement, Player};
pub use reader::Reader;
pub(crate) use series::ConnectionEntry;
pub use series::{CameraFiles, Joining, Series, join};
pub use serve::{RecordingServer, ServedCounts};
pub use stream_damage::StreamDamage;
pub(crate) use stream_damage::is_bad_picture;
pub use survey::ChunkRange;
pub use time_line::ClockJump;
pub use watch::Watch;
pub use writer::{CameraInfo, Compression, SegmentWriter};
