//! A camera's address -> its frames, for days: connecting, losing it, connecting again.
//!
//! `tcp` is one honest attempt (or `door`, where the camera comes by itself); `supervise` is the loop around it; a [`Session`] is what others see of both.

pub mod control;
mod delivery;
mod door;
pub mod error;
mod expected;
mod file;
mod incident;
mod options;
mod outlets;
mod replay;
mod session;
mod spec;
mod state;
mod supervise;
mod tcp;
mod watch;

pub use error::{Class, ConnContext, SourceError, SourceErrorKind};
pub use file::FileSpec;
pub use incident::{Incident, What};
pub use options::SessionOptions;
pub use outlets::Outlets;
pub use session::Session;
pub use spec::{SourceSpec, SpecError};
pub use state::SessionState;
pub use watch::Timeouts;
