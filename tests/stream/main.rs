//! The stream of a camera from socket to session, with cameras that misbehave in every way that the simulator knows.

mod faults;
mod honesty;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod http_post;
mod luxonis_host;
#[cfg(all(feature = "http", feature = "mqtt"))]
mod mqtt;
mod session;
#[cfg(feature = "http")]
mod udp;
mod wire_bytes;
mod without_frames;

#[path = "../support/luxonis_page.rs"]
mod luxonis_page;

#[path = "../support/program.rs"]
mod program;
