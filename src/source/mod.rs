//! Receives frames from one camera and reconnects when the connection is lost.
//!
//! A kind of source is an implementation of `attempt::Source`: `tcp` for streams with headers, with `listen` for incoming
//! connections. `supervise` retries, `reception` delivers the events of a connection and judges its silence, `replay` plays
//! a recording, and [`Session`] is the handle.

mod attempt;
mod connect;
pub mod control;
mod delivery;
pub mod error;
mod expected;
mod file;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod http_post;
mod incident;
mod listen;
mod monitor;
mod named;
mod options;
mod outlets;
mod played;
#[cfg(feature = "http")]
mod png;
mod reception;
mod replay;
mod session;
mod spec;
mod state;
mod supervise;
mod tcp;
mod turn;
mod udp;

pub use error::{ConnContext, SourceError, SourceErrorClass, SourceErrorKind};
pub use file::FileSpec;
#[cfg(feature = "http")]
pub use http::{Credentials, HttpError, HttpSpec, Password};
#[cfg(feature = "http")]
pub use http_post::HttpPostSpec;
pub use incident::{Incident, IncidentEvent};
pub use monitor::Timeouts;
pub use named::{NamedSource, check_name, split_name};
pub use options::SessionOptions;
pub use outlets::{Continuity, Outlets};
pub use session::Session;
pub use spec::{SourceSpec, SourceSpecError, without_password};
pub use state::{Outside, SessionState};
pub use udp::UdpSpec;
