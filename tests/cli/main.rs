//! The program `oaktap` with cameras: exit codes, output, and what it says about the stream.

mod camera_records;
mod datagrams;
mod doctor_urls;
mod fleet;
mod general;
#[cfg(unix)]
mod http_peers;
mod json;
mod luxonis_camera;
#[cfg(unix)]
mod mqtt_peers;
mod output_fields;
mod own_senders;
mod python_sender;
mod recorded_streams;
mod recording_fields;
mod simulate_camera;
#[cfg(unix)]
mod simulate_peers;
mod streams;
#[cfg(unix)]
mod unread;
mod video;

#[cfg(unix)]
#[path = "../support/broker.rs"]
mod broker;
#[path = "../support/external_tools.rs"]
mod external_tools;
#[path = "../support/luxonis_page.rs"]
mod luxonis_page;
#[path = "../support/program.rs"]
mod program;
