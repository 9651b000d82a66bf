//! Properties and ports of each kind of node, in the order of the firmware's structures.
//!
//! The defaults are those of the vendor's library, depthai 2.29 to 2.33 (bootloader.md 5.2). Structures have no member names,
//! so these tables are valid for the firmware of those versions only; `device::firmware` (feature `firmware`) checks its
//! commit. The signedness of the Rust types is part of the encoding.

mod camera;
mod encoder;
mod manip;
mod network;
mod script;

pub use camera::{ColorCamera, ColorOrder};
pub use encoder::{Profile, VideoEncoder};
pub use manip::{Fitting, FrameType, ImageManip};
pub use network::{DetectionNetwork, Family, NeuralNetwork, Parser};
pub use script::{Processor, Script, SystemLogger};

use super::nop::Value;
use super::schema::{Direction, Port};

/// The settings of one kind of node.
pub trait NodeSettings {
    /// The firmware's name of the kind.
    const KIND: &'static str;

    /// The firmware's properties structure.
    fn properties(&self) -> Value<'_>;

    /// Inputs and outputs.
    fn ports(&self) -> Vec<Port>;
}

/// Name of a model's asset: `asset:__blob` in the properties of node 1, `/node/1/__blob` in the package.
pub(super) const BLOB: &str = "__blob";
/// Name of the asset with a Script's program.
pub(super) const SCRIPT: &str = "__script";
const BLOB_URI: &str = "asset:__blob";
const SCRIPT_URI: &str = "asset:__script";

/// Group of a Script's ports.
pub(super) const IO: &str = "io";
/// Default queue size of a port (bootloader.md 5.2).
const QUEUE_SIZE: i64 = 8;

fn input(name: &str, blocking: bool, queue_size: i64, wait_for_message: bool) -> Port {
    Port {
        group: String::new(),
        name: name.to_owned(),
        direction: Direction::In,
        blocking,
        queue_size,
        wait_for_message,
    }
}

fn output(name: &str) -> Port {
    Port {
        group: String::new(),
        name: name.to_owned(),
        direction: Direction::Out,
        blocking: false,
        queue_size: QUEUE_SIZE,
        wait_for_message: false,
    }
}

#[cfg(test)]
mod tests;
