//! Runs a Script: a Python process with a Script node in it, and a thread that simulates the sensor.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{MessageKind, Program, ProgramError};
use crate::net::serving::StopSignal;
use crate::sim::config::SimConfig;
use crate::sim::reel::{Reel, Still};
use crate::sync::locked;
use crate::wire;

/// The Script node and its environment, as a Python program.
const NODES: &str = include_str!("nodes.py");
/// Interval between the messages of a SystemLogger.
const SYSTEM_INTERVAL: Duration = Duration::from_secs(1);

/// A running program. It ends when this value is dropped, or with this process.
pub struct RunningProgram {
    child: Child,
    shared: Arc<Shared>,
}

impl fmt::Debug for RunningProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningProgram").field("process", &self.child.id()).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Shared {
    stopping: StopSignal,
    progress: Mutex<ProgramProgress>,
    changed: Condvar,
    frames: AtomicU64,
}

#[derive(Debug, Default)]
struct ProgramProgress {
    listening: Option<SocketAddr>,
    /// The reason why the program has ended.
    ended: Option<String>,
}

impl Shared {
    fn progress(&self) -> MutexGuard<'_, ProgramProgress> {
        // Plain values stay valid after a panic.
        locked(&self.progress)
    }
}

impl Program {
    /// Runs the program as the camera `id`. Its listeners bind to `ip`. The first one binds to `port` instead of its own
    /// port, unless `port` is [`wire::PORT`].
    ///
    /// # Errors
    /// [`ProgramError`] if there is no Python, the program cannot be started, or the pictures of the application cannot be
    /// simulated.
    pub fn start(&self, ip: Ipv4Addr, port: u16, id: &str, config: &SimConfig) -> Result<RunningProgram, ProgramError> {
        let reel = Reel::new(&self.scene(config))?;
        let mut child = Command::new(if cfg!(windows) { "python" } else { "python3" })
            // Isolated from the user's site packages and PYTHON* variables.
            .args(["-I", "-u", "-c", NODES])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => ProgramError::NoPython,
                _ => ProgramError::Start(error),
            })?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let mut running = RunningProgram { child, shared: Arc::default() };
        let Some((mut stdin, stdout)) = pipes else {
            return Err(ProgramError::Start(io::ErrorKind::BrokenPipe.into()));
        };
        let piece = config.faults.fragment.map_or(0, usize::from);
        self.send_start(&mut stdin, (ip, port), id, piece).map_err(ProgramError::Start)?;
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let shared = Arc::clone(&running.shared);
        thread("sim-script").spawn(move || read_events(stdout, &shared)).map_err(ProgramError::Start)?;
        let (program, shared) = (self.clone(), Arc::clone(&running.shared));
        thread("sim-sensor").spawn(move || program.feed(stdin, &reel, &shared)).map_err(ProgramError::Start)?;
        if let Ok(Some(status)) = running.child.try_wait() {
            return Err(ProgramError::Start(io::Error::other(format!("python3 ended immediately: {status}"))));
        }
        Ok(running)
    }

    fn send_start(&self, to: &mut ChildStdin, (ip, port): (Ipv4Addr, u16), id: &str, piece: usize) -> io::Result<()> {
        let port = (port != wire::PORT).then_some(port);
        let queue = |input: &super::Input| json!({"blocking": input.blocking, "size": input.size});
        let inputs: serde_json::Map<_, _> =
            self.inputs.iter().map(|input| (input.name.clone(), queue(input))).collect();
        // For our own program, run the text of this binary and not the one of the package, which is not trusted.
        let (parameters, text) = match &self.parameters {
            Some(parameters) => (Some(parameters.to_string()), crate::device::script::PROGRAM),
            None => (None, self.text.as_str()),
        };
        let start = json!({
            "inputs": inputs, "outputs": self.outputs, "device_id": id, "ip": ip, "port": port, "piece": piece, "clock": false,
            "parameters": parameters.as_ref().map(String::len), "program": text.len(),
        });
        to.write_all(format!("{start}\n{}{text}", parameters.unwrap_or_default()).as_bytes())
    }

    /// Simulates the sensor and the network until the program ends.
    fn feed(&self, mut to: ChildStdin, reel: &Reel, shared: &Shared) {
        let period = Duration::from_secs_f64(1.0 / reel.config().fps);
        let begun = Instant::now();
        let producers = self.producers();
        let (mut next, mut system) = (0_u64, Duration::ZERO);
        loop {
            let due = period.saturating_mul(u32::try_from(next).unwrap_or(u32::MAX));
            if !shared.stopping.wait_until(begun + due) {
                return;
            }
            let is_second = begun.elapsed() >= system;
            if is_second {
                system += SYSTEM_INTERVAL;
            }
            let still = reel.still(next);
            let size = reel.config().size;
            for inputs in producers.values() {
                if self.deliver(&mut to, inputs, (next, due), still, size, is_second).is_err() {
                    return;
                }
            }
            shared.frames.fetch_add(1, Ordering::Relaxed);
            next += 1;
            // A real sensor does not catch up: it skips the frames that are overdue.
            let current = (begun.elapsed().as_nanos() / period.as_nanos().max(1)) as u64;
            next = next.max(current);
        }
    }

    /// Sends one frame's messages of one node.
    fn deliver(
        &self,
        to: &mut ChildStdin,
        inputs: &[(&str, MessageKind)],
        (seq, at): (u64, Duration),
        still: &Still,
        (width, height): (u32, u32),
        is_second: bool,
    ) -> io::Result<()> {
        let us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        let mut pictures = 0;
        let messages: Vec<Value> = inputs
            .iter()
            .filter(|(_, kind)| is_second || *kind != MessageKind::System)
            .map(|(name, kind)| match kind {
                MessageKind::Picture => {
                    pictures += 1;
                    json!({"to": name, "kind": "ImgFrame", "seq": seq, "us": us, "width": width, "height": height,
                        "type": self.parameters.as_ref().map_or("", |own| &own.r#type), "bytes": still.payload.len()})
                }
                MessageKind::Boxes => {
                    json!({"to": name, "kind": "ImgDetections", "seq": seq, "us": us, "boxes": self.boxes(still)})
                }
                // The values of an idle indoor camera with a model.
                MessageKind::System => {
                    json!({"to": name, "kind": "SystemInformation", "celsius": 47.5, "css": 0.62, "mss": 0.13})
                }
            })
            .collect();
        if messages.is_empty() {
            return Ok(());
        }
        to.write_all(format!("{}\n", json!({ "deliver": messages })).as_bytes())?;
        (0..pictures).try_for_each(|_| to.write_all(&still.payload))?;
        to.flush()
    }

    /// Returns the boxes of a picture in the coordinates of the network's input, with labels among its classes.
    fn boxes(&self, still: &Still) -> Vec<Value> {
        let [a, b, c, d] = self.parameters.as_ref().map_or([1.0, 0.0, 1.0, 0.0], |own| own.map);
        let classes = self.parameters.as_ref().map_or(0, |own| own.labels.len()) as u32;
        let to_input = |value: f32, scale: f64, offset: f64| (f64::from(value) - offset) / scale;
        still
            .detections
            .iter()
            .map(|found| {
                let label = if classes == 0 { found.label } else { found.label % classes };
                let at = found.bbox;
                let (left, right) = (to_input(at.xmin, a, b), to_input(at.xmax, a, b));
                let (top, bottom) = (to_input(at.ymin, c, d), to_input(at.ymax, c, d));
                json!([label, found.confidence, left, top, right, bottom])
            })
            .collect()
    }
}

/// Reads and logs the events of the program until its output ends.
fn read_events(from: ChildStdout, shared: &Shared) {
    for line in BufReader::new(from).lines().map_while(Result::ok) {
        let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
        if let (Some(level), Some(text)) = (event["said"].as_str(), event["text"].as_str()) {
            match level {
                "warn" | "error" | "critical" => tracing::info!("simulated program: {text}"),
                _ => tracing::debug!("simulated program: {text}"),
            }
        } else if let Some(output) = event["sent"].as_str() {
            tracing::info!("simulated program: sent to {output}: {}", event["calls"]);
        } else if let Some([ip, port]) = event["listening"].as_array().map(Vec::as_slice) {
            let address = ip.as_str().and_then(|ip| ip.parse().ok()).zip(port.as_u64());
            shared.progress().listening =
                address.map(|(ip, port): (std::net::IpAddr, u64)| SocketAddr::new(ip, port as u16));
        } else if let Some(why) = event["ended"].as_str() {
            tracing::warn!("simulated program has ended: {}", why.trim_end());
            shared.progress().ended = Some(why.trim_end().to_owned());
        }
        shared.changed.notify_all();
    }
    shared.progress().ended.get_or_insert_with(|| "its process has ended".to_owned());
    shared.changed.notify_all();
}

impl RunningProgram {
    /// Waits at most `limit` for the program to listen and returns its address, or `None` after a timeout.
    ///
    /// # Errors
    /// Python's traceback if the program has ended.
    pub fn listening(&self, limit: Duration) -> Result<Option<SocketAddr>, String> {
        let until = Instant::now() + limit;
        let mut progress = self.shared.progress();
        loop {
            if let Some(ended) = &progress.ended {
                return Err(ended.clone());
            }
            let left = until.saturating_duration_since(Instant::now());
            if progress.listening.is_some() || left.is_zero() {
                return Ok(progress.listening);
            }
            progress = self.shared.changed.wait_timeout(progress, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Returns the number of pictures that the sensor has taken.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.shared.frames.load(Ordering::Relaxed)
    }
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        self.shared.stopping.stop();
        // The process may have ended already. The threads end when its pipes close.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
