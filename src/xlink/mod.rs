//! XLink over TCP: the protocol between a host and a camera's bootloader (bootloader.md 2).
//!
//! ```text
//! bytes in  --> [`Link::handle_input`] --> [`Link::poll`]   --> packets, opened streams, resets
//! packets   --> [`Link::send`]         --> [`Link::output`] --> bytes out
//! ```
//!
//! A [`Link`] is either end of one connection. It answers pings, acknowledges packets, returns credit and respects the credit
//! it was given. It uses neither sockets nor clocks.

mod channel;
mod error;
mod event;
mod link;

pub use channel::{Packet, StreamId};
pub use error::LinkError;
pub use event::{EVENT_HEADER_BYTES, EventHeader, EventKind, MalformedHeader};
pub use link::{Link, LinkEvent};

/// The TCP port of bootloaders (bootloader.md 2).
pub const PORT: u16 = 11490;
