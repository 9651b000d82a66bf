//! A Script that runs: a Python with a Script node in it, and the thread that is its sensor.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Kind, Program, ProgramError};
use crate::net::serving::StopSignal;
use crate::sim::config::SimConfig;
use crate::sim::reel::{Reel, Still};
use crate::wire;

/// Script nodes for Python, with the program's surroundings.
const NODES: &str = include_str!("nodes.py");
/// How often a SystemLogger says how the camera is.
const SYSTEM_EVERY: Duration = Duration::from_secs(1);

/// A program that runs. Dropping it ends it; it does not outlive this process either.
pub struct Running {
    child: Child,
    state: Arc<State>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("process", &self.child.id()).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    stopping: StopSignal,
    told: Mutex<Told>,
    news: Condvar,
    frames: AtomicU64,
}

#[derive(Debug, Default)]
struct Told {
    listening: Option<SocketAddr>,
    ended: Option<String>,
}

impl State {
    fn told(&self) -> MutexGuard<'_, Told> {
        // Plain values: they are whole whoever panicked.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Program {
    /// Runs it as the camera `id` at this address. Where it listens everywhere it listens there: at the port that it
    /// names itself, if `port` is the usual one, or else at `port`.
    ///
    /// # Errors
    /// There is no Python, or what the application shows cannot be simulated.
    pub fn start(&self, ip: Ipv4Addr, port: u16, id: &str, config: &SimConfig) -> Result<Running, ProgramError> {
        let reel = Reel::new(&self.scene(config))?;
        let mut child = Command::new(if cfg!(windows) { "python" } else { "python3" })
            // Nothing of the user's surroundings gets in.
            .args(["-I", "-u", "-c", NODES])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => ProgramError::NoPython,
                _ => ProgramError::Start(error),
            })?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let mut running = Running { child, state: Arc::default() };
        let Some((mut stdin, stdout)) = pipes else {
            return Err(ProgramError::Start(io::ErrorKind::BrokenPipe.into()));
        };
        let piece = config.faults.fragment.map_or(0, usize::from);
        self.introduce(&mut stdin, (ip, port), id, piece).map_err(ProgramError::Start)?;
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let state = Arc::clone(&running.state);
        thread("sim-script").spawn(move || listen(stdout, &state)).map_err(ProgramError::Start)?;
        let (program, state) = (self.clone(), Arc::clone(&running.state));
        thread("sim-sensor").spawn(move || program.feed(stdin, &reel, &state)).map_err(ProgramError::Start)?;
        if let Ok(Some(status)) = running.child.try_wait() {
            return Err(ProgramError::Start(io::Error::other(format!("python3 ended at once: {status}"))));
        }
        Ok(running)
    }

    fn introduce(&self, to: &mut ChildStdin, (ip, port): (Ipv4Addr, u16), id: &str, piece: usize) -> io::Result<()> {
        let port = (port != wire::PORT).then_some(port);
        let queue = |input: &super::Input| json!({"blocking": input.blocking, "size": input.size});
        let inputs: serde_json::Map<_, _> =
            self.inputs.iter().map(|input| (input.name.clone(), queue(input))).collect();
        // Of our own program it is the text that is in here which runs, with values for its parameters.
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

    /// Is the sensor, and the network, until nobody listens any more.
    fn feed(&self, mut to: ChildStdin, reel: &Reel, state: &State) {
        let period = Duration::from_secs_f64(1.0 / reel.config().fps);
        let begun = Instant::now();
        let producers = self.producers();
        let (mut next, mut system) = (0_u64, Duration::ZERO);
        loop {
            let due = period.saturating_mul(u32::try_from(next).unwrap_or(u32::MAX));
            if !state.stopping.wait_until(begun + due) {
                return;
            }
            let is_second = begun.elapsed() >= system;
            if is_second {
                system += SYSTEM_EVERY;
            }
            let still = reel.still(next);
            let size = reel.config().size;
            for inputs in producers.values() {
                if self.deliver(&mut to, inputs, (next, due), still, size, is_second).is_err() {
                    return;
                }
            }
            state.frames.fetch_add(1, Ordering::Relaxed);
            next += 1;
            // The sensor does not catch up: what was not taken in time is not taken.
            let on_the_beat = (begun.elapsed().as_nanos() / period.as_nanos().max(1)) as u64;
            next = next.max(on_the_beat);
        }
    }

    /// What one node sends at a time.
    fn deliver(
        &self,
        to: &mut ChildStdin,
        inputs: &[(&str, Kind)],
        (seq, at): (u64, Duration),
        still: &Still,
        (width, height): (u32, u32),
        is_second: bool,
    ) -> io::Result<()> {
        let us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        let mut pictures = 0;
        let messages: Vec<Value> = inputs
            .iter()
            .filter(|(_, kind)| is_second || *kind != Kind::System)
            .map(|(name, kind)| match kind {
                Kind::Picture => {
                    pictures += 1;
                    json!({"to": name, "kind": "ImgFrame", "seq": seq, "us": us, "width": width, "height": height,
                        "type": self.parameters.as_ref().map_or("", |own| &own.r#type), "bytes": still.payload.len()})
                }
                Kind::Boxes => {
                    json!({"to": name, "kind": "ImgDetections", "seq": seq, "us": us, "boxes": self.boxes(still)})
                }
                // What a camera with a model says of itself at its desk.
                Kind::System => {
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

    /// The boxes of a picture as a network sees them, in its own input and with the classes that it knows.
    fn boxes(&self, still: &Still) -> Vec<Value> {
        let [a, b, c, d] = self.parameters.as_ref().map_or([1.0, 0.0, 1.0, 0.0], |own| own.map);
        let classes = self.parameters.as_ref().map_or(0, |own| own.labels.len()) as u32;
        let seen = |value: f32, scale: f64, offset: f64| (f64::from(value) - offset) / scale;
        still
            .detections
            .iter()
            .map(|found| {
                let label = if classes == 0 { found.label } else { found.label % classes };
                let at = found.bbox;
                let (left, right) = (seen(at.xmin, a, b), seen(at.xmax, a, b));
                let (top, bottom) = (seen(at.ymin, c, d), seen(at.ymax, c, d));
                json!([label, found.confidence, left, top, right, bottom])
            })
            .collect()
    }
}

/// Hears what the program does.
fn listen(from: ChildStdout, state: &State) {
    for line in BufReader::new(from).lines().map_while(Result::ok) {
        let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
        if let (Some(level), Some(text)) = (event["said"].as_str(), event["text"].as_str()) {
            match level {
                "warn" | "error" | "critical" => tracing::info!("the camera's program: {text}"),
                _ => tracing::debug!("the camera's program: {text}"),
            }
        } else if let Some(output) = event["sent"].as_str() {
            tracing::info!("the camera's program to its {output}: {}", event["calls"]);
        } else if let Some([ip, port]) = event["listening"].as_array().map(Vec::as_slice) {
            let address = ip.as_str().and_then(|ip| ip.parse().ok()).zip(port.as_u64());
            state.told().listening =
                address.map(|(ip, port): (std::net::IpAddr, u64)| SocketAddr::new(ip, port as u16));
        } else if let Some(why) = event["ended"].as_str() {
            tracing::warn!("the camera's program has ended: {}", why.trim_end());
            state.told().ended = Some(why.trim_end().to_owned());
        }
        state.news.notify_all();
    }
    state.told().ended.get_or_insert_with(|| "its process has ended".to_owned());
    state.news.notify_all();
}

impl Running {
    /// Where it listens, if it does so in that time.
    ///
    /// # Errors
    /// It has ended: what Python says of that.
    pub fn listening(&self, limit: Duration) -> Result<Option<SocketAddr>, String> {
        let until = Instant::now() + limit;
        let mut told = self.state.told();
        loop {
            if let Some(ended) = &told.ended {
                return Err(ended.clone());
            }
            let left = until.saturating_duration_since(Instant::now());
            if told.listening.is_some() || left.is_zero() {
                return Ok(told.listening);
            }
            told = self.state.news.wait_timeout(told, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Pictures that the sensor has taken.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.state.frames.load(Ordering::Relaxed)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.state.stopping.stop();
        // It may have ended already. The threads end with its pipes.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
