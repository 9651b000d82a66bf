//! A router, clients, and the messages that they receive.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use serde_json::Value;

use oaktap::recording::schema::WireMessage;

use crate::external_tools::{free_port, has_python_package, program};
use crate::program::Running;

/// Longer than any operation takes on a busy machine.
const AGES: Duration = Duration::from_secs(120);

/// Returns whether there is no router. Panics in CI without it.
pub(crate) fn is_missing() -> bool {
    !has_python_package("zenoh")
}

/// A script of `tests/python` that prints lines. It ends with the test, because its standard input does.
pub(crate) struct Script {
    pub(crate) process: Running,
    lines: Receiver<String>,
}

impl Script {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(name);
        let mut command = program("python").expect("Python");
        command.arg(script).args(arguments);
        Self::of(&mut command)
    }

    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { process: Running(child), lines }
    }

    /// Waits for the next line; `None` if it has ended.
    fn line(&self) -> Option<String> {
        self.lines.recv_timeout(AGES).map_err(|error| assert!(!error.to_string().contains("timed out"), "{error}")).ok()
    }

    /// Waits for the next line of a program that prints text; `None` if it has ended.
    pub(crate) fn next_line(&self) -> Option<String> {
        self.line()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let line = self.line().expect("it has not ended");
        serde_json::from_str(&line).expect(&line)
    }
}

/// Starts a router at this port of 127.0.0.1. `None` if another program took the port.
pub(crate) fn router_at(port: u16) -> Option<Script> {
    let router = Script::start("zenoh_router.py", &[&port.to_string()]);
    (router.line().as_deref() == Some("ready")).then_some(router)
}

/// A router, and its port.
pub(crate) fn router() -> (Script, u16) {
    let start = |_| {
        let port = free_port();
        Some((router_at(port)?, port))
    };
    (0..10).find_map(start).expect("a router")
}

/// Returns the target for `--to`.
pub(crate) fn target(port: u16) -> String {
    format!("zenoh://127.0.0.1:{port}/rack")
}

/// `oaktap.Stamp`, as docs/zenoh.md describes it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Stamp {
    #[prost(uint64, tag = "1")]
    pub(crate) seq: u64,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) wire: Vec<u8>,
    #[prost(sfixed64, tag = "3")]
    pub(crate) arrival_unix_ns: i64,
    #[prost(sfixed64, tag = "4")]
    pub(crate) sent_unix_ns: i64,
    #[prost(uint64, optional, tag = "5")]
    pub(crate) clock_error_ns: Option<u64>,
    #[prost(sfixed64, optional, tag = "6")]
    pub(crate) capture_unix_ns: Option<i64>,
}

/// A message that a subscriber has received.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) key: String,
    pub(crate) encoding: String,
    pub(crate) priority: String,
    pub(crate) payload: Vec<u8>,
    attachment: Option<Vec<u8>>,
}

impl Sample {
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp::decode(&self.attachment.as_ref().expect("an attachment")[..]).expect("a stamp")
    }

    pub(crate) fn wire(&self) -> WireMessage {
        WireMessage::decode(&self.stamp().wire[..]).expect("a wire message")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).expect("JSON")
    }
}

/// A subscriber of these keys, which are declared at its router.
pub(crate) struct Subscriber {
    pub(crate) script: Script,
    pub(crate) received: Vec<Sample>,
}

impl Subscriber {
    pub(crate) fn start(port: u16, keys: &[&str]) -> Self {
        let port = port.to_string();
        let script = Script::start("zenoh_client.py", &[&[port.as_str(), "subscribe"][..], keys].concat());
        assert_eq!(script.json()["ready"], true);
        Self { script, received: Vec::new() }
    }

    fn sample(line: &Value) -> Sample {
        let bytes = |field: &str| line[field].as_str().map(|text| STANDARD.decode(text).expect("base64"));
        let text = |field: &str| line[field].as_str().expect("text").to_owned();
        Sample {
            key: text("key"),
            encoding: text("encoding"),
            priority: text("priority"),
            payload: bytes("payload").unwrap_or_default(),
            attachment: bytes("attachment"),
        }
    }

    /// Waits for a message.
    #[track_caller]
    pub(crate) fn until(&mut self, mut is_it: impl FnMut(&Sample) -> bool) -> Sample {
        loop {
            let sample = Self::sample(&self.script.json());
            self.received.push(sample.clone());
            if is_it(&sample) {
                return sample;
            }
        }
    }

    /// Returns the next message, of a publisher that has ended: those that it sent arrive within a second, if at all.
    pub(crate) fn next_now(&mut self) -> Option<Sample> {
        let line = self.script.lines.recv_timeout(Duration::from_secs(1)).ok()?;
        Some(Self::sample(&serde_json::from_str(&line).expect(&line)))
    }

    /// Waits until so many messages have arrived on a key.
    #[track_caller]
    pub(crate) fn count_on(&mut self, key: &str, count: usize) {
        while self.on(key).len() < count {
            self.until(|_| true);
        }
    }

    /// The messages on a key so far.
    pub(crate) fn on(&self, key: &str) -> Vec<&Sample> {
        self.received.iter().filter(|sample| sample.key == key).collect()
    }
}

/// Observes the liveliness tokens of a key.
pub(crate) struct Tokens(Script);

impl Tokens {
    pub(crate) fn start(port: u16, key: &str) -> Self {
        Self(Script::start("zenoh_client.py", &[&port.to_string(), "alive", key]))
    }

    /// Waits until a token appears or disappears.
    #[track_caller]
    pub(crate) fn until(&self, key: &str, is_alive: bool) {
        loop {
            let line = self.0.json();
            if line["key"] == key && line["alive"] == is_alive {
                return;
            }
        }
    }
}

/// Queries a key, and returns all replies: `ok` or `error`.
pub(crate) fn get(port: u16, key: &str, payload: &[&str]) -> Vec<Value> {
    let port = port.to_string();
    let script = Script::start("zenoh_client.py", &[&[port.as_str(), "get", key][..], payload].concat());
    std::iter::repeat_with(|| script.json()).take_while(|line| *line != serde_json::json!({})).collect()
}
