//! The camera, faked: what it sees, what it says, and everything that can go wrong on the way.
//!
//! ```text
//! SimConfig --> Reel (pictures, payloads and boxes that match them)
//!                 +--> Stream --> Turn: bytes of one frame, faults and all, and the Truth about it     pure, seeded
//!                                  +--> Simulator: the same on a real socket, with the camera's queue
//! package --> Program --> Running: the Script of a real application, with the same pictures
//! ```
//!
//! Everything up to [`Stream`] knows no socket and no clock, so a test can push any number of damaged frames through
//! a decoder in memory and knows of each whether it must come out at the other end:
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
//!             Step::Pause(_) => {}                         // the camera stalls here
//!         }
//!     }
//!     intact += u32::from(turn.truth.intact()); // its payload, times and boxes are in `turn.truth`
//!     if turn.end.is_some() {
//!         // The connection is over; the next turn is the first of a new one.
//!     }
//! }
//! assert!(bytes > 100 * 9000 && (50..100).contains(&intact));
//! # Ok::<(), oaktap::sim::SimError>(())
//! ```
//!
//! What is not made: damage that no receiver could tell from an intact frame without a checksum. See [`Stream`].

mod application;
mod bitstream;
pub mod bootloader;
mod config;
mod faults;
mod pixels;
mod queue;
mod random;
mod reel;
mod scene;
mod server;
mod stream;

pub use application::{Program, ProgramError, Running};
pub use config::{Coding, SimConfig, SimError};
pub use faults::{Fault, Faults};
pub use reel::{Reel, Still};
pub use server::{Sent, Simulator};
pub use stream::{End, Step, Stream, Truth, Turn};
