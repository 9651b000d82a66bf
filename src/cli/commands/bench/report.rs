//! The results of a benchmark, as a table and as JSON.

use std::fmt;
use std::io::{self, Write};

use oaktap::doctor::tcp_capacity_mbit_s;
use oaktap::stats::Summary;
use oaktap::units::count;
use serde::Serialize;

use super::kernels::H265_SIZE;
use crate::cli::present::{self, ExitReason};

/// One stage at one size.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Row {
    /// Name of the measured camera.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) camera: Option<String>,
    /// `parse`, `decode`, `convert`, `overlay`, `receive` (only) or `stream` (receive, parse, decode, convert, overlay).
    pub(crate) stage: &'static str,
    /// The payload format, and for a conversion also its result.
    pub(crate) what: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// The mean of the bytes that the stage reads and writes per frame.
    pub(crate) bytes_per_frame: u64,
    /// Frames processed.
    pub(crate) frames: u64,
    /// Frames that were sent but did not arrive intact.
    pub(crate) frames_lost: u64,
    #[serde(rename = "fps")]
    pub(crate) frames_per_s: f64,
    /// Throughput in 10^9 bytes per second, of `bytes_per_frame`.
    pub(crate) gb_per_s: f64,
    /// The time of a `memcpy` of `bytes_per_frame` in the same run, divided by the time of the stage.
    pub(crate) memcpy_share: f64,
    /// CPU time of the thread per frame, in microseconds. `None` if the system does not report it.
    pub(crate) cpu_us_per_frame: Option<f64>,
    /// Cameras at 40 frames per second that one core can serve with that CPU time.
    pub(crate) cameras_at_40_fps: Option<f64>,
}

impl Row {
    /// Sets the figures that follow from the time and the CPU time of one frame.
    pub(crate) fn set_times(&mut self, seconds: f64, cpu_us: Option<f64>) {
        self.frames_per_s = 1.0 / seconds;
        self.gb_per_s = self.bytes_per_frame as f64 / seconds / 1e9;
        self.cpu_us_per_frame = cpu_us;
        self.cameras_at_40_fps = cpu_us.map(|us| 1e6 / us / 40.0);
    }
}

/// The frame rate of cameras whose own rate was not measured.
const SIMULATED_FPS: f64 = 40.0;
/// Fewer frames than this are a weak base for an estimate.
const FRAMES_FEW: u64 = 30;

/// Cameras that this machine takes, with pictures of one size.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Capacity {
    /// Name of the measured camera.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) camera: Option<String>,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// The format of their payloads.
    pub(crate) format: String,
    /// Their frames per second: 40, or the rate of the measured stream.
    pub(crate) fps: f64,
    /// The smaller of both following numbers.
    pub(crate) cameras: u32,
    /// Estimate for the processors: the CPU time of the stage `stream`, with all of them at 100 %.
    pub(crate) cameras_of_processors: u32,
    /// Cameras whose streams fit on a network port of 1 Gbit/s.
    pub(crate) cameras_of_gigabit_port: u32,
    /// Frames per second of one camera that fit on such a port.
    #[serde(skip)]
    port_fps: f64,
    /// Frames that were measured, and those that were lost meanwhile.
    #[serde(skip)]
    frames: (u64, u64),
}

impl Capacity {
    fn of(row: &Row, cpus: usize, fps: f64) -> Option<Self> {
        let cpu_us = row.cpu_us_per_frame.filter(|_| row.stage == "stream")?;
        let port_fps = tcp_capacity_mbit_s(1000, 1500) * 1e6 / 8.0 / row.bytes_per_frame as f64;
        let cameras_of_processors = (1e6 / cpu_us / fps * cpus as f64) as u32;
        let cameras_of_gigabit_port = (port_fps / fps) as u32;
        Some(Self {
            camera: row.camera.clone(),
            width: row.width,
            height: row.height,
            format: row.what.clone(),
            fps,
            cameras: cameras_of_processors.min(cameras_of_gigabit_port),
            cameras_of_processors,
            cameras_of_gigabit_port,
            port_fps,
            frames: (row.frames, row.frames_lost),
        })
    }

    const fn pixels(&self) -> u64 {
        self.width as u64 * self.height as u64
    }
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { width, height, format, fps, cameras, cameras_of_processors, cameras_of_gigabit_port, .. } = self;
        let cameras = match cameras {
            0 => "no camera".to_owned(),
            cameras => count(u64::from(*cameras), "camera", "cameras"),
        };
        let by_processors = match cameras_of_processors {
            0 => "0".to_owned(),
            some => format!("~{some}"),
        };
        let fps = if fps.fract() == 0.0 { format!("{fps:.0}") } else { format!("{fps:.1}") };
        write!(
            f,
            "{cameras} of {width}x{height} {format} at {fps} frames/s: {by_processors} by the processors, \
             {cameras_of_gigabit_port} per port of 1 Gbit/s"
        )?;
        match cameras_of_gigabit_port {
            0 => write!(f, " (one camera at up to {:.1} frames/s)", self.port_fps),
            _ => Ok(()),
        }
    }
}

/// The load of several measured cameras that stream at the same time.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FleetLoad {
    pub(crate) cameras: usize,
    /// Frames per second of all of them.
    pub(crate) fps: f64,
    /// Frames that were lost while each was measured alone.
    pub(crate) frames_lost: u64,
    /// Processors that receive, convert and draw these frames. `None` if the system does not report CPU time.
    pub(crate) cores: Option<f64>,
    /// Share of a network port of 1 Gbit/s.
    pub(crate) gigabit_port_share: f64,
}

impl FleetLoad {
    /// Adds the streams up; `rates`: frames per second of each.
    fn of(rows: &[Row], rates: &[f64]) -> Self {
        let each = || rows.iter().zip(rates);
        let bytes_per_s: f64 = each().map(|(row, fps)| fps * row.bytes_per_frame as f64).sum();
        Self {
            cameras: rows.len(),
            fps: rates.iter().sum(),
            frames_lost: rows.iter().map(|row| row.frames_lost).sum(),
            cores: each().map(|(row, fps)| row.cpu_us_per_frame.map(|us| fps * us / 1e6)).sum(),
            gigabit_port_share: bytes_per_s * 8.0 / 1e6 / tcp_capacity_mbit_s(1000, 1500),
        }
    }

    /// Describes the load of a machine with this number of processors in one line.
    fn text(&self, cpus: usize) -> String {
        let Self { cameras, fps, frames_lost, cores, gigabit_port_share } = self;
        let lost = count(*frames_lost, "frame", "frames");
        let cores = cores.map_or_else(String::new, |cores| format!(", ~{cores:.2} of {cpus} processors"));
        format!(
            "all {cameras} measured cameras together: {fps:.1} frames/s, {lost} lost{cores}, {:.0} % of a port of 1 Gbit/s",
            100.0 * gigabit_port_share
        )
    }
}

/// A camera sent fewer frames than a measurement needs.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct TooFewFrames {
    pub(crate) text: String,
    /// How to get more.
    pub(crate) help: String,
    /// The `--duration` that is enough, if a longer one helps.
    pub(crate) seconds: Option<u64>,
    /// Frames that it sent.
    pub(crate) received: u64,
}

/// A camera that could not be measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct NotMeasured {
    /// Its name.
    pub(crate) camera: String,
    /// Why, in one line.
    pub(crate) error: String,
    /// It sent frames.
    #[serde(skip)]
    pub(crate) too_few: Option<TooFewFrames>,
}

/// The results of one run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BenchReport {
    pub(crate) command: &'static str,
    pub(crate) version: &'static str,
    /// The model name of the processor.
    pub(crate) cpu: String,
    /// Processors that this process may use.
    pub(crate) cpus: usize,
    /// The instruction set that conversion uses.
    pub(crate) instructions: &'static str,
    /// The load of all measured cameras; `None` of fewer than two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fleet: Option<FleetLoad>,
    /// How many cameras this machine takes, per size of their pictures.
    pub(crate) capacity: Vec<Capacity>,
    pub(crate) rows: Vec<Row>,
    /// The ledgers of the measured streams, if some were given.
    pub(crate) cameras: Vec<Summary>,
    /// The cameras that could not be measured.
    pub(crate) failed: Vec<NotMeasured>,
}

impl BenchReport {
    /// Describes this machine, and how many cameras it takes: at 40 frames per second, or if `cameras` were measured, at the
    /// rate of each.
    pub(crate) fn new(command: &'static str, mut rows: Vec<Row>, cameras: Vec<Summary>) -> Self {
        for (row, camera) in rows.iter_mut().zip(&cameras) {
            row.camera = Some(camera.name.clone());
        }
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let fps = |at: usize, row: &Row| match cameras.get(at) {
            // The rate of its own clock, because frames may be lost or wait in the camera.
            Some(camera) => camera.frame_time_us.filter(|us| *us > 0).map_or(row.frames_per_s, |us| 1e6 / us as f64),
            None => SIMULATED_FPS,
        };
        let rates: Vec<_> = rows.iter().enumerate().map(|(at, row)| fps(at, row)).collect();
        Self {
            command,
            version: env!("CARGO_PKG_VERSION"),
            cpu: cpu_name(),
            cpus,
            fleet: (cameras.len() > 1).then(|| FleetLoad::of(&rows, &rates)),
            capacity: rows.iter().zip(&rates).filter_map(|(row, fps)| Capacity::of(row, cpus, *fps)).collect(),
            instructions: oaktap::convert::SimdLevel::best().name(),
            rows,
            cameras,
            failed: Vec::new(),
        }
    }

    /// Returns whether every camera was measured, and every frame that was sent arrived intact.
    pub(crate) fn is_complete(&self) -> bool {
        self.failed.is_empty()
            && self.rows.iter().all(|row| row.frames_lost == 0)
            && self.cameras.iter().all(|camera| camera.lossless)
    }

    /// Returns why the program exits with code 3 although the measured cameras lost no frame.
    pub(crate) fn exit_reason(&self) -> Option<ExitReason> {
        let names: Vec<_> = self.failed.iter().map(|failed| failed.camera.as_str()).collect();
        let all = self.failed.len() + self.cameras.len();
        let text = format!("exit code 3: {} of {all} cameras not measured: {}", names.len(), present::listed(&names));
        let silent: Vec<_> = self.failed.iter().filter(|failed| failed.too_few.is_none()).collect();
        let few = self.failed.iter().filter_map(|failed| failed.too_few.as_ref()).max_by_key(|few| few.seconds);
        let help = match few.filter(|_| silent.is_empty()) {
            Some(few) => few.help.clone(),
            None => "`oaktap doctor CAMERA` finds out why a camera sends nothing".to_owned(),
        };
        let camera = silent.first().filter(|_| silent.len() == 1).map(|failed| failed.camera.clone());
        (!names.is_empty()).then_some(ExitReason { text, help: help.into(), camera })
    }

    /// Describes the machine in one line.
    pub(crate) fn machine(&self) -> String {
        format!("oaktap {} on {}, {} CPUs, {}", self.version, self.cpu, self.cpus, self.instructions)
    }

    /// Answers first how many cameras this machine takes: those that were measured, and as many as it can of each kind.
    fn write_capacity(&self, to: &mut impl Write) -> io::Result<()> {
        if let Some(fleet) = &self.fleet {
            writeln!(to, "{}", fleet.text(self.cpus))?;
        }
        for capacity in &self.capacity {
            let (frames, lost) = capacity.frames;
            if let Some(camera) = capacity.camera.as_ref().filter(|_| self.fleet.is_some()) {
                write!(to, "{camera}: ")?;
            }
            write!(to, "{capacity}")?;
            if frames < FRAMES_FEW {
                write!(to, "; measured with {} only", count(frames, "frame", "frames"))?;
            }
            if lost > 0 {
                write!(to, "; {} lost meanwhile, so fewer may fit now", count(lost, "frame was", "frames were"))?;
            }
            writeln!(to)?;
        }
        let contradicts = |one: &Capacity, other: &Capacity| {
            one.format == other.format
                && one.pixels() < other.pixels()
                && f64::from(one.cameras_of_processors) * one.fps < f64::from(other.cameras_of_processors) * other.fps
        };
        if self.capacity.iter().any(|one| self.capacity.iter().any(|other| contradicts(one, other))) {
            writeln!(
                to,
                "the estimates contradict each other: more cameras with larger pictures. Other programs use the processors; \
                 run it again without them"
            )?;
        }
        Ok(())
    }

    pub(crate) fn write_table(&self, mut to: impl Write) -> io::Result<()> {
        self.write_capacity(&mut to)?;
        writeln!(to, "{}", self.machine())?;
        writeln!(to)?;
        // Names only if there are several.
        let name = |row: &Row| row.camera.clone().filter(|_| self.fleet.is_some());
        let width = self.rows.iter().filter_map(name).map(|name| name.chars().count()).max();
        let width = width.map(|width| width.max("camera".len()));
        if let Some(width) = width {
            write!(to, "{:<width$} ", "camera")?;
        }
        writeln!(
            to,
            "{:<8} {:<16} {:>9} {:>10} {:>7} {:>9} {:>9} {:>11} {:>6}",
            "stage", "what", "size", "frames/s", "GB/s", "of memcpy", "CPU us", "cams@40fps", "lost"
        )?;
        let optional = |number: Option<f64>, digits| number.map_or("-".to_owned(), |n| format!("{n:.digits$}"));
        for row in &self.rows {
            if let Some(width) = width {
                write!(to, "{:<width$} ", name(row).unwrap_or_default())?;
            }
            writeln!(
                to,
                "{:<8} {:<16} {:>9} {:>10.0} {:>7.2} {:>9.2} {:>9} {:>11} {:>6}",
                row.stage,
                row.what,
                format!("{}x{}", row.width, row.height),
                row.frames_per_s,
                row.gb_per_s,
                row.memcpy_share,
                optional(row.cpu_us_per_frame, 1),
                optional(row.cameras_at_40_fps, 0),
                row.frames_lost,
            )?;
        }
        writeln!(to)?;
        writeln!(
            to,
            "~: estimate from the CPU time of the stage `stream`, with all processors at 100 %. It converts each frame and \
             draws boxes, as a window does; a recording takes less.\n\
             of memcpy: time of a copy of as many bytes, measured in turn with the stage, divided by the stage's time.\n\
             CPU us: CPU time of the thread per frame. cams@40fps: cameras that one core can serve."
        )?;
        if self.cameras.is_empty() {
            let (width, height) = H265_SIZE;
            writeln!(
                to,
                "decode: one frame of H.264 as simulated cameras send it, with even sides from 16 pixels on, and of H.265 at \
                 {width}x{height}; other sizes have no such row. `oaktap bench FILE` measures the video of a recording."
            )?;
        }
        writeln!(
            to,
            "receive: read from a socket and discarded. stream: received, parsed, decoded, converted, boxes drawn."
        )
    }
}

/// Returns the model name of the processor, or else its architecture.
fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use oaktap::stats::Stats;

    use super::*;

    #[test]
    fn the_first_line_is_the_number_of_cameras() {
        let row = |stage, cpu_us| {
            let mut row = Row {
                stage,
                what: "NV12".to_owned(),
                width: 640,
                height: 352,
                bytes_per_frame: 675_840,
                frames: 100,
                ..Row::default()
            };
            row.set_times(1e-3, cpu_us);
            row
        };
        let report = |rows, cameras| BenchReport::new("bench", rows, cameras);
        let text = |report: &BenchReport| {
            let mut text = Vec::new();
            report.write_table(&mut text).expect("a Vec takes everything");
            String::from_utf8(text).expect("UTF-8")
        };
        let simulated = report(vec![row("receive", Some(10.0)), row("stream", Some(250.0))], Vec::new());
        // 100 cameras per core; 4 * 216 of 941 Mbit/s.
        let first = format!(
            "4 cameras of 640x352 NV12 at 40 frames/s: ~{} by the processors, 4 per port of 1 Gbit/s\n",
            100 * simulated.cpus
        );
        assert!(text(&simulated).starts_with(&first), "{}", text(&simulated));
        assert!(report(vec![row("stream", None)], Vec::new()).capacity.is_empty(), "no CPU time, no estimate");

        // The rate of a measured stream is known: 1000 frames/s need 5.4 Gbit/s.
        let few = Row { frames: 1, frames_lost: 2, ..row("stream", Some(250.0)) };
        let measured = report(vec![few.clone()], vec![Stats::default().summary("a")]);
        let first = format!(
            "no camera of 640x352 NV12 at 1000 frames/s: ~{} by the processors, 0 per port of 1 Gbit/s (one camera at up to \
             174.1 frames/s); measured with 1 frame only; 2 frames were lost meanwhile, so fewer may fit now\n",
            4 * measured.cpus
        );
        assert!(text(&measured).starts_with(&first), "{}", text(&measured));
        // Seconds of CPU time for each frame.
        let none = report(vec![row("stream", Some(1e9))], Vec::new());
        let first = "no camera of 640x352 NV12 at 40 frames/s: 0 by the processors, 4 per port of 1 Gbit/s\n";
        assert!(text(&none).starts_with(first), "{}", text(&none));
        // Its own clock says 20 frames/s: most of them were lost.
        let camera = Summary { frame_time_us: Some(50_000), ..Stats::default().summary("a") };
        assert!(text(&report(vec![few], vec![camera])).starts_with("8 cameras of 640x352 NV12 at 20 frames/s: "));
    }

    #[test]
    fn the_note_names_the_sizes_that_have_a_row_of_video() {
        let text = |cameras| {
            let row = Row { stage: "stream", bytes_per_frame: 1000, frames: 100, ..Row::default() };
            let mut text = Vec::new();
            BenchReport::new("bench", vec![row], cameras).write_table(&mut text).expect("a Vec takes everything");
            String::from_utf8(text).expect("UTF-8")
        };
        let simulated = text(Vec::new());
        assert!(simulated.contains("and of H.265 at 640x352; other sizes have no such row"), "{simulated}");
        let measured = text(vec![Stats::default().summary("a")]);
        assert!(!measured.contains("decode:") && measured.contains("receive:"), "{measured}");
    }

    #[test]
    fn several_cameras_are_added_up_in_the_first_line() {
        let row = |bytes_per_frame, cpu_us, frames_lost| {
            let mut row = Row { stage: "stream", bytes_per_frame, frames: 100, frames_lost, ..Row::default() };
            row.set_times(1e-3, cpu_us);
            row
        };
        let named = |name: &str, frame_time_us| Summary {
            frame_time_us: Some(frame_time_us),
            ..Stats::default().summary(name)
        };
        let at = |frame_time_us| named(if frame_time_us == 25_000 { "a" } else { "b" }, frame_time_us);
        let text = |rows: Vec<Row>, cameras: Vec<Summary>| {
            let mut text = Vec::new();
            let report = BenchReport::new("bench", rows, cameras);
            report.write_table(&mut text).expect("a Vec takes everything");
            (String::from_utf8(text).expect("UTF-8"), report.cpus)
        };
        // 40 and 20 frames/s with 250 and 500 us each; 216 and 54 of 941 Mbit/s.
        let rows = |cpu: Option<f64>| vec![row(675_840, cpu, 0), row(337_920, cpu.map(|us| 2.0 * us), 3)];
        let (found, cpus) = text(rows(Some(250.0)), vec![at(25_000), at(50_000)]);
        let first = format!(
            "all 2 measured cameras together: 60.0 frames/s, 3 frames lost, ~0.02 of {cpus} processors, 29 % of a port of 1 \
             Gbit/s\na: 4 cameras of "
        );
        assert!(found.starts_with(&first), "{found}");
        for part in ["\nb: 17 cameras of ", "\ncamera stage ", "\na      stream ", "\nb      stream "] {
            assert!(found.contains(part), "{part:?}: {found}");
        }
        let (found, _) = text(rows(None), vec![at(25_000), at(50_000)]);
        let first = "all 2 measured cameras together: 60.0 frames/s, 3 frames lost, 29 % of a port of 1 Gbit/s\n";
        assert!(found.starts_with(first), "{found}");
        assert!(!text(rows(None), Vec::new()).0.contains("together"), "simulated sizes are not a fleet");
        assert!(!text(vec![row(1000, None, 0)], vec![at(25_000)]).0.contains("together"), "one camera");
    }

    #[test]
    fn the_help_about_a_camera_that_sent_frames_is_to_measure_longer() {
        let failed = |camera: &str, seconds: Option<u64>| NotMeasured {
            camera: camera.to_owned(),
            error: "received 7 frames".to_owned(),
            too_few: seconds.map(|seconds| TooFewFrames {
                text: "received 7 frames".to_owned(),
                help: format!("measure longer: --duration {seconds}s"),
                seconds: Some(seconds),
                received: 7,
            }),
        };
        let reason = |failed| {
            let report = BenchReport { failed, ..BenchReport::new("bench", Vec::new(), Vec::new()) };
            report.exit_reason().map(|reason| (reason.help.into_owned(), reason.camera))
        };
        assert_eq!(reason(Vec::new()), None);
        let longest = ("measure longer: --duration 12s".to_owned(), None);
        assert_eq!(reason(vec![failed("a", Some(12)), failed("b", Some(8))]), Some(longest));
        let doctor = "`oaktap doctor CAMERA` finds out why a camera sends nothing".to_owned();
        assert_eq!(reason(vec![failed("a", Some(12)), failed("b", None)]), Some((doctor, Some("b".to_owned()))));
    }

    #[test]
    fn estimates_that_contradict_each_other_are_named() {
        let row = |width, cpu_us| {
            let mut row =
                Row { stage: "stream", width, height: 100, bytes_per_frame: 1000, frames: 100, ..Row::default() };
            row.set_times(1e-3, Some(cpu_us));
            row
        };
        for (small, large, contradicts) in [(50.0, 500.0, false), (500.0, 50.0, true)] {
            let mut text = Vec::new();
            let report = BenchReport::new("bench", vec![row(100, small), row(200, large)], Vec::new());
            report.write_table(&mut text).expect("a Vec takes everything");
            let text = String::from_utf8(text).expect("UTF-8");
            assert_eq!(text.contains("the estimates contradict each other"), contradicts, "{text}");
        }
    }
}
