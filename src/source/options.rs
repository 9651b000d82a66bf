//! Options of a session.

use std::sync::Arc;
use std::time::Duration;

use super::Timeouts;
use crate::device::contract::Contract;
use crate::frame::{Frame, Interpreter, LabelMap, Pool};
use crate::recording::playback::Playback;
use crate::wire::Limits;

/// Options of a session. The default accepts any stream and reconnects.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Largest sizes that a header may announce.
    pub limits: Limits,
    /// Infers the layout of payloads.
    pub interpreter: Interpreter,
    /// Memory for frames. One pool for all cameras.
    pub frames: Pool<Frame>,
    /// Timeouts of a connection.
    pub timeouts: Timeouts,
    /// Expected application. The stream of another one ends the session with an error, and its frames are not delivered.
    pub expect: Option<Contract>,
    /// Names of classes given by the user. A class without a name is logged once.
    pub names: Option<Arc<LabelMap>>,
    /// Connects again when a connection ends.
    pub reconnect: bool,
    /// Time between two attempts before the first frame after an error that ends a session otherwise, although its cause may
    /// go away: see [`SourceError::is_refusal`](super::SourceError::is_refusal). `None`, the default: the session ends.
    pub retry_refused: Option<Duration>,
    /// Playback clock shared by the cameras of a recording. `None`: one per camera, with the options of its source.
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
            names: None,
            reconnect: true,
            retry_refused: None,
            playback: None,
        }
    }
}
