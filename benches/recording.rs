//! Compares recording with `dd` with direct I/O on the same disk, in turn: `cargo bench --bench recording [FOLDER]`
//!
//! Raw frames of 640x352 go through the whole recorder (lane, MCAP, disk thread), as fast as it takes them, so that the
//! lane is never empty. `dd` copies noise from the page cache, and zeros as well, because virtual and compressing disks
//! write zeros faster than any recording. Both sync their data to the disk. FOLDER selects the disk; the default is the
//! build folder. Then 16 cameras at 40 frames per second are received and recorded at the same time. The figures are
//! those of performance.md, "To reach" 6. CPU time is that of the whole process, which does nothing else.

mod live;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use live::measure::median;
use live::{CAMERA, Sender};
use oaktap::frame::{Frame, Geometry, PixelFormat, Received};
use oaktap::hub::Budget;
use oaktap::live::{Live, Sink as _};
use oaktap::recording::CameraInfo;
use oaktap::sink::record::{RecordOptions, Recorder, RecorderOutcome, Recorders, RecordingTarget};
use oaktap::source::{Outlets, SessionOptions, SessionState, SourceSpec};

const SIZE: (u32, u32) = (640, 352);
const TURNS: usize = 7;
const BYTES: u64 = 1 << 30;
const GB: f64 = 1e9;

fn main() {
    let folder = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let folder = folder.map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    std::fs::create_dir_all(&folder).expect("a folder to write to");
    let (mut zeros, mut copied, mut recorded, mut cpu) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut ratios, mut zero_ratios) = (Vec::new(), Vec::new());
    let noise = folder.join("noise.bin");
    write_noise(&noise);
    println!("{} MB per turn in {}, {}x{} raw", BYTES / 1_000_000, folder.display(), SIZE.0, SIZE.1);
    for _ in 0..TURNS {
        let zero = dd(&folder, Path::new("/dev/zero"));
        let dd = dd(&folder, &noise);
        let (bytes_per_s, cpu_s_per_gb) = record(&folder);
        zeros.push(zero / GB);
        copied.push(dd / GB);
        recorded.push(bytes_per_s / GB);
        ratios.push(bytes_per_s / dd);
        zero_ratios.push(bytes_per_s / zero);
        cpu.push(cpu_s_per_gb);
    }
    std::fs::remove_file(noise).expect("the file exists");
    println!("  dd of noise, 1 MiB blocks, direct, synced {:>6.2} GB/s", median(&mut copied));
    println!("  dd of zeros                               {:>6.2} GB/s", median(&mut zeros));
    println!(
        "  recorder                                  {:>6.2} GB/s {:>6.3} s CPU per GB",
        median(&mut recorded),
        median(&mut cpu)
    );
    println!(
        "  recorder / dd of noise: {:.2} (target: >= 0.9), recorder / dd of zeros: {:.2}; CPU (target: <= 0.4 s/GB)",
        median(&mut ratios),
        median(&mut zero_ratios)
    );
    cameras(&folder, 16);
}

/// Records `count` cameras, each to its own file. The senders are in this process and use half of its processors.
fn cameras(folder: &Path, count: usize) {
    let folder = folder.join("cameras");
    let still = live::still(SIZE);
    let senders: Vec<Sender> = (0..count).map(|_| Sender::start(&still, CAMERA, Duration::from_secs(10))).collect();
    let spec = |sender: &Sender| SourceSpec::Tcp { host: sender.address.ip().to_string(), port: sender.address.port() };
    let specs: Vec<SourceSpec> = senders.iter().map(spec).collect();
    let cameras = oaktap::live::cameras(&specs);
    let mut recorders = Recorders::new(RecordOptions::new(RecordingTarget::Folder(folder.clone())));
    oaktap::live::connect(&cameras, &mut recorders).expect("recorders connect");
    recorders.start().expect("the folder can be written to");
    let start = Instant::now();
    let options = SessionOptions { reconnect: false, ..SessionOptions::default() };
    let live = Live::start(cameras, &options).expect("threads");
    live.runtime().block_on(async {
        for session in live.sessions() {
            let mut state = session.changes();
            // An error means that the session is gone, so it has ended as well.
            let _ = state.wait_for(|state| matches!(state, SessionState::Ended { .. })).await;
        }
    });
    let outcomes = recorders.finish();
    let took = start.elapsed().as_secs_f64();
    let sent: u64 = senders.into_iter().map(|sender| sender.sent().len() as u64).sum();
    let sum = |of: fn(&RecorderOutcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    println!(
        "{count} cameras at 40 fps: {sent} frames sent of {}, {} recorded, {} dropped, {} lost; {:.0} MB/s",
        count * 400,
        sum(|outcome| outcome.frames),
        sum(|outcome| outcome.dropped),
        sum(|outcome| outcome.lost),
        sum(|outcome| outcome.bytes) as f64 / took / 1e6
    );
    std::fs::remove_dir_all(folder).expect("the recording exists");
}

/// Writes as much noise as is recorded in a turn. It stays in the page cache.
fn write_noise(path: &Path) {
    let frames: Vec<Frame> = (0..8).map(frame).collect();
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).expect("the folder can be written to"));
    let mut left = BYTES as usize;
    for frame in frames.iter().cycle() {
        let bytes = &frame.payload()[..left.min(frame.payload().len())];
        file.write_all(bytes).expect("there is room on the disk");
        left -= bytes.len();
        if left == 0 {
            break;
        }
    }
    file.into_inner().expect("there is room on the disk").sync_all().expect("there is room on the disk");
}

/// Returns the bytes per second of `dd`.
fn dd(folder: &Path, from: &Path) -> f64 {
    let path = folder.join("dd.bin");
    let count = BYTES >> 20;
    let start = Instant::now();
    let done = Command::new("dd")
        .args(["bs=1M", "oflag=direct", "conv=fsync", "status=none"])
        .arg(format!("count={count}"))
        .arg(format!("if={}", from.display()))
        .arg(format!("of={}", path.display()))
        .status();
    let took = start.elapsed();
    assert!(done.expect("dd starts").success(), "dd cannot write to {}", folder.display());
    std::fs::remove_file(path).expect("dd wrote a file");
    BYTES as f64 / took.as_secs_f64()
}

/// Returns the bytes per second of the recorder, and its CPU seconds per 10^9 bytes.
fn record(folder: &Path) -> (f64, f64) {
    let path = folder.join("recording.mcap");
    let budget = Budget::new(64 << 20);
    let options =
        RecordOptions { sync: true, budget: budget.clone(), ..RecordOptions::new(RecordingTarget::File(path.clone())) };
    let frames: Vec<Arc<Frame>> = (0..8).map(|n| Arc::new(frame(n))).collect();
    let info = CameraInfo { name: "bench".to_owned(), ..CameraInfo::default() };
    let (start, cpu) = (Instant::now(), cpu_time());
    let outlets = Outlets::default();
    let recorder = Recorder::start(options, vec![(info, outlets.clone())]).expect("the folder can be written to");
    let count = BYTES / frames[0].payload().len() as u64;
    for frame in frames.iter().cycle().take(count as usize) {
        while budget.used() > budget.limit() / 2 {
            std::thread::sleep(Duration::from_micros(500));
        }
        outlets.confirmed.offer(frame);
    }
    let outcome = recorder.finish();
    let (took, used) = (start.elapsed().as_secs_f64(), cpu_time().saturating_sub(cpu).as_secs_f64());
    assert_eq!((outcome.frames, outcome.is_complete()), (count, true), "{:?}", outcome.problems);
    std::fs::remove_file(path).expect("the recording exists");
    (outcome.bytes as f64 / took, used / (outcome.bytes as f64 / GB))
}

#[cfg(unix)]
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

#[cfg(not(unix))]
fn cpu_time() -> Duration {
    Duration::ZERO
}

fn frame(n: u64) -> Frame {
    // Noise cannot be compressed, which is the worst case. The frame number is the seed.
    let mut payload = vec![0; 3 * SIZE.0 as usize * SIZE.1 as usize];
    let mut state = n + 1;
    for word in payload.chunks_mut(8) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let noise = (state ^ (state >> 29)).to_le_bytes();
        word.copy_from_slice(&noise[..word.len()]);
    }
    let header = format!("{:32}", format!("IMG {:.6} {} 0", n as f64 / 40.0, payload.len())).into_bytes();
    let mut frame = Frame::with_payload(payload);
    frame.id = n;
    frame.dialect = "IMG";
    frame.header = header;
    frame.received = Received { mono_ns: n * 25_000_000, unix_ns: 1_795_259_112_345_678_901 + n as i64 * 25_000_000 };
    frame.geometry = Geometry::tight(PixelFormat::Bgr888p, SIZE.0, SIZE.1).ok();
    frame
}
