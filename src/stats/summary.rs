//! The ledger as a document: what `--json` prints at the end.

use serde::Serialize;

use super::{FrameCounts, Health, NumberCounts, Rates, Stats};
use crate::hub::LaneCounts;
use crate::wire::{ByteCounts, Introduction};

/// Everything that the ledger of one camera knows.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The camera's name.
    pub name: String,
    /// Seconds from the first frame to the last.
    pub seconds: f64,
    /// What became of the frames.
    pub frames: FrameCounts,
    /// What became of the camera's own numbers; `None` if its frames have none: then the missing ones are an estimate.
    pub numbers: Option<NumberCounts>,
    /// Every byte, by what it was.
    pub bytes: ByteCounts,
    /// Frames a second over the whole run, by our clock; 0 with fewer than two.
    pub fps: f64,
    /// Megabits (10^6) a second over the whole run.
    pub mbit_s: f64,
    /// The camera's frame time in microseconds, as estimated.
    pub frame_time_us: Option<i64>,
    /// Speeds at the end.
    pub recent: Rates,
    /// From last byte to finished picture; `None` when no picture was made.
    pub latency_us: Option<LatencySummary>,
    /// Attempts to connect.
    pub attempts: u64,
    /// Connections that were opened.
    pub connections: u64,
    /// Connections after the first.
    pub reconnects: u64,
    /// Times that the camera's clock began again.
    pub reboots: u64,
    /// Frames whose detections could not be read to their end.
    pub bad_detections: u64,
    /// Times that the place of the next header was lost.
    pub resyncs: u64,
    /// Ranges of bytes that were skipped.
    pub skipped_ranges: u64,
    /// Records that stood between the frames.
    pub records: u64,
    /// Frames that the camera says it dropped itself.
    pub dropped_by_camera: u64,
    /// What the camera said of itself when the last connection was opened; `None` if it said nothing.
    pub introduction: Option<Introduction>,
    /// How warm and how busy it said to be; `None` if it did not.
    pub health: Option<Health>,
    /// What every lane did with what it was offered.
    pub lanes: Vec<LaneCounts>,
    /// Whether the books balance.
    pub balances: bool,
    /// Whether nothing was lost, damaged, or dropped by a lane that promises to keep.
    pub lossless: bool,
}

/// Percentiles in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LatencySummary {
    /// Pictures measured.
    pub count: u64,
    /// Shortest.
    pub min: u64,
    /// Half are shorter.
    pub p50: u64,
    /// Nine of ten are shorter.
    pub p90: u64,
    /// 99 of 100 are shorter.
    pub p99: u64,
    /// Longest.
    pub max: u64,
    /// Average.
    pub mean: f64,
}

impl Stats {
    /// The document.
    #[must_use]
    pub fn summary(&self, name: &str) -> Summary {
        let ns = self.span.map_or(0, |(first, last)| last.mono_ns.saturating_sub(first.mono_ns));
        let seconds = ns as f64 / 1e9;
        let per_second = |amount: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };
        let bytes = self.bytes();
        let latency = self.latency_us();
        Summary {
            name: name.to_owned(),
            seconds,
            frames: self.frames,
            numbers: self.numbers(),
            bytes,
            fps: per_second(self.frames.received.saturating_sub(1) as f64),
            mbit_s: per_second(bytes.received as f64 * 8e-6),
            frame_time_us: self.frame_time_us(),
            recent: self.rates(),
            latency_us: (!latency.is_empty()).then(|| LatencySummary {
                count: latency.len(),
                min: latency.min(),
                p50: latency.value_at_quantile(0.5),
                p90: latency.value_at_quantile(0.9),
                p99: latency.value_at_quantile(0.99),
                max: latency.max(),
                mean: latency.mean(),
            }),
            attempts: self.attempts,
            connections: self.connections,
            reconnects: self.reconnects(),
            reboots: self.reboots,
            bad_detections: self.bad_detections,
            resyncs: self.resyncs,
            skipped_ranges: self.skipped_ranges,
            records: self.records,
            dropped_by_camera: self.dropped_by_camera,
            introduction: (!self.introduction.is_empty()).then(|| (*self.introduction).clone()),
            health: (!self.health.is_empty()).then_some(self.health),
            lanes: self.lanes.clone(),
            balances: self.balances(),
            lossless: self.lossless(),
        }
    }
}
