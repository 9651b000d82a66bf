//! `oaktap publish`, with mosquitto as the broker, its clients, the rules of Home Assistant, and a client of Foxglove's protocol.

#[cfg(unix)]
mod beside;
#[cfg(unix)]
mod foxglove;
#[cfg(unix)]
mod home_assistant;
#[cfg(unix)]
mod messages;
#[cfg(unix)]
mod outages;
#[cfg(unix)]
mod publishing;

#[path = "../support/broker.rs"]
#[cfg(unix)]
mod broker;
#[path = "../support/controlled_camera.rs"]
#[cfg(unix)]
mod controlled_camera;
#[path = "../support/external_tools.rs"]
#[cfg(unix)]
mod external_tools;
#[path = "../support/program.rs"]
#[cfg(unix)]
mod program;
#[path = "../support/recordings.rs"]
#[cfg(unix)]
mod recordings;
