//! Bytes of a connection -> frames, and the books of every byte.
//!
//! ```text
//! stream    = *( record / message )
//! record    = 32 bytes of ASCII that are no header: extensions (`@...`) and what we do not know
//! message   = header [ detections ] payload
//! header    = "IMG " ts " " imglen " " detlen, padded with spaces to at least 32 bytes     (IMG)
//!           / "ABCDE " ts(18) len(8)                                                        (ABCDE)
//!           / "ABCDE " ts(18) len(8) counters(16) tracks(208)                               (ABCDE-256)
//!           / "DETECT" ts(18) len(8) json "FRAME " ts(18) len(8)                            (FRAME)
//! ```
//!
//! The [`Decoder`] knows no socket and no clock. Its caller reads straight into [`Decoder::space`], says how much
//! arrived with [`Decoder::commit`], and drains [`Decoder::poll`]:
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

mod account;
mod announced;
mod decoder;
pub mod detections;
pub mod encode;
mod event;
pub mod header;
mod introduction;
mod lines;
mod message;
mod record;
mod resync;
mod unread;

pub use decoder::Decoder;
pub use event::{Books, Damage, Event, Limits, SkipReason, Skipped};
pub use introduction::{Introduction, LabelTable};
pub use record::{Record, records};

/// TCP port of the camera's stream in the vendor's standalone example (wire.md section 1, F1).
pub const PORT: u16 = 5000;

/// TCP ports of the vendor's streaming examples and of common copies of them, in the order in which to try them.
pub const USUAL_PORTS: [u16; 3] = [PORT, 9876, 8080];
