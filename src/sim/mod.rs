//! Simulated cameras: their pictures, their streams, their bootloaders, and the faults of each.
//!
//! ```text
//! SimConfig --> Reel (pictures, payloads and boxes that match them)
//!                 +--> Stream --> Turn: bytes of one frame, with faults, and its Truth     pure, seeded
//!                                  +--> Simulator: the same on a real socket, with the camera's queue
//! package --> Program --> RunningProgram: the Script of a real application, with the same pictures
//! ```
//!
//! [`Stream`] uses neither sockets nor clocks. A test can therefore pass any number of damaged frames through a decoder
//! in memory, and knows for each frame whether the decoder must return it:
//!
//! ```
//! use oaktap::sim::{SimConfig, Step, Stream};
//!
//! let config: SimConfig = "size=64x48&seed=7&fault=short:0.1,junk:0.1&fragment=1000".parse()?;
//! let mut stream = Stream::new(&config)?;
//! let (mut bytes, mut intact) = (0, 0);
//! for _ in 0..100 {
//!     let turn = stream.turn();
//!     for step in turn.steps() {
//!         match step {
//!             Step::Bytes(chunk) => bytes += chunk.len(), // at most 1000 at a time
//!             Step::Pause(_) => {}                         // the camera stalls here, 3 s by default
//!         }
//!     }
//!     intact += u32::from(turn.truth.intact()); // its payload, times and boxes are in `turn.truth`
//!     if turn.end.is_some() {
//!         // The connection has ended. The next turn begins a new one.
//!     }
//! }
//! assert!(bytes > 100 * 9000 && (50..100).contains(&intact));
//! # Ok::<(), oaktap::sim::SimError>(())
//! ```
//!
//! The simulator never makes damage that a receiver could not detect without a checksum. See [`Stream`].

mod application;
mod bitstream;
pub mod bootloader;
mod config;
mod connect;
mod contents;
mod control;
mod faults;
mod http;
#[cfg(feature = "mqtt")]
mod mqtt;
mod pixels;
mod queue;
mod random;
mod reel;
mod scene;
mod sending;
mod server;
mod stream;
mod udp;
mod video_file;

pub use application::{Program, ProgramError, RunningProgram};
pub use config::{Coding, SimConfig, SimError};
pub use connect::ConnectingCamera;
pub use faults::{Fault, Faults};
#[cfg(feature = "mqtt")]
pub use mqtt::{Broker, Certificates, Publisher};
pub use reel::{Reel, Still};
pub use server::{Sent, Simulator};
pub use stream::{End, Step, Stream, Truth, Turn};
pub use udp::DatagramCamera;
