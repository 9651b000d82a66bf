//! Discovery messages of UDP port 11491, and the cameras that answered them.
//!
//! This module uses no sockets: [`Query`] and [`Answer`] convert from and to bytes, [`DiscoveredCameras`] merges answers into
//! one entry per camera, [`CameraWatch`] compares rounds of answers. `net::discovery` sends and receives.

mod camera;
mod datagram;
mod port_probe;
mod state;
mod subnet;
mod watch;

pub use camera::{CameraAddress, DiscoveredCamera, DiscoveredCameras};
pub use datagram::{Answer, AnswerError, LinkInfo, Query, is_camera_id};

pub use port_probe::PortProbe;
pub use state::CameraState;
pub use subnet::{Subnet, SubnetError};
pub use watch::{CameraChange, CameraWatch};

/// The UDP port of the cameras' discovery service (bootloader.md 1).
pub const PORT: u16 = 11_491;
