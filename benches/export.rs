//! Exports 2,000 frames to PNG and to MP4, with oaktap and with a plain OpenCV script in turn: `cargo bench --bench
//! export`
//!
//! Requires a Python with OpenCV and the packages that read recordings: `python3`, or the one named by OAKTAP_PYTHON.
//! To make one: `python3 -m venv V && V/bin/pip install mcap mcap-protobuf-support numpy opencv-python-headless`. The
//! target is twice the speed of the script with two processors. OpenCV's wheels have no H.264 encoder, so the script
//! encodes MPEG-4 part 2, which is less work.

#[path = "../tests/support/recordings.rs"]
mod recordings;

use std::fs;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use oaktap::export::{self, Choice, ExportFormat, ExportOptions};
use oaktap::recording::Compression;

const FRAMES: usize = 2000;
const ROUNDS: usize = 3;
const SPEEDUP_TARGET: f64 = 2.0;

/// The output of the script.
#[derive(serde::Deserialize)]
struct ScriptResult {
    frames: usize,
    seconds: f64,
    cpu_seconds: f64,
    opencv: String,
}

fn main() {
    let python = std::env::var("OAKTAP_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let works = Command::new(&python).args(["-c", "import cv2, mcap_protobuf"]).stderr(Stdio::null()).status();
    if !works.is_ok_and(|status| status.success()) {
        println!(
            "skipped: {python} lacks OpenCV or mcap-protobuf-support; set OAKTAP_PYTHON to a Python that has both"
        );
        return;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let recording = folder.path().join("front.mcap");
    let frames = recordings::frames("records=on", FRAMES);
    recordings::write(&recording, Compression::None, &[(recordings::camera("front"), frames)]);
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    println!("{FRAMES} frames of 640x352, {threads} threads; medians of {ROUNDS} runs in turn");
    for format in [ExportFormat::Png, ExportFormat::Mp4] {
        let mut runs = Vec::new();
        for round in 0..ROUNDS {
            let output = |who: &str| place(folder.path(), format, &format!("{who}-{round}"));
            let theirs = script(&python, &recording, format, &output("opencv"));
            let ours = ours(&recording, format, threads, &output("oaktap"));
            runs.push((ours, theirs));
            for who in ["opencv", "oaktap"] {
                remove(&output(who));
            }
        }
        let name = format.name();
        let opencv = &runs[0].1.opencv;
        let median = |of: &dyn Fn(&(Timing, ScriptResult)) -> f64| {
            let mut all: Vec<_> = runs.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let ratio = median(&|(ours, theirs)| theirs.seconds / ours.seconds);
        println!("{name}: {ratio:.2} times as fast as the script (target: {SPEEDUP_TARGET})");
        for (who, seconds, cpu_seconds) in [
            (format!("OpenCV {opencv}"), median(&|run| run.1.seconds), median(&|run| run.1.cpu_seconds)),
            ("oaktap".to_owned(), median(&|run| run.0.seconds), median(&|run| run.0.cpu_seconds)),
        ] {
            let rate = FRAMES as f64 / seconds;
            println!("  {who:<14} {seconds:>6.2} s {cpu_seconds:>6.2} s CPU {rate:>6.0} frames/s");
        }
    }
}

/// Returns the output path of a run.
fn place(folder: &Path, format: ExportFormat, who: &str) -> PathBuf {
    match format {
        ExportFormat::Mp4 => folder.join(format!("{who}.mp4")),
        _ => folder.join(who),
    }
}

fn remove(output: &Path) {
    let removed = if output.is_dir() { fs::remove_dir_all(output) } else { fs::remove_file(output) };
    removed.unwrap_or_else(|error| panic!("{}: {error}", output.display()));
}

fn script(python: &str, recording: &Path, format: ExportFormat, output: &Path) -> ScriptResult {
    if format == ExportFormat::Png {
        fs::create_dir(output).expect("a folder");
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/export.py");
    let run = Command::new(python).arg(script).arg(recording).arg(format.name()).arg(output).output();
    let run = run.unwrap_or_else(|error| panic!("{python}: {error}"));
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let result: ScriptResult = serde_json::from_slice(&run.stdout).expect("JSON");
    assert_eq!(result.frames, FRAMES);
    result
}

/// Time of a run of oaktap.
struct Timing {
    seconds: f64,
    cpu_seconds: f64,
}

fn ours(recording: &Path, format: ExportFormat, threads: NonZeroUsize, output: &Path) -> Timing {
    let options = ExportOptions {
        format,
        output: output.to_owned(),
        choice: Choice::default(),
        boxes: false,
        colormap: false,
        quality: None,
        threads,
    };
    let (start, cpu) = (Instant::now(), cpu_time());
    let report =
        export::export(&[recording.to_owned()], &options, &mut |_| ControlFlow::Continue(())).expect("an export");
    let took = Timing { seconds: start.elapsed().as_secs_f64(), cpu_seconds: cpu_time() - cpu };
    assert_eq!(report.written, FRAMES as u64, "{report:?}");
    took
}

/// Returns the CPU time of this process in seconds; 0 on systems other than Unix.
fn cpu_time() -> f64 {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    }
    #[cfg(not(unix))]
    0.0
}
