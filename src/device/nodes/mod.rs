//! Nodes as the firmware wants them: how each is set, in the order of the members of its structure, and its ports.
//!
//! The defaults are those of the vendor's library, depthai 2.29 to 2.33 (bootloader.md 5.2): what it writes for a node on
//! which nothing was called. Members are told by their place alone, so these tables are for the firmware of those versions
//! and for no other; `firmware` (with the feature of that name) knows the commits. Which number has a sign is part of the
//! encoding, so it is that of the types here.

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

/// A kind of node, set in some way.
pub trait Settings {
    /// What the firmware calls this kind.
    const KIND: &'static str;

    /// The structure that tells the firmware how it is set.
    fn properties(&self) -> Value<'_>;

    /// Its ports.
    fn ports(&self) -> Vec<Port>;
}

/// The asset of a node that its properties name: `__blob` is `asset:__blob` there, and `/node/1/__blob` in the package.
pub(super) const BLOB: &str = "__blob";
/// The text of a Script, in the same way.
pub(super) const SCRIPT: &str = "__script";
const BLOB_URI: &str = "asset:__blob";
const SCRIPT_URI: &str = "asset:__script";

/// The group that the ports of a Script are in.
pub(super) const IO: &str = "io";
/// Messages that may wait at a port, unless it is set (bootloader.md 5.2).
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
