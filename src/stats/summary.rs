//! The ledger as JSON, printed by `--json` at the end of a run.

use serde::Serialize;

use super::{
    BusCounts, CameraHealth, DamagePlace, Finding, FrameCounts, Rates, SequenceCounts, Stats, StreamCounts, VideoCounts,
};
use crate::hub::LaneCounts;
use crate::wire::{ByteCounts, DatagramCounts, Introduction};

/// All counts of one camera at the end of a run. The field names are part of the JSON output.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The camera's name.
    #[serde(rename = "camera")]
    pub name: String,
    /// The id of the device, if the camera has sent it.
    pub id: Option<String>,
    /// Seconds from the first frame to the last.
    pub seconds: f64,
    /// Seconds from the first frame to the end of the run; all of the run if no frame arrived.
    pub watched_seconds: f64,
    /// Seconds of these in which the camera was not connected, or connected and silent for too long.
    pub not_streaming_seconds: f64,
    /// Set if the camera was not streaming at the end, and not because we closed the connection.
    pub down_at_end: bool,
    /// Frames by outcome.
    pub frames: FrameCounts,
    /// Frames by stream; empty if the camera sends only one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<StreamCounts>,
    /// The camera's frame numbers by outcome; `None` if it sends no numbers, so that `frames.missing` is an estimate.
    pub numbers: Option<SequenceCounts>,
    /// Received bytes by kind.
    pub bytes: ByteCounts,
    /// Frames per second from the second fresh frame to the last frame, by this host's clock, without stale frames. With two fresh
    /// frames from the first one, and 0 with fewer.
    pub fps: f64,
    /// Received megabits (10^6) per second over the same time.
    pub mbit_s: f64,
    /// Estimated frame period of the camera in microseconds.
    pub frame_time_us: Option<i64>,
    /// Rates over the last frames of the run.
    pub recent: Rates,
    /// Time from the last byte of a frame to its finished picture; `None` if no picture was made.
    pub latency_us: Option<LatencySummary>,
    /// Datagrams by outcome; `None` for sources that do not receive datagrams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datagrams: Option<DatagramCounts>,
    /// Frames of a bus by outcome, and the counts of the far receiver; `None` for other sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bus: Option<BusCounts>,
    /// Attempts to connect.
    pub attempts: u64,
    /// Connections opened.
    pub connections: u64,
    /// Connections after the one with the first frame.
    pub reconnects: u64,
    /// Times that the camera's clock went backwards.
    pub reboots: u64,
    /// Times that another camera, by its id, followed at the same address.
    pub replacements: u64,
    /// Frames whose detections could not be parsed completely.
    pub bad_detections: u64,
    /// Frames whose JPEG ends early.
    pub bad_pictures: u64,
    /// Frames of video by outcome in the decoder; `None` if it took none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<VideoCounts>,
    /// Frames that were delivered with a guessed layout that later frames contradict.
    pub wrong_layouts: u64,
    /// Times that frame sync was lost.
    pub resyncs: u64,
    /// Skipped ranges of bytes.
    pub skipped_ranges: u64,
    /// Skipped bytes of damaged frames and of junk.
    pub damaged_bytes: u64,
    /// Place of the first damage; `None` if there was none.
    pub first_damage: Option<DamagePlace>,
    /// Frames that are missing in the recording that is played, as it reports itself.
    pub missing_in_recording: u64,
    /// Records received between frames.
    pub records: u64,
    /// Numbers that the camera sent beside its pictures.
    pub measurements: u64,
    /// Frames that the camera reports to have dropped while we were connected.
    pub dropped_by_camera: u64,
    /// The camera's description of itself on the last connection; `None` if it sent none.
    pub introduction: Option<Introduction>,
    /// Temperature and load reported by the camera; `None` if it reported neither.
    pub health: Option<CameraHealth>,
    /// Items by outcome, for every lane.
    pub lanes: Vec<LaneCounts>,
    /// Set if every frame, byte and lane item is accounted for.
    pub balances: bool,
    /// Set if everything that the camera sent was received; see [`Stats::lossless`].
    pub lossless: bool,
    /// Set if, in addition, nothing suggests that frames may be missing; see [`Stats::certainly_lossless`].
    pub certainly_lossless: bool,
    /// The counts that decide the exit code and are not 0; see [`Stats::findings`].
    pub findings: Vec<Finding>,
}

/// Distribution of latencies in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LatencySummary {
    /// Pictures measured.
    pub count: u64,
    /// Minimum.
    pub min: u64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Maximum.
    pub max: u64,
    /// Arithmetic mean.
    pub mean: f64,
}

impl Stats {
    /// Summarizes the counts under the name of the camera.
    #[must_use]
    pub fn summary(&self, name: &str) -> Summary {
        let ns = self.span.map_or(0, |(first, last)| last.mono_ns.saturating_sub(first.mono_ns));
        let seconds = ns as f64 / 1e9;
        let bytes = self.bytes();
        let (mut fresh_s, mut intervals, mut fresh_bytes) = (0.0, 0, 0);
        if let (Some(fresh), Some((_, last))) = (self.fresh, self.span) {
            let (from, bytes_before);
            (from, intervals, bytes_before) = fresh.measured();
            fresh_s = last.mono_ns.saturating_sub(from.mono_ns) as f64 / 1e9;
            fresh_bytes = bytes.received.saturating_sub(bytes_before);
        }
        let per_second = |amount: f64| if fresh_s > 0.0 { amount / fresh_s } else { 0.0 };
        let latency = self.latency_us();
        Summary {
            name: name.to_owned(),
            id: self.introduction.device_id.clone(),
            seconds,
            watched_seconds: self.outages.watched_ns() as f64 / 1e9,
            not_streaming_seconds: self.outages.total_ns() as f64 / 1e9,
            down_at_end: self.down_at_end(),
            frames: self.frames,
            streams: self.streams(),
            numbers: self.numbers(),
            bytes,
            fps: per_second(intervals as f64),
            mbit_s: per_second(fresh_bytes as f64 * 8e-6),
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
            datagrams: self.datagrams,
            bus: self.bus.clone(),
            attempts: self.attempts,
            connections: self.connections,
            reconnects: self.reconnects(),
            reboots: self.reboots,
            replacements: self.replacements,
            bad_detections: self.bad_detections,
            bad_pictures: self.bad_pictures,
            video: (self.video.taken > 0).then_some(self.video),
            wrong_layouts: self.wrong_layouts,
            resyncs: self.resyncs,
            skipped_ranges: self.skipped_ranges,
            damaged_bytes: self.damaged_bytes,
            first_damage: self.first_damage.clone(),
            missing_in_recording: self.missing_in_recording,
            records: self.records,
            measurements: self.measurements,
            dropped_by_camera: self.dropped_by_camera,
            introduction: (!self.introduction.is_empty()).then(|| (*self.introduction).clone()),
            health: (!self.health.is_empty()).then_some(self.health),
            lanes: self.lanes.clone(),
            balances: self.balances(),
            lossless: self.lossless(),
            certainly_lossless: self.certainly_lossless(),
            findings: self.findings(),
        }
    }
}
