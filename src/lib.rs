//! oaktap finds Luxonis OAK PoE cameras in standalone mode, flashes them, and receives what they put on the network.
//!
//! ```text
//! camera --bytes--> wire --> frame --> Hub<Frame> -+-> detections        (confirmed frames)
//!                                                  +-> recording
//!                                                  +-> view: convert > overlay -> window, snapshot
//!
//! camera <--datagrams--> discovery                         which cameras are there, and what they do
//! application --> device: pipeline, Script, firmware --> package
//! camera <--bytes--> xlink <--packets--> bootloader <--calls--> flash: plan, write, read back, boot
//! ```
//!
//! The upper half is pure: no sockets, no clock, no files. It is what remains with `--no-default-features`.

pub mod bootloader;
pub mod convert;
pub mod device;
pub mod discovery;
pub mod doctor;
pub mod error;
#[cfg(feature = "export")]
pub mod export;
pub mod flash;
pub mod frame;
pub mod hub;
#[cfg(feature = "net")]
pub mod live;
#[cfg(feature = "net")]
pub mod net;
pub mod overlay;
pub mod package;
#[cfg(feature = "net")]
pub mod recording;
#[cfg(feature = "net")]
pub mod sim;
#[cfg(feature = "net")]
pub mod sink;
#[cfg(feature = "net")]
pub mod source;
pub mod stats;
pub mod sync;
pub mod units;
#[cfg(feature = "net")]
pub mod view;
pub mod wire;
pub mod xlink;
