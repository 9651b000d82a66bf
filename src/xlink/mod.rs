//! XLink over TCP: how a host and a camera's bootloader exchange packets (bootloader.md section 2).
//!
//! ```text
//! bytes in  --> [`Link::handle_input`] --> [`Link::poll`]   --> packets, streams, the end
//! packets   --> [`Link::send`]         --> [`Link::output`] --> bytes out
//! ```
//!
//! A [`Link`] is either end of one connection. It answers pings, acknowledges, returns credit and keeps to the credit that
//! it has by itself; it knows no socket and no clock.

mod channel;
mod error;
mod event;
mod link;

pub use channel::Packet;
pub use error::LinkError;
pub use event::{HEADER, Header, Kind, MalformedHeader};
pub use link::{Event, Link, Stream};

/// The TCP port that bootloaders listen at (bootloader.md 2).
pub const PORT: u16 = 11490;
