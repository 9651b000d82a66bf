//! What was measured: a table for people, a document for programs.

use std::io::{self, Write};

use oaktap::stats::Summary;
use serde::Serialize;

/// One stage at one size.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Row {
    /// `parse`, `convert`, `overlay`, `receive` (nothing else) or `stream` (receive, parse, convert, overlay).
    pub(crate) stage: &'static str,
    /// The payload's format, and where it is turned into something else, that.
    pub(crate) what: String,
    /// Pixels in a row.
    pub(crate) width: u32,
    /// Rows.
    pub(crate) height: u32,
    /// Bytes that the stage moves for a frame: the mean of those that it reads and those that it writes.
    pub(crate) bytes_per_frame: u64,
    /// Frames that were worked on.
    pub(crate) frames: u64,
    /// Frames that were sent and did not arrive whole.
    pub(crate) frames_lost: u64,
    /// Frames a second.
    pub(crate) frames_per_s: f64,
    /// 10^9 bytes a second, of `bytes_per_frame`.
    pub(crate) gb_per_s: f64,
    /// The time that a `memcpy` of `bytes_per_frame` took in the same run, by the time that this took.
    pub(crate) memcpy_share: f64,
    /// CPU time of the thread that did it, in microseconds a frame; absent where the system does not tell.
    pub(crate) cpu_us_per_frame: Option<f64>,
    /// How many cameras at 40 frames a second that CPU time leaves room for on one core.
    pub(crate) cameras_at_40_fps: Option<f64>,
}

impl Row {
    /// Derives what follows from seconds and CPU time of a frame.
    pub(crate) fn set_times(&mut self, seconds: f64, cpu_us: Option<f64>) {
        self.frames_per_s = 1.0 / seconds;
        self.gb_per_s = self.bytes_per_frame as f64 / seconds / 1e9;
        self.cpu_us_per_frame = cpu_us;
        self.cameras_at_40_fps = cpu_us.map(|us| 1e6 / us / 40.0);
    }
}

/// Everything that one run measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// `bench`
    pub(crate) command: &'static str,
    /// Version of this program.
    pub(crate) version: &'static str,
    /// The processor, as it names itself.
    pub(crate) cpu: String,
    /// How many of them this process may use.
    pub(crate) cpus: usize,
    /// The instructions that conversion uses.
    pub(crate) instructions: &'static str,
    /// What was measured.
    pub(crate) rows: Vec<Row>,
    /// The ledger of the stream that was measured with, if there was one.
    pub(crate) cameras: Vec<Summary>,
}

impl Report {
    /// For this machine.
    pub(crate) fn new(rows: Vec<Row>) -> Self {
        Self {
            command: "bench",
            version: env!("CARGO_PKG_VERSION"),
            cpu: cpu_name(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            instructions: oaktap::convert::SimdLevel::best().name(),
            rows,
            cameras: Vec::new(),
        }
    }

    /// Whether every frame that was sent arrived whole.
    pub(crate) fn lossless(&self) -> bool {
        self.rows.iter().all(|row| row.frames_lost == 0)
    }

    /// The machine in a line.
    pub(crate) fn machine(&self) -> String {
        format!("oaktap {} on {}, {} CPUs, {}", self.version, self.cpu, self.cpus, self.instructions)
    }

    /// Writes the table.
    pub(crate) fn write_table(&self, mut to: impl Write) -> io::Result<()> {
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
            "of memcpy: the time of a copy of as many bytes, measured in turn with the stage, by the stage's time.\n\
             CPU us: time of the thread that does it, per frame. cams@40fps: how many cameras that is on one core.\n\
             receive: read from a socket and thrown away. stream: received, parsed, converted, boxes drawn."
        )
    }
}

/// What the processor calls itself; empty where that is not known.
fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}
