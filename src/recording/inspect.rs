//! Reports the content of a recording: cameras, times, rates, sizes, gaps and boxes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use super::clock::ClockModel;
use super::clock_fit::ClockFit;
use super::decode::Decoders;
use super::intervals::Intervals;
use super::join::RecordedFrame;
use super::mcap_record::RECORD_HEAD_BYTES;
pub use super::measurement_report::{
    FrameIntervals, GapReport, MeasurementReport, Measurements, PauseReport, PayloadSizes, TrackReport, TriggerReport,
};
use super::pace::Pace;
use super::pauses::Pauses;
pub use super::salvage::DamageReport;
use super::salvage::{Salvage, SalvageItem};
use super::schema::{IncidentKind, RecordedIncident};
pub use super::timeline::{TIMELINE_FILE_BYTES_MAX, Timeline, TimelineStep};
use super::{
    CameraInfo, ClockJump, PartFile, Reader, RecordingError, StreamDamage, UnsupportedTopic, Watch, is_bad_picture,
};
use crate::file;
use crate::frame::{DeviceTime, LabelMap, Size, Utc};
use crate::stats::CameraHealth;
use crate::wire::{self, Protocol, Record};

/// Number of gaps and triggers per camera, and of damaged parts and jumps of the clock, that a report lists. All are counted.
pub(super) const LISTED_MAX: usize = 100;

/// Content of one file.
#[derive(Clone, Debug, Serialize)]
pub struct RecordingReport {
    /// Path of the file.
    #[serde(serialize_with = "crate::file::serialize_path")]
    pub path: PathBuf,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// The recorder finished the file.
    pub finished: bool,
    /// A recorder is writing the file: its end is not damage.
    pub being_recorded: bool,
    /// Bytes that are not a record, or belong to damaged messages.
    pub damaged_bytes: u64,
    /// Frames of which only a part is in the file, or that are damaged.
    pub damaged_frames: u64,
    /// Number of damaged parts: chunks, metadata, incomplete frames and bytes that are not a record.
    pub damaged_parts: u64,
    /// The first 100 damaged parts, in file order.
    pub damage: Vec<DamageReport>,
    /// Topics with pictures in encodings that are not supported.
    pub unsupported: Vec<UnsupportedTopic>,
    /// Changes of the host's clock during the recording. The times in this report have none.
    pub clock_jumps: Vec<ClockJump>,
    /// Version of oaktap that wrote it.
    pub version: Option<String>,
    /// Name of the host that wrote it.
    pub host: Option<String>,
    /// Compression of its chunks: `none`, `lz4`, `zstd`, or several of them separated by commas.
    pub compression: String,
    /// Number of chunks.
    pub chunks: u64,
    /// One report per camera.
    pub cameras: Vec<CameraReport>,
    /// Place of the file in a recording of several files.
    #[serde(skip)]
    pub part: Option<PartFile>,
}

/// Content of one camera in a file.
#[derive(Clone, Debug, Serialize)]
pub struct CameraReport {
    /// Name of the camera.
    pub name: String,
    /// Source of its frames, as the user wrote it.
    pub address: String,
    /// Dialects of its headers, in order of appearance.
    pub dialects: Vec<String>,
    /// Number of frames per format, such as `BGR888p 640x352` or `H265 1920x1080`.
    pub formats: BTreeMap<String, u64>,
    /// Number of frames.
    pub frames: u64,
    /// Frames among them that were captured before the connection was opened.
    pub stale: u64,
    /// Arrival of the first frame as text, UTC.
    pub from_utc: Option<String>,
    /// Arrival of the first frame in nanoseconds since 1970, UTC.
    pub from_unix_ns: Option<i64>,
    /// Arrival of the last frame in nanoseconds since 1970, UTC.
    pub to_unix_ns: Option<i64>,
    /// Time from the first to the last frame in seconds.
    pub seconds: f64,
    /// Frame rate in frames per second, without frames that waited before the connection was opened.
    pub fps: f64,
    /// Payload rate over the same time in Mbit/s.
    pub mbit_s: f64,
    /// Payload sizes in bytes.
    pub payload: PayloadSizes,
    /// Intervals between arrivals in milliseconds, without frames that waited before the connection was opened.
    pub interval_ms: Option<FrameIntervals>,
    /// Frames that were sent and are not in the file: damaged or lost before the recorder ([`StreamDamage::withdrawn`] and
    /// [`StreamDamage::lost`]), dropped by it, or lost with a part of the file.
    pub missing: u64,
    /// The first 100 places with such frames, or with frames that the camera left out.
    pub gaps: Vec<GapReport>,
    /// The 100 longest pauses between frames, the longest first.
    pub pauses: Vec<PauseReport>,
    /// Times that the trigger of the recording fired.
    pub triggered: u64,
    /// The first 100 of these times.
    pub triggers: Vec<TriggerReport>,
    /// Frames and bytes that did not arrive, or not intact.
    #[serde(flatten)]
    pub damage: StreamDamage,
    /// Connections that were opened after the first frame.
    pub reconnects: u64,
    /// Number of boxes.
    pub detections: u64,
    /// Number of boxes per label.
    pub labels: BTreeMap<String, u64>,
    /// Numbers that the camera sent beside its pictures, by topic. At most 100 topics.
    pub measurements: Measurements,
    /// Objects that the camera followed and counted.
    #[serde(flatten)]
    pub tracking: TrackReport,
    /// Temperature and load that the camera reported, if it did.
    pub health: Option<CameraHealth>,
    /// The camera's clock, from the file's metadata or, in a torn file, from its frames. `None` if it has none: pictures over
    /// HTTP, MQTT and UDP without a header have the time of their arrival.
    pub clock: Option<ClockFit>,
    /// Frames, boxes and gaps over time. Serialized with at most 100 steps.
    #[serde(serialize_with = "serialize_coarse")]
    pub timeline: Timeline,
}

impl RecordingReport {
    /// Returns whether the file is intact and no frame that was sent during the recording is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let whole = |camera: &CameraReport| camera.missing == 0 && camera.damage.is_none();
        self.is_whole() && self.cameras.iter().all(whole)
    }

    /// Returns whether the file is finished and undamaged, and all of its pictures are supported.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        (self.finished || self.being_recorded) && self.damaged_parts == 0 && self.unsupported.is_empty()
    }

    /// Returns whether no camera sent anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cameras.iter().all(|camera| camera.frames == 0 && camera.measurements.0.is_empty())
    }

    /// Number of frames of all cameras.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.cameras.iter().map(|camera| camera.frames).sum()
    }
}

/// Reads a whole recording, past any damage.
///
/// # Errors
/// The file cannot be read, or is not a recording.
pub fn inspect(path: &Path) -> Result<RecordingReport, RecordingError> {
    inspect_watched(path, &Watch::default())
}

/// Like [`inspect`], with progress.
///
/// # Errors
/// As [`inspect`], or the watch stopped it.
pub fn inspect_watched(path: &Path, watch: &Watch) -> Result<RecordingReport, RecordingError> {
    let mut at = 0;
    let failed = |at: u64| move |source| RecordingError::read(at, source);
    let being_recorded = file::is_locked(path);
    let mut from = Salvage::open(path, watch)?;
    // A file that cannot be opened for playback keeps the times of its host's clock.
    let reader = Reader::open(path).ok();
    let mut time_line = reader.as_ref().map(Reader::time_line).unwrap_or_default();
    let mut recorded_jumps = Vec::new(); // Removed from the times of the frames by the recorder.
    let mut decoders = Decoders::default();
    let mut tallies: Vec<CameraTally> = Vec::new();
    let mut compression: Vec<String> = Vec::new();
    let (mut chunks, mut damaged_bytes, mut damaged_frames, mut finished) = (0, 0, 0, false);
    let (mut damaged_parts, mut damage, mut unsupported) = (0, Vec::new(), Vec::new());
    let mut damaged = |offset: u64, why: String| {
        damaged_parts += 1;
        if damage.len() < LISTED_MAX {
            damage.push(DamageReport { offset, why });
        }
    };
    while let Some(found) = from.next().map_err(failed(at))? {
        while tallies.len() < from.cameras().len() {
            tallies.push(CameraTally::default());
        }
        match found {
            SalvageItem::Frame { at: frame_at, mut recorded, .. } => {
                at = frame_at;
                recorded.log_ns = time_line.frame(recorded.log_ns, recorded.wire.arrival_mono_ns);
                let frame = decoders.decode(&recorded);
                if let Err(why) = &frame {
                    damaged(at, format!("frame {} cannot be decoded: {why}", recorded.sequence));
                }
                let frame = frame.ok();
                let info = from.cameras().nth(recorded.camera);
                let labels = frame.as_ref().and_then(|frame| frame.labels.as_deref());
                let names = LabelMap::first_known([labels, info.and_then(|info| info.labels.as_ref())]);
                let detections = frame.as_ref().map_or(&[][..], |frame| &frame.detections);
                let seen = detections.iter().map(|detection| names.title(detection.label).into_owned());
                let video_size = frame.as_ref().and_then(|frame| frame.video_size);
                tallies[recorded.camera].frame(&recorded, video_size, seen);
                tallies[recorded.camera].damage.frame(frame.as_deref().is_some_and(is_bad_picture));
                frame.into_iter().for_each(|frame| tallies[recorded.camera].tracking.observe(&frame));
            }
            SalvageItem::Incident { camera, at_unix_ns, incident } => {
                let at_unix_ns = time_line.near(at_unix_ns);
                if incident.kind() == Some(IncidentKind::ClockJump) && recorded_jumps.len() < LISTED_MAX {
                    let by_ns = incident.unix_found_ns.saturating_sub(incident.unix_expected_ns);
                    recorded_jumps.push(ClockJump { at_unix_ns, by_ns });
                }
                tallies[camera].incident(at_unix_ns, &incident);
            }
            SalvageItem::Unsupported { topic, why } => unsupported.push(UnsupportedTopic { topic, why }),
            SalvageItem::Lost { at, bytes, expected, found, .. } => {
                damaged_bytes += bytes;
                damaged_frames += 1;
                damaged(at, format!("expected {expected}, found {found}"));
            }
            SalvageItem::Chunk(chunk) => {
                chunks += 1;
                damaged_bytes += if chunk.unread { chunk.len } else { 0 };
                let is_open = being_recorded && chunk.at + chunk.len >= from.len();
                if let Some(why) = chunk.damage.filter(|_| !is_open) {
                    damaged(chunk.at, format!("chunk: {why}"));
                }
                let name = if chunk.header.compression.is_empty() { "none" } else { &chunk.header.compression };
                if !compression.iter().any(|known| known == name) {
                    compression.push(name.to_owned());
                }
            }
            SalvageItem::Record { at, opcode, data } => {
                let end = at + RECORD_HEAD_BYTES + data.len() as u64 + mcap::MAGIC.len() as u64;
                finished |= opcode == mcap::records::op::FOOTER && end <= from.len();
            }
            // Zeros were preallocated and never written. They are not damage, but the file is then not finished.
            SalvageItem::Damage { zeros: true, .. } => {}
            SalvageItem::Damage { at, len, .. } if being_recorded && at + len >= from.len() => {}
            SalvageItem::Damage { at, len, .. } => {
                damaged_bytes += len;
                damaged(at, format!("{len} bytes that are not a record"));
            }
        }
    }
    let outside_chunks = reader.map_or_else(|| from.damaged_metadata().to_vec(), |reader| reader.damaged_records());
    outside_chunks.into_iter().for_each(|(at, why)| damaged(at, why));
    let missing = tallies.iter().enumerate().filter_map(|(camera, tally)| from.missing(camera, tally.frames));
    damage.extend(missing.filter(|_| damaged_parts == 0));
    damaged_parts = damaged_parts.max(damage.len() as u64);
    damage.sort_by_key(|part| part.offset);
    from.check_cameras(path)?;
    let about = from.about();
    let cameras = tallies.into_iter().zip(from.cameras());
    let cameras: Vec<_> = cameras
        .map(|(tally, info)| {
            // A recorder that did not notice a jump compared the camera with both clocks.
            let stored = from.clock(&info.name).filter(|_| time_line.jumps.is_empty());
            tally.report(info, stored.and_then(ClockFit::usable))
        })
        .collect();
    let mut clock_jumps = time_line.jumps;
    clock_jumps.append(&mut recorded_jumps);
    clock_jumps.sort_by_key(|jump| jump.at_unix_ns);
    Ok(RecordingReport {
        path: path.to_owned(),
        bytes: from.len(),
        finished,
        being_recorded,
        damaged_bytes,
        damaged_frames,
        damaged_parts,
        damage,
        unsupported,
        clock_jumps,
        version: about.get("version").cloned(),
        host: about.get("host").cloned(),
        compression: compression.join(","),
        chunks,
        cameras,
        part: from.part(path),
    })
}

/// Counts of one camera.
#[derive(Debug, Default)]
struct CameraTally {
    dialects: Vec<String>,
    formats: BTreeMap<String, u64>,
    frames: u64,
    stale: u64,
    span: Option<(i64, i64)>,
    /// Number, arrival and staleness of the last frame.
    last: Option<(u32, i64, bool)>,
    payload: PayloadSizes,
    pace: Pace,
    intervals: Intervals,
    missing: u64,
    gaps: Vec<GapReport>,
    pauses: Pauses,
    triggered: u64,
    triggers: Vec<TriggerReport>,
    damage: StreamDamage,
    reconnects: u64,
    detections: u64,
    labels: BTreeMap<String, u64>,
    measurements: Measurements,
    tracking: TrackReport,
    health: CameraHealth,
    clock: ClockModel,
    timeline: Timeline,
}

impl CameraTally {
    /// Adds a frame. `video_size`: size of its picture if it is video.
    fn frame(&mut self, recorded: &RecordedFrame, video_size: Option<Size>, seen: impl Iterator<Item = String>) {
        let RecordedFrame { sequence, log_ns, ref wire, ref payload, .. } = *recorded;
        if !self.dialects.contains(&wire.dialect) {
            self.dialects.push(wire.dialect.clone());
        }
        let format = match (&wire.layout, video_size) {
            (Some(layout), _) => format!("{} {}x{}", layout.format, layout.width, layout.height),
            (None, Some(size)) => format!("{} {size}", wire.kind),
            (None, None) => wire.kind.clone(),
        };
        *self.formats.entry(format).or_default() += 1;
        let bytes = payload.len() as u64;
        self.payload.min = if self.frames == 0 { bytes } else { self.payload.min.min(bytes) };
        self.payload.max = self.payload.max.max(bytes);
        self.payload.total += bytes;
        let step = self.pace.frame(log_ns, DeviceTime(wire.device_time_us), bytes, wire.stale);
        self.frames += 1;
        self.stale += u64::from(wire.stale);
        let (from, to) = self.span.unwrap_or((log_ns, log_ns));
        self.span = Some((from.min(log_ns), to.max(log_ns)));
        let mut longest_ns = 0;
        if let Some((last, last_ns, last_stale)) = self.last.replace((sequence, log_ns, wire.stale)) {
            longest_ns = u64::try_from(log_ns.saturating_sub(last_ns)).unwrap_or(0);
            if let Some(step) = step.filter(|_| !last_stale) {
                self.intervals.add(longest_ns, step);
            }
            // The time before and after frames that waited may be a pause, the time between them is not.
            if !(last_stale && wire.stale) {
                self.pauses.interval(last_ns, longest_ns);
            }
            let skipped = sequence.wrapping_sub(last).wrapping_sub(1);
            // A sequence number that goes back restarts the numbering, and means no missing frames.
            if skipped > 0 && skipped < u32::MAX / 2 {
                self.missing(log_ns, skipped.into(), "not in the file");
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
        self.timeline.add(log_ns, &TimelineStep { frames: 1, detections, longest_ns, ..TimelineStep::default() });
        self.clock.follow_connection(wire.at, wire.payload_len);
        if !wire.stale && wire.dialect.parse::<Protocol>().is_err() {
            self.clock.observe(DeviceTime(wire.device_time_us), log_ns);
        }
    }

    fn incident(&mut self, at_unix_ns: i64, incident: &RecordedIncident) {
        self.damage.incident(incident);
        match incident.kind() {
            Some(IncidentKind::Gap) => self.missing(at_unix_ns, incident.frames, &incident.text),
            Some(IncidentKind::Withdrawn | IncidentKind::Lost) => {
                self.missing(at_unix_ns, incident.frames.max(1), &incident.text);
            }
            Some(IncidentKind::NotSent) => self.gap(at_unix_ns, incident.frames, &incident.text),
            Some(IncidentKind::Connected) => self.reconnects += u64::from(self.frames > 0),
            Some(IncidentKind::Trigger) => {
                self.triggered += 1;
                self.timeline.add(at_unix_ns, &TimelineStep { triggers: 1, ..TimelineStep::default() });
                if self.triggers.len() < LISTED_MAX {
                    self.triggers.push(TriggerReport { at_unix_ns, why: incident.text.clone() });
                }
            }
            Some(IncidentKind::Measurement) => self.measurements.observe(&incident.text, incident.value),
            // Counted as damage, or not. `None`: another version wrote it.
            Some(
                IncidentKind::Skipped
                | IncidentKind::BadDetections
                | IncidentKind::Disconnected
                | IncidentKind::ClockJump,
            )
            | None => {}
        }
    }

    fn missing(&mut self, at_unix_ns: i64, frames: u64, why: &str) {
        self.missing += frames;
        self.gap(at_unix_ns, frames, why);
    }

    fn gap(&mut self, at_unix_ns: i64, frames: u64, why: &str) {
        self.timeline.add(at_unix_ns, &TimelineStep { missing: frames, ..TimelineStep::default() });
        if self.gaps.len() < LISTED_MAX {
            self.gaps.push(GapReport { at_unix_ns, frames, why: why.to_owned() });
        }
    }

    fn report(self, info: &CameraInfo, clock: Option<ClockFit>) -> CameraReport {
        let seconds = self.span.map_or(0.0, |(from, to)| (i128::from(to) - i128::from(from)) as f64 / 1e9);
        let pauses =
            self.intervals.usual_ns().map_or_else(Vec::new, |usual_ns| self.pauses.longer_than_usual(usual_ns));
        let from_ns = self.span.map_or(i64::MIN, |(from, _)| from);
        let clock = clock.or_else(|| self.clock.fit()).map(|clock| clock.within_file(from_ns));
        let has_clock = !self.dialects.iter().all(|dialect| dialect.parse::<Protocol>().is_ok());
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
            fps: self.pace.fps(),
            mbit_s: self.pace.mbit_s(),
            payload: self.payload,
            interval_ms: self.intervals.report(),
            missing: self.missing,
            gaps: self.gaps,
            pauses,
            triggered: self.triggered,
            triggers: self.triggers,
            damage: self.damage,
            reconnects: self.reconnects,
            detections: self.detections,
            labels: self.labels,
            measurements: self.measurements,
            tracking: self.tracking,
            health: (!self.health.is_empty()).then_some(self.health),
            clock: clock.filter(|_| has_clock),
            timeline: self.timeline,
        }
    }
}

fn serialize_coarse<S: Serializer>(timeline: &Timeline, to: S) -> Result<S::Ok, S::Error> {
    timeline.at_most(100).serialize(to)
}
