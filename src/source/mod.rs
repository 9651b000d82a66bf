//! Receives frames from one camera and reconnects when the connection is lost.
//!
//! A kind of source is an implementation of `attempt::Source`: `tcp` for streams with headers, with `listen` for incoming
//! connections. `supervise` retries, `reception` delivers the events of a connection and judges its silence, `replay` plays
//! a recording, and [`Session`] is the handle.

mod attempt;
mod beside;
mod connect;
pub mod control;
#[cfg(any(feature = "http", feature = "mqtt", feature = "zenoh"))]
mod credentials;
mod delivery;
pub mod error;
mod expected;
mod file;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod http_post;
mod incident;
mod lead_in;
mod listen;
mod monitor;
#[cfg(feature = "mqtt")]
mod mqtt;
mod named;
mod options;
mod outlets;
mod place;
mod played;
#[cfg(any(feature = "http", feature = "mqtt"))]
mod png;
mod reception;
mod repeated_warning;
mod replay;
mod session;
mod spec;
mod state;
mod supervise;
mod tcp;
mod turn;
mod udp;
mod value_hints;
#[cfg(feature = "zenoh")]
mod zenoh;

#[cfg(feature = "mqtt")]
pub(crate) use connect::{connect, keep_alive};
#[cfg(any(feature = "http", feature = "mqtt", feature = "zenoh"))]
pub use credentials::{Credentials, Password};
pub use error::{Advise, ConnContext, SourceError, SourceErrorClass, SourceErrorKind};
#[cfg(feature = "serve")]
pub(crate) use file::unescape;
pub use file::{FileSpec, source_text};
#[cfg(feature = "http")]
pub use http::{HttpError, HttpSpec};
#[cfg(feature = "http")]
pub use http_post::HttpPostSpec;
pub use incident::{Incident, IncidentEvent, Measurement};
#[cfg(feature = "mqtt")]
pub(crate) use monitor::Backoff;
pub use monitor::Timeouts;
#[cfg(feature = "mqtt")]
pub use mqtt::{MqttError, MqttSpec};
pub use named::{NamedSource, check_name, split_name};
pub use options::SessionOptions;
pub use outlets::{Continuity, Outlets};
#[cfg(feature = "serve")]
pub(crate) use repeated_warning::RepeatedWarning;
pub use session::Session;
pub use spec::{SourceSpec, SourceSpecError, intended, without_password};
pub use state::{Outside, SessionState};
pub use udp::UdpSpec;
#[cfg(feature = "zenoh")]
pub use zenoh::{FleetCamera, FleetReceiver, FleetState, ZenohError, ZenohFleet, ZenohRouter, ZenohSpec};
