//! `oaktap publish --to zenoh://` and `--to ros2://`, with the router and the client of Eclipse Zenoh.

#[cfg(unix)]
mod bus;
#[cfg(unix)]
mod fleet;
#[cfg(unix)]
mod messages;
#[cfg(unix)]
mod outages;
#[cfg(unix)]
mod queries;
#[cfg(unix)]
mod ros2;
#[cfg(unix)]
mod source;

#[path = "../support/controlled_camera.rs"]
#[cfg(unix)]
mod controlled_camera;
#[path = "../support/external_tools.rs"]
#[cfg(unix)]
mod external_tools;
#[path = "../support/program.rs"]
#[cfg(unix)]
mod program;
#[path = "../publish/publishing.rs"]
#[cfg(unix)]
#[allow(dead_code)] // Its subscribers are those of MQTT.
mod publishing;
#[path = "../support/recordings.rs"]
#[cfg(unix)]
mod recordings;
