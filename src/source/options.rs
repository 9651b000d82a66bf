//! Options of a session.

use super::Timeouts;
use crate::device::contract::Contract;
use crate::frame::{Frame, Interpreter, Pool};
use crate::recording::playback::Playback;
use crate::wire::Limits;

/// How a session goes about it.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// What the camera may ask for.
    pub limits: Limits,
    /// What payloads are taken for.
    pub interpreter: Interpreter,
    /// Where the memory of frames comes from: one for all cameras.
    pub frames: Pool<Frame>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// Whose stream it should be. With another one the session ends, and no frame of it is shown or kept.
    pub expect: Option<Contract>,
    /// Whether to connect again when the connection ends.
    pub reconnect: bool,
    /// What cameras of a recording take part in to keep together; `None`: each has its own, as its source says.
    pub playback: Option<Playback>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            interpreter: Interpreter::default(),
            frames: Pool::default(),
            timeouts: Timeouts::default(),
            expect: None,
            reconnect: true,
            playback: None,
        }
    }
}
