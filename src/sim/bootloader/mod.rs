//! The camera's other half: what answers when it is looked for, asked and flashed (bootloader.md), and what can go wrong
//! with that.
//!
//! ```text
//! CameraConfig --> Camera: Board (memories, what is in them, what runs)     knows no socket; time is an argument
//!                     +-- Session (xlink::Link, requests, writes) while a host is connected
//!                     +-- faults, each as often as is said
//!                  CameraSimulator: the same on real sockets, over a line that may be slow; its application streams
//! ```
//!
//! It is as strict as the real one says it is: checksums of packages, space, versions, the order in which flash is erased
//! and written. What is interrupted leaves what it would leave there: no application, or a bootloader that nobody hears
//! of again. What is unknown of the real one (bootloader.md 9) is an option, or says so where it is decided.

mod application;
mod board;
mod boots;
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
pub use camera::{Account, Camera, Doing};
pub use config::{Answering, CameraConfig, Opening, Start};
pub use fault::{CameraFaults, Fault};
pub use memory::{Memory, MemoryError, MemorySpec};
pub use server::CameraSimulator;
pub use shape::{Pipe, Shape};
pub use sockets::{Place, StartError};

#[cfg(test)]
mod tests;
