//! What is in a recording: cameras, times, rates, sizes, gaps, boxes.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use hdrhistogram::Histogram;
use serde::{Serialize, Serializer};

use super::clock::{ClockFit, ClockModel};
use super::decode::Decoders;
use super::reader::{RECORD_HEAD, Recorded};
use super::salvage::{Found, Salvage};
use super::schema::Incident;
pub use super::timeline::{Step, Timeline};
use super::{CameraInfo, RecordingError};
use crate::frame::{DeviceTime, LabelMap, Utc};
use crate::stats::CameraHealth;
use crate::wire::{self, Record};

/// Longer times between frames are an hour. Microseconds.
const HOUR_US: u64 = 3_600_000_000;

/// Gaps that are told one by one, for each camera; all are counted.
const GAPS: usize = 100;

/// What is in one file.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// It was finished in order.
    pub finished: bool,
    /// Bytes that are no record, or of messages that cannot be used.
    pub damaged_bytes: u64,
    /// Frames of which only a part is there.
    pub damaged_frames: u64,
    /// The version that wrote it.
    pub version: Option<String>,
    /// The host that wrote it.
    pub host: Option<String>,
    /// How its chunks are compressed: `none`, `lz4`, `zstd`; several joined by a comma.
    pub compression: String,
    /// Chunks.
    pub chunks: u64,
    /// The cameras.
    pub cameras: Vec<CameraReport>,
}

/// What is in a file of one camera.
#[derive(Clone, Debug, Serialize)]
pub struct CameraReport {
    /// Its name.
    pub name: String,
    /// Where its frames came from.
    pub address: String,
    /// Dialects of its headers.
    pub dialects: Vec<String>,
    /// What its frames are, and how many of each: such as `BGR888p 640x352`, `JPEG`.
    pub formats: BTreeMap<String, u64>,
    /// Frames.
    pub frames: u64,
    /// Of those, the ones that were taken before the connection was made.
    pub stale: u64,
    /// Arrival of the first frame, as people write it.
    pub from_utc: Option<String>,
    /// Arrival of the first frame; nanoseconds since 1970, UTC.
    pub from_unix_ns: Option<i64>,
    /// Arrival of the last frame.
    pub to_unix_ns: Option<i64>,
    /// From the first frame to the last; seconds.
    pub seconds: f64,
    /// Frames a second.
    pub fps: f64,
    /// Payload; megabits a second.
    pub mbit_s: f64,
    /// Payload; bytes.
    pub payload: Size,
    /// From one arrival to the next; milliseconds.
    pub interval_ms: Option<Interval>,
    /// Frames that the recorder had to drop, or that were sent and are not in the file.
    pub missing: u64,
    /// The first hundred times that frames are missing.
    pub gaps: Vec<Gap>,
    /// Frames that arrived damaged.
    pub withdrawn: u64,
    /// Frames of which only a part arrived.
    pub lost: u64,
    /// How often the place of the next header was lost.
    pub resyncs: u64,
    /// Bytes of no intact frame that were skipped for it.
    pub skipped_bytes: u64,
    /// Connections that were opened after frames had come: it was lost and found again.
    pub reconnects: u64,
    /// Frames with detections that could not be read to their end.
    pub bad_detections: u64,
    /// Boxes.
    pub detections: u64,
    /// How often each label was seen.
    pub labels: BTreeMap<String, u64>,
    /// How warm and how busy the camera said to be, if it did.
    pub health: Option<CameraHealth>,
    /// The camera's clock, as the file has it or, in a torn one, as its frames tell.
    pub clock: Option<ClockFit>,
    /// Frames, boxes and gaps over time; in a document in a hundred steps at most.
    #[serde(serialize_with = "coarsely")]
    pub timeline: Timeline,
}

/// Sizes of frames.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Size {
    /// Of all together.
    pub total: u64,
    /// Of the smallest.
    pub min: u64,
    /// Of the largest.
    pub max: u64,
}

/// Times from one frame to the next, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Interval {
    /// Half are shorter.
    pub p50: f64,
    /// One of a hundred is longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// Frames that are missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// When; nanoseconds since 1970, UTC.
    pub at_unix_ns: i64,
    /// How many.
    pub frames: u64,
    /// Why.
    pub why: String,
}

impl Report {
    /// Whether the file holds everything that was sent while it was written, and holds it whole.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let whole = |camera: &CameraReport| camera.missing + camera.withdrawn + camera.lost == 0;
        self.is_whole() && self.cameras.iter().all(whole)
    }

    /// Whether the file is as it was written, to its end.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.finished && self.damaged_bytes == 0 && self.damaged_frames == 0
    }

    /// Frames of all cameras.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.cameras.iter().map(|camera| camera.frames).sum()
    }
}

/// Reads a recording from its beginning to its end, around what is damaged.
///
/// # Errors
/// It cannot be read, or is no recording.
pub fn inspect(path: &Path) -> Result<Report, RecordingError> {
    let mut at = 0;
    let failed = |at: u64| move |source| RecordingError::Read { at, source };
    let mut from = Salvage::open(path)?;
    let mut decoders = Decoders::default();
    let mut tallies: Vec<Tally> = Vec::new();
    let mut compression: Vec<String> = Vec::new();
    let (mut chunks, mut damaged_bytes, mut damaged_frames, mut finished) = (0, 0, 0, false);
    while let Some(found) = from.next().map_err(failed(at))? {
        while tallies.len() < from.cameras().len() {
            tallies.push(Tally::default());
        }
        match found {
            Found::Frame { at: frame_at, recorded, .. } => {
                at = frame_at;
                let frame = decoders.decode(&recorded).ok();
                let info = from.cameras().nth(recorded.camera);
                let labels = frame.as_ref().and_then(|frame| frame.labels.as_deref());
                let names = labels.or(info.and_then(|info| info.labels.as_ref())).unwrap_or(LabelMap::coco());
                let detections = frame.as_ref().map_or(&[][..], |frame| &frame.detections);
                let seen = detections.iter().map(|detection| names.title(detection.label).into_owned());
                tallies[recorded.camera].frame(&recorded, seen);
            }
            Found::Incident { camera, at_unix_ns, incident } => tallies[camera].incident(at_unix_ns, &incident),
            Found::Lost { bytes, .. } => {
                damaged_bytes += bytes;
                damaged_frames += 1;
            }
            Found::Chunk(chunk) => {
                chunks += 1;
                let name = if chunk.header.compression.is_empty() { "none" } else { &chunk.header.compression };
                if !compression.iter().any(|known| known == name) {
                    compression.push(name.to_owned());
                }
            }
            Found::Record { at, opcode, data } => {
                let end = at + RECORD_HEAD + data.len() as u64 + mcap::MAGIC.len() as u64;
                finished |= opcode == mcap::records::op::FOOTER && end <= from.len();
            }
            // What was preallocated and never written is no damage: the file is not finished then.
            Found::Damage { len, zeros, .. } => damaged_bytes += if zeros { 0 } else { len },
        }
    }
    let about = from.about();
    let cameras = tallies.into_iter().zip(from.cameras());
    let cameras: Vec<_> = cameras
        .map(|(tally, info)| tally.report(info, from.clock(&info.name).and_then(|it| ClockFit::from_metadata(it).ok())))
        .collect();
    if cameras.is_empty() {
        return Err(from.no_recording(path));
    }
    Ok(Report {
        path: path.to_owned(),
        bytes: from.len(),
        finished,
        damaged_bytes,
        damaged_frames,
        version: about.get("version").cloned(),
        host: about.get("host").cloned(),
        compression: compression.join(","),
        chunks,
        cameras,
    })
}

/// What is counted of one camera.
#[derive(Debug)]
struct Tally {
    dialects: Vec<String>,
    formats: BTreeMap<String, u64>,
    frames: u64,
    stale: u64,
    span: Option<(i64, i64)>,
    last: Option<(u32, i64)>,
    payload: Size,
    /// Microseconds.
    intervals: Histogram<u64>,
    missing: u64,
    gaps: Vec<Gap>,
    withdrawn: u64,
    lost: u64,
    resyncs: u64,
    skipped_bytes: u64,
    reconnects: u64,
    bad_detections: u64,
    detections: u64,
    labels: BTreeMap<String, u64>,
    health: CameraHealth,
    clock: ClockModel,
    timeline: Timeline,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            dialects: Vec::new(),
            formats: BTreeMap::new(),
            frames: 0,
            stale: 0,
            span: None,
            last: None,
            payload: Size::default(),
            intervals: Histogram::new_with_max(HOUR_US, 3).expect("bounds and digits that it can do"),
            missing: 0,
            gaps: Vec::new(),
            withdrawn: 0,
            lost: 0,
            resyncs: 0,
            skipped_bytes: 0,
            reconnects: 0,
            bad_detections: 0,
            detections: 0,
            labels: BTreeMap::new(),
            health: CameraHealth::default(),
            clock: ClockModel::default(),
            timeline: Timeline::default(),
        }
    }
}

impl Tally {
    fn frame(&mut self, recorded: &Recorded, seen: impl Iterator<Item = String>) {
        let Recorded { sequence, log_ns, ref wire, ref payload, .. } = *recorded;
        if !self.dialects.contains(&wire.dialect) {
            self.dialects.push(wire.dialect.clone());
        }
        let format = match &wire.layout {
            Some(layout) => format!("{} {}x{}", layout.format, layout.width, layout.height),
            None => wire.kind.clone(),
        };
        *self.formats.entry(format).or_default() += 1;
        let bytes = payload.len() as u64;
        self.payload.min = if self.frames == 0 { bytes } else { self.payload.min.min(bytes) };
        self.payload.max = self.payload.max.max(bytes);
        self.payload.total += bytes;
        self.frames += 1;
        self.stale += u64::from(wire.stale);
        let (from, to) = self.span.unwrap_or((log_ns, log_ns));
        self.span = Some((from.min(log_ns), to.max(log_ns)));
        let mut longest_ns = 0;
        if let Some((last, last_ns)) = self.last.replace((sequence, log_ns)) {
            longest_ns = u64::try_from(log_ns.saturating_sub(last_ns)).unwrap_or(0);
            self.intervals.saturating_record(longest_ns / 1000);
            let skipped = sequence.wrapping_sub(last).wrapping_sub(1);
            // Back is another numbering, not nearly all of the numbers.
            if skipped > 0 && skipped < u32::MAX / 2 {
                self.gap(log_ns, skipped.into(), "not in the file");
            }
        }
        for record in wire::records(&wire.records) {
            if let Record::Health { celsius, css, mss } = record {
                self.health.observe(celsius, css, mss);
            }
        }
        let mut detections = 0;
        for name in seen {
            detections += 1;
            *self.labels.entry(name).or_default() += 1;
        }
        self.detections += detections;
        self.timeline.add(log_ns, &Step { frames: 1, detections, missing: 0, longest_ns });
        if !wire.stale {
            self.clock.observe(DeviceTime(wire.device_time_us), log_ns);
        }
    }

    fn incident(&mut self, at_unix_ns: i64, incident: &Incident) {
        match incident.kind.as_str() {
            "gap" => self.gap(at_unix_ns, incident.frames, &incident.text),
            "withdrawn" => self.withdrawn += 1,
            "lost" => self.lost += 1,
            "skipped" => {
                self.resyncs += 1;
                self.skipped_bytes += incident.bytes;
            }
            "connected" if self.frames > 0 => self.reconnects += 1,
            "detections" => self.bad_detections += 1,
            _ => {}
        }
    }

    fn gap(&mut self, at_unix_ns: i64, frames: u64, why: &str) {
        self.missing += frames;
        self.timeline.add(at_unix_ns, &Step { missing: frames, ..Step::default() });
        if self.gaps.len() < GAPS {
            self.gaps.push(Gap { at_unix_ns, frames, why: why.to_owned() });
        }
    }

    fn report(self, info: &CameraInfo, clock: Option<ClockFit>) -> CameraReport {
        let seconds = self.span.map_or(0.0, |(from, to)| (i128::from(to) - i128::from(from)) as f64 / 1e9);
        let rate = |n: f64| if seconds > 0.0 { n / seconds } else { 0.0 };
        let ms = |us: u64| us as f64 / 1e3;
        let interval_ms = (!self.intervals.is_empty()).then(|| Interval {
            p50: ms(self.intervals.value_at_quantile(0.5)),
            p99: ms(self.intervals.value_at_quantile(0.99)),
            max: ms(self.intervals.max()),
        });
        CameraReport {
            name: info.name.clone(),
            address: info.address.clone(),
            dialects: self.dialects,
            formats: self.formats,
            frames: self.frames,
            stale: self.stale,
            from_utc: self.span.map(|(from, _)| Utc::from_unix_ns(from).to_string()),
            from_unix_ns: self.span.map(|(from, _)| from),
            to_unix_ns: self.span.map(|(_, to)| to),
            seconds,
            fps: rate(self.frames.saturating_sub(1) as f64),
            mbit_s: rate(self.payload.total as f64 * 8.0 / 1e6),
            payload: self.payload,
            interval_ms,
            missing: self.missing,
            gaps: self.gaps,
            withdrawn: self.withdrawn,
            lost: self.lost,
            resyncs: self.resyncs,
            skipped_bytes: self.skipped_bytes,
            reconnects: self.reconnects,
            bad_detections: self.bad_detections,
            detections: self.detections,
            labels: self.labels,
            health: (!self.health.is_empty()).then_some(self.health),
            clock: clock.or_else(|| self.clock.fit()),
            timeline: self.timeline,
        }
    }
}

fn coarsely<S: Serializer>(timeline: &Timeline, to: S) -> Result<S::Ok, S::Error> {
    timeline.at_most(100).serialize(to)
}

impl Salvage<File> {
    /// Opens a file.
    ///
    /// # Errors
    /// It cannot be opened, or not be read.
    pub(super) fn open(path: &Path) -> Result<Self, RecordingError> {
        File::open(path).map_err(|source| RecordingError::Open { path: path.to_owned(), source })?;
        Self::new(|| File::open(path)).map_err(|source| RecordingError::Read { at: 0, source })
    }

    /// What a file is in which no camera was found.
    pub(super) fn no_recording(&self, path: &Path) -> RecordingError {
        let path = path.to_owned();
        let mut found = vec![0; mcap::MAGIC.len()];
        let read = File::open(&path).and_then(|mut file| std::io::Read::read(&mut file, &mut found)).unwrap_or(0);
        found.truncate(read);
        if found != mcap::MAGIC && self.about().is_empty() {
            return RecordingError::NotMcap { path, found };
        }
        let found = if self.about().is_empty() { "none of ours" } else { "a file that ends before its first frame" };
        RecordingError::NotOurs { path, found: found.to_owned() }
    }
}
