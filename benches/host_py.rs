//! Compares the host program of Luxonis' standalone page with oaktap, in turn: `cargo bench --bench host_py`
//!
//! Requires a Python with numpy and OpenCV: `python3`, or the one named by OAKTAP_PYTHON. Both receive from the same
//! sender. The program draws boxes and names with OpenCV; only its window is stubbed out. The receiver runs on the
//! first processor alone, the sender on the others. The ratios are those of performance.md, "To reach" 2 and 5.

mod live;
#[path = "../tests/support/luxonis_page.rs"]
mod luxonis_page;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use live::measure::median;
use live::{CAMERA, Pace, SATURATED, Sender, Work};

const ROUNDS: usize = 3;

/// The output of `host_py.py`.
#[derive(serde::Deserialize)]
struct HostResult {
    frames: f64,
    seconds: f64,
    cpu_seconds: f64,
    done_ns: Vec<u64>,
    opencv: String,
}

fn main() {
    let Some(program) = luxonis_page::program("receive and visualize detections") else { return };
    let python = std::env::var("OAKTAP_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let works = Command::new(&python).args(["-c", "import numpy, cv2"]).stderr(Stdio::null()).status();
    if !works.is_ok_and(|status| status.success()) {
        println!("skipped: {python} lacks numpy or OpenCV; set OAKTAP_PYTHON to a Python that has both");
        return;
    }
    let host = Host { python, program };
    saturated(&host, (640, 352), Duration::from_millis(1500), 25.0);
    saturated(&host, (1920, 1080), Duration::from_secs(8), 300.0);
    latency(&host);
}

/// The program, and the Python to run it.
struct Host {
    python: String,
    program: String,
}

impl Host {
    /// Runs the program until the sender ends. Also returns when each frame had been sent, in nanoseconds.
    fn run(&self, size: (u32, u32), pace: Pace, duration: Duration) -> (HostResult, Vec<u64>) {
        let sender = Sender::start(&live::still(size), pace, duration);
        let mut process = Command::new(&self.python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/host_py.py"))
            .args([sender.address.port().to_string(), size.0.to_string(), size.1.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python ran before");
        process.stdin.take().expect("a pipe").write_all(self.program.as_bytes()).expect("Python reads the program");
        let output = process.wait_with_output().expect("Python ends");
        let result = serde_json::from_slice(&output.stdout).expect("the output is valid JSON");
        (result, sender.sent())
    }
}

/// Measures the frames per second of both, with a sender that never waits.
fn saturated(host: &Host, size: (u32, u32), duration: Duration, target: f64) {
    let (mut theirs, mut their_cpu, mut ours, mut our_cpu) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut lost, mut version) = (0, String::new());
    for _ in 0..ROUNDS {
        let (result, _) = host.run(size, SATURATED, duration);
        theirs.push(result.frames / result.seconds);
        their_cpu.push(result.cpu_seconds * 1e6 / result.frames);
        version = result.opencv;
        let sender = Sender::start(&live::still(size), SATURATED, Duration::from_secs(1));
        let done = live::sessions(&[sender.address], Work::Pictures);
        lost += sender.sent().len() as u64 - done.stats[0].frames.confirmed;
        ours.push(done.frames as f64 / done.seconds);
        our_cpu.push(done.cpu_us);
    }
    let (theirs, ours) = (median(&mut theirs), median(&mut ours));
    println!("saturated {}x{}, OpenCV {version}", size.0, size.1);
    println!("  host.py {theirs:>8.1} frames/s {:>9.1} us CPU per frame", median(&mut their_cpu));
    println!("  oaktap  {ours:>8.1} frames/s {:>9.1} us CPU per frame, {lost} lost", median(&mut our_cpu));
    println!("  {:.1} times as fast (target: >= {target})", ours / theirs);
}

/// Measures the time from the end of the sender's last `write` of a frame to the finished picture, at 40 frames per
/// second.
fn latency(host: &Host) {
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    let duration = Duration::from_secs(3);
    for _ in 0..ROUNDS {
        let (result, sent) = host.run((640, 352), CAMERA, duration);
        let done: Vec<_> = (0..).zip(result.done_ns).collect();
        theirs.extend(between(&sent, &done));
        let sender = Sender::start(&live::still((640, 352)), CAMERA, duration);
        let done = live::views(sender.address);
        ours.extend(between(&sender.sent(), &done));
    }
    let (theirs, ours) = (quantiles(theirs), quantiles(ours));
    println!("latency at 40 fps, 640x352, from the last byte to the picture: p50 / p99");
    println!("  host.py {:>8.1} / {:.1} us", theirs.0, theirs.1);
    println!("  oaktap  {:>8.1} / {:.1} us, until another thread has the picture", ours.0, ours.1);
    println!("  p50 {:.3} of that of host.py (target: <= {:.3})", ours.0 / theirs.0, 1.0 / 15.0);
}

/// Returns the latencies in microseconds, without the warm-up frames.
fn between(sent: &[u64], done: &[(u64, u64)]) -> Vec<f64> {
    assert!(done.len() * 20 > sent.len() * 19, "{} of {} frames became pictures", done.len(), sent.len());
    let warm = done.iter().filter(|(frame, _)| *frame >= live::WARM_UP_FRAMES as u64);
    warm.map(|(frame, done)| (*done as f64 - sent[*frame as usize] as f64) / 1e3).collect()
}

/// Returns the median and the 99th percentile.
fn quantiles(mut all: Vec<f64>) -> (f64, f64) {
    let middle = median(&mut all);
    (middle, all[all.len() * 99 / 100])
}
