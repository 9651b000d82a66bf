//! A simulated camera with its bootloader, which can be discovered, queried and flashed (bootloader.md), and its faults.
//!
//! ```text
//! CameraConfig --> SimulatedCamera: Board (memories and running bootloader)     no sockets; time is an argument
//!                     +-- Session (xlink::Link, requests, writes) while a host is connected
//!                     +-- CameraFaults, each with the number of times that it occurs
//!                  CameraSimulator: the same on real sockets, over a line that may be slow; its application streams
//! ```
//!
//! It is as strict as the messages of the real bootloader: it checks package checksums, space and versions, and erases and
//! writes flash in the same order. An interrupted write therefore leaves the same damage: no application, or a bootloader
//! that no longer starts. Unknown behavior of the real one (bootloader.md 9) is an option or has a comment at its code.

mod application;
mod board;
mod booted;
mod camera;
mod config;
mod fault;
mod line;
mod map;
mod memory;
mod server;
mod session;
mod settings;
mod shape;
mod sockets;
mod writing;

pub use board::CameraError;
pub use camera::{Activity, CameraHistory, SimulatedCamera};
pub use config::{CameraConfig, DiscoveryFormat, InitialState, StreamOpening};
pub use fault::{CameraFault, CameraFaults};
pub use memory::{MemoryChip, MemoryError, MemorySpec};
pub use server::CameraSimulator;
pub use shape::{LineShape, Pipe};
pub use sockets::{Place, StartError};

#[cfg(test)]
mod tests;
