//! The program on the camera, and the camera's health messages.

use super::{NodeSettings, SCRIPT_URI, Value, output};
use crate::device::schema::{Direction, Port};

/// The processor that runs a Script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// The processor with network sockets.
    LeonCss = 0,
    /// The vendor's default.
    LeonMss = 1,
}

/// Runs a Python program, the asset `__script` of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The processor that runs it.
    pub processor: Processor,
    ports: Vec<Port>,
}

impl Script {
    /// A Script without ports.
    #[must_use]
    pub const fn new(processor: Processor) -> Self {
        Self { processor, ports: Vec::new() }
    }

    /// Adds an input with a queue of `queue_size` messages. When it is full, the sender waits (`blocking`), or the oldest
    /// message is dropped.
    #[must_use]
    pub fn input(mut self, name: &str, blocking: bool, queue_size: u32) -> Self {
        self.ports.push(Port { direction: Direction::In, blocking, queue_size: queue_size.into(), ..port(name) });
        self
    }

    /// Adds an output.
    #[must_use]
    pub fn output(mut self, name: &str) -> Self {
        self.ports.push(port(name));
        self
    }
}

/// An output in the group of a Script's ports.
fn port(name: &str) -> Port {
    Port { group: super::IO.to_owned(), ..output(name) }
}

impl NodeSettings for Script {
    const KIND: &'static str = "Script";

    fn properties(&self) -> Value<'_> {
        // The vendor's default name of a program.
        Value::Structure(vec![SCRIPT_URI.into(), "<script>".into(), (self.processor as i32).into()])
    }

    fn ports(&self) -> Vec<Port> {
        self.ports.clone()
    }
}

/// Sends temperature, load and memory use.
#[derive(Clone, Debug, PartialEq)]
pub struct SystemLogger {
    /// Messages per second.
    pub rate_hz: f32,
}

impl Default for SystemLogger {
    fn default() -> Self {
        Self { rate_hz: 1.0 }
    }
}

impl NodeSettings for SystemLogger {
    const KIND: &'static str = "SystemLogger";

    fn properties(&self) -> Value<'_> {
        Value::Structure(vec![self.rate_hz.into()])
    }

    fn ports(&self) -> Vec<Port> {
        vec![output("out")]
    }
}
