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
mod replay;
mod session;
mod spec;
mod supervise;
mod tcp;
mod watch;

pub use error::{Class, ConnContext, SourceError, SourceErrorKind};
pub use file::FileSpec;
pub use incident::{Incident, What};
pub use session::{Outlets, Session, SessionOptions, SessionState};
pub use spec::{SourceSpec, SpecError};
pub use watch::Timeouts;
