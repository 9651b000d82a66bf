//! The results of a benchmark, as a table and as JSON.

use std::io::{self, Write};

use oaktap::doctor::tcp_capacity_mbit_s;
use oaktap::stats::Summary;
use serde::Serialize;

/// One stage at one size.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Row {
    /// `parse`, `convert`, `overlay`, `receive` (only) or `stream` (receive, parse, convert, overlay).
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

/// Cameras at 40 frames per second that this machine takes, with pictures of one size.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Capacity {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// The format of their payloads.
    pub(crate) format: String,
    /// Estimate for the processors: the CPU time of the stage `stream`, with all of them at 100 %.
    pub(crate) cameras_of_processors: u32,
    /// Cameras whose streams fit on a network port of 1 Gbit/s.
    pub(crate) cameras_of_gigabit_port: u32,
}

impl Capacity {
    fn of(row: &Row, cpus: usize) -> Option<Self> {
        let per_core = row.cameras_at_40_fps.filter(|_| row.stage == "stream")?;
        let port = tcp_capacity_mbit_s(1000, 1500) * 1e6 / 8.0;
        Some(Self {
            width: row.width,
            height: row.height,
            format: row.what.clone(),
            cameras_of_processors: (per_core * cpus as f64) as u32,
            cameras_of_gigabit_port: (port / (row.bytes_per_frame as f64 * 40.0)) as u32,
        })
    }
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
    /// How many cameras this machine takes, per size of their pictures.
    pub(crate) capacity: Vec<Capacity>,
    pub(crate) rows: Vec<Row>,
    /// The ledger of the measured stream, if one was given.
    pub(crate) cameras: Vec<Summary>,
}

impl BenchReport {
    /// Describes this machine.
    pub(crate) fn new(command: &'static str, rows: Vec<Row>) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            command,
            version: env!("CARGO_PKG_VERSION"),
            cpu: cpu_name(),
            cpus,
            capacity: rows.iter().filter_map(|row| Capacity::of(row, cpus)).collect(),
            instructions: oaktap::convert::SimdLevel::best().name(),
            rows,
            cameras: Vec::new(),
        }
    }

    /// Returns whether every frame that was sent arrived intact.
    pub(crate) fn lossless(&self) -> bool {
        self.rows.iter().all(|row| row.frames_lost == 0) && self.cameras.iter().all(|camera| camera.lossless)
    }

    /// Describes the machine in one line.
    pub(crate) fn machine(&self) -> String {
        format!("oaktap {} on {}, {} CPUs, {}", self.version, self.cpu, self.cpus, self.instructions)
    }

    /// Answers first how many cameras this machine takes.
    fn write_capacity(&self, to: &mut impl Write) -> io::Result<()> {
        for Capacity { width, height, format, cameras_of_processors, cameras_of_gigabit_port } in &self.capacity {
            let size = format!("{width}x{height}");
            writeln!(
                to,
                "cameras of {size:<9} {format} at 40 frames/s: ~{cameras_of_processors} by the processors, \
                 {cameras_of_gigabit_port} per port of 1 Gbit/s"
            )?;
        }
        Ok(())
    }

    pub(crate) fn write_table(&self, mut to: impl Write) -> io::Result<()> {
        self.write_capacity(&mut to)?;
        writeln!(to, "{}", self.machine())?;
        writeln!(to)?;
        writeln!(
            to,
            "{:<8} {:<16} {:>9} {:>10} {:>7} {:>9} {:>9} {:>11} {:>6}",
            "stage", "what", "size", "frames/s", "GB/s", "of memcpy", "CPU us", "cams@40fps", "lost"
        )?;
        let optional = |number: Option<f64>, digits| number.map_or("-".to_owned(), |n| format!("{n:.digits$}"));
        for row in &self.rows {
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
            "~: estimate from the CPU time of the stage `stream`, with all processors at 100 %.\n\
             of memcpy: time of a copy of as many bytes, measured in turn with the stage, divided by the stage's time.\n\
             CPU us: CPU time of the thread per frame. cams@40fps: cameras that one core can serve.\n\
             receive: read from a socket and discarded. stream: received, parsed, converted, boxes drawn."
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
                ..Row::default()
            };
            row.set_times(1e-3, cpu_us);
            row
        };
        let report = BenchReport::new("bench", vec![row("receive", Some(10.0)), row("stream", Some(250.0))]);
        let mut text = Vec::new();
        report.write_table(&mut text).expect("a Vec takes everything");
        // 100 cameras per core; 4 * 216 of 941 Mbit/s.
        let first = format!(
            "cameras of 640x352   NV12 at 40 frames/s: ~{} by the processors, 4 per port of 1 Gbit/s\n",
            100 * report.cpus
        );
        assert!(String::from_utf8(text).expect("UTF-8").starts_with(&first));
        assert!(BenchReport::new("bench", vec![row("stream", None)]).capacity.is_empty(), "no CPU time, no estimate");
    }
}
