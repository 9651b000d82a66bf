//! The MQTT broker mosquitto.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::external_tools::{free_port, system};
use crate::program::Running;

/// Starts mosquitto in a folder. `more`: the rest of its configuration. `None` if another program took the port.
pub(crate) fn start(folder: &Path, port: u16, more: &str) -> Option<Running> {
    let config = folder.join("mosquitto.conf");
    let here = folder.display();
    let text = format!(
        "user root\nper_listener_settings true\npersistence true\npersistence_location {here}/\n\
         listener {port} 127.0.0.1\nallow_anonymous true\n{more}"
    );
    std::fs::write(&config, text).expect("a file");
    // Debian installs it where users' shells do not look.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let mut broker = Command::new("mosquitto");
    broker.arg("-c").arg(&config).env("PATH", path).stdout(Stdio::null()).stderr(Stdio::null());
    let mut broker = Running(broker.spawn().expect("it starts"));
    let late = Instant::now() + Duration::from_secs(30);
    loop {
        if broker.0.try_wait().expect("a process").is_some() {
            return None;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some(broker);
        }
        assert!(Instant::now() < late, "nothing listens on port {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A broker with everything in memory and on disk in `folder`, and its port.
pub(crate) fn broker(folder: &Path, more: &dyn Fn() -> String) -> (Running, u16) {
    (0..10)
        .find_map(|_| {
            let port = free_port();
            Some((start(folder, port, &more())?, port))
        })
        .expect("a broker")
}

pub(crate) fn is_missing() -> bool {
    system("mosquitto").is_none() || system("mosquitto_pub").is_none()
}
