//! Decoder and encoder of camera streams: bytes to frames and back, with every byte accounted for.
//!
//! ```text
//! stream    = *( record / message )
//! record    = 32 bytes of ASCII other than a header: extensions (`@...`) and unknown ones
//! message   = header [ detections ] payload
//! header    = IMG:       "IMG " ts " " imglen " " detlen, padded with spaces to >= 32 bytes
//!           / ABCDE:     "ABCDE " ts(18) len(8)
//!           / ABCDE-256: "ABCDE " ts(18) len(8) counters(16) tracks(208)
//!           / FRAME:     "DETECT" ts(18) len(8) json "FRAME " ts(18) len(8)
//! ```
//!
//! The [`Decoder`] has neither socket nor clock. The caller reads into [`Decoder::space`], passes the number of bytes
//! to [`Decoder::commit`], and drains [`Decoder::poll`]:
//!
//! ```
//! use oaktap::frame::{Interpreter, Pool, Received};
//! use oaktap::wire::{Decoder, Event, Limits};
//! use std::io::Read;
//!
//! let mut camera: &[u8] = b"IMG 12.5 3 0                    BGR"; // a one-pixel camera
//! let mut decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
//! loop {
//!     let n = camera.read(decoder.space())?;
//!     match n {
//!         0 => decoder.finish(),
//!         n => decoder.commit(n, Received::default()),
//!     }
//!     while let Some(event) = decoder.poll() {
//!         if let Event::Frame(frame) = event {
//!             assert_eq!(frame.payload(), b"BGR");
//!             assert_eq!(frame.device_time.0, 12_500_000);
//!         }
//!     }
//!     if n == 0 { break }
//! }
//! # Ok::<(), std::io::Error>(())
//! ```

#[cfg(feature = "net")]
pub(crate) mod content;
mod datagram;
mod decoder;
pub mod detections;
pub mod encode;
mod event;
pub(crate) mod header;
mod input;
mod introduction;
mod limits;
mod message;
mod multipart;
mod output;
mod packets;
mod partial_frame;
mod preamble;
mod protocol;
mod record;
mod record_lines;
mod resync;
mod text;
mod tracks;
mod unrecognized;
mod work;

pub use datagram::{
    Assembled, DATAGRAM_HEADER, DATAGRAM_MAGIC, DatagramCounts, DatagramError, Incomplete, Reassembly, Rejected,
    datagrams,
};
pub use decoder::Decoder;
pub use event::{ByteCounts, Damage, Event, SkipReason, Skipped};
pub use header::{DetectionSyntax, Dialect, UnknownDialect};
pub use introduction::{Introduction, LabelTable};
pub use limits::Limits;
pub use multipart::{Multipart, MultipartError, Part, boundary};
pub use packets::{LargeMessage, MESSAGE_HEAD_MAX, PacketError, PacketPiece, PacketSplitter};
pub use protocol::Protocol;
pub use record::{Record, Unreadable, UnusableLayout, records};
pub use text::{Excerpt, LINE};
pub use unrecognized::{HeaderFault, Unrecognized};

/// TCP port of the stream in Luxonis' standalone example (wire.md section 1, F1).
pub const PORT: u16 = 5000;

/// TCP ports of Luxonis' streaming examples and common copies of them, in the order to try them.
pub const USUAL_PORTS: [u16; 3] = [PORT, 9876, 8080];
