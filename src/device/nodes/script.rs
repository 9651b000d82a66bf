//! The program on the camera, and what the camera says about itself.

use super::{SCRIPT_URI, Settings, Value, output};
use crate::device::schema::{Direction, Port};

/// The processor that runs a Script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// The one with sockets.
    LeonCss = 0,
    /// The one beside it, which is the vendor's default.
    LeonMss = 1,
}

/// Runs the text that is the asset `__script` of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The processor.
    pub processor: Processor,
    ports: Vec<Port>,
}

impl Script {
    /// One without ports.
    #[must_use]
    pub const fn new(processor: Processor) -> Self {
        Self { processor, ports: Vec::new() }
    }

    /// With one more input, at which so many messages may wait. Then the sender waits, or the oldest one goes.
    #[must_use]
    pub fn input(mut self, name: &str, blocking: bool, queue_size: u32) -> Self {
        self.ports.push(Port { direction: Direction::In, blocking, queue_size: queue_size.into(), ..port(name) });
        self
    }

    /// With one more output.
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

impl Settings for Script {
    const KIND: &'static str = "Script";

    fn properties(&self) -> Value<'_> {
        // The name of a text that was given none.
        Value::Structure(vec![SCRIPT_URI.into(), "<script>".into(), (self.processor as i32).into()])
    }

    fn ports(&self) -> Vec<Port> {
        self.ports.clone()
    }
}

/// Tells temperature, load and memory now and then.
#[derive(Clone, Debug, PartialEq)]
pub struct SystemLogger {
    /// How often in a second.
    pub rate_hz: f32,
}

impl Default for SystemLogger {
    fn default() -> Self {
        Self { rate_hz: 1.0 }
    }
}

impl Settings for SystemLogger {
    const KIND: &'static str = "SystemLogger";

    fn properties(&self) -> Value<'_> {
        Value::Structure(vec![self.rate_hz.into()])
    }

    fn ports(&self) -> Vec<Port> {
        vec![output("out")]
    }
}
