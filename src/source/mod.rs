//! Receives frames from one camera and reconnects when the connection is lost.
//!
//! `tcp` runs one connection, `listen` accepts incoming ones, `replay` plays a recording, `supervise` retries, and
//! [`Session`] is the handle.

mod connect;
pub mod control;
mod delivery;
pub mod error;
mod expected;
mod file;
mod incident;
mod listen;
mod monitor;
mod named;
mod options;
mod outlets;
mod played;
mod replay;
mod session;
mod spec;
mod state;
mod supervise;
mod tcp;
mod turn;

pub use error::{ConnContext, SourceError, SourceErrorClass, SourceErrorKind};
pub use file::FileSpec;
pub use incident::{Incident, IncidentEvent};
pub use monitor::Timeouts;
pub use named::{NamedSource, check_name, split_name};
pub use options::SessionOptions;
pub use outlets::Outlets;
pub use session::Session;
pub use spec::{SourceSpec, SourceSpecError};
pub use state::{Outside, SessionState};
