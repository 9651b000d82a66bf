//! Detections of each confirmed frame, as JSON-ready records.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::convert::DepthMap;
use crate::frame::{Counters, Frame, FrameNumbers, NamedDetection, Received, Track};
use crate::hub::{Budget, LaneCounter, Policy, RecvTimeoutError, Taker, weighed_lane};
use crate::live::{Camera, Sink};
use crate::overlay::Style;
use crate::recording::schema::IncidentKind;
use crate::sink::label_weight::LabelWeight;
use crate::source::{Incident, IncidentEvent, Measurement};

/// Memory for frames that wait while the reader is slow, of all cameras together, unless [`Detections::with_budget`] sets it.
/// Without payloads this is hours of frames; with payloads ([`Detections::with_payloads`]) 10 s at 40 frames/s of 640x352.
/// Further frames are dropped and counted as lost. A camera is never slowed for it, because it would drop frames itself,
/// uncounted; a recording waits.
const QUEUE_BYTES: usize = 256 << 20;

/// A frame that waits for its reader, usually without its payload.
#[derive(Clone, Debug)]
pub struct DetectedFrame {
    /// The frame. Its payload is empty unless payloads are kept.
    pub frame: Arc<Frame>,
    /// Bytes of the payload.
    pub bytes: usize,
    /// Memory of the label names that it does not share with the frame before it, in bytes.
    label_bytes: usize,
}

impl DetectedFrame {
    /// Takes a frame, without its payload unless that is kept.
    pub(crate) fn new(frame: &Arc<Frame>, keeps_payload: bool, label_bytes: usize) -> Self {
        let bytes = frame.payload().len();
        let frame = if keeps_payload { Arc::clone(frame) } else { Arc::new(frame.without_payload()) };
        Self { frame, bytes, label_bytes }
    }

    /// Returns about the bytes that it takes up in memory.
    fn weight(&self) -> usize {
        let Frame { detections, records, header, detection_text, .. } = &*self.frame;
        size_of::<Frame>()
            + size_of_val(&**detections)
            + records.len()
            + header.len()
            + detection_text.len()
            + self.label_bytes
            + self.frame.payload().len()
    }
}

/// A frame or a number of a camera.
#[derive(Clone, Debug)]
pub enum Detected {
    /// A frame, with its number over all connections.
    Frame(u64, DetectedFrame),
    /// A number that the camera sent beside its pictures, with its place among these numbers, and its arrival.
    Measurement(u64, Measurement, Received),
    /// A depth picture that a recording has beside the frames: see [`Outlets::depth_beside`](crate::source::Outlets::depth_beside).
    Depth(Arc<Frame>),
}

/// An item that waits for its reader.
#[derive(Clone, Debug)]
enum Waiting {
    Frame(DetectedFrame),
    Measurement(Measurement, Received),
    Depth(Arc<Frame>),
    /// Frames that a recording marks as missing before the next one.
    Missing(u64),
}

impl Waiting {
    fn weight(&self) -> usize {
        match self {
            Self::Frame(frame) => frame.weight(),
            Self::Measurement(Measurement { topic, .. }, _) => size_of::<Self>() + topic.len(),
            Self::Depth(frame) => size_of::<Frame>() + frame.payload().len(),
            Self::Missing(_) => size_of::<Self>(),
        }
    }

    /// Returns the item to queue for an incident: a measurement, or the frames that a recording marks as missing.
    fn of_incident(incident: &Incident) -> Option<Self> {
        if let Some(measurement) = incident.event.measurement() {
            return Some(Self::Measurement(measurement, incident.received));
        }
        missing_frames(incident).map(Self::Missing)
    }
}

/// Returns the number of frames that a recording marks as missing before the next one, if the incident is such a mark.
pub(crate) fn missing_frames(incident: &Incident) -> Option<u64> {
    let IncidentEvent::Recorded(incident) = &incident.event else { return None };
    // A frame that was withdrawn had a number when the recording was made.
    let is_numbered = matches!(incident.kind(), Some(IncidentKind::Gap | IncidentKind::Withdrawn));
    (is_numbered && incident.frames > 0).then_some(incident.frames)
}

/// A number that the camera sent beside its pictures.
#[derive(Debug, Serialize)]
pub struct MeasurementRecord<'a> {
    /// Name of the camera, if it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub camera: Option<&'a str>,
    /// Counts the numbers of the camera, of all topics, from 0.
    pub seq: u64,
    /// Arrival, in nanoseconds since 1970, UTC.
    pub arrival_unix_ns: i64,
    /// Topic on which it was published.
    pub topic: &'a str,
    /// The number.
    pub value: f64,
    /// A broker had retained it: it is not of the present.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
}

/// Detections of one frame, as they were sent: boxes are not clamped.
#[derive(Debug, Serialize)]
pub struct DetectionRecord<'a> {
    /// Name of the camera, if it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub camera: Option<&'a str>,
    /// Number of the frame over all connections. It always grows; a frame that was withdrawn or dropped leaves a gap.
    pub seq: u64,
    /// Number that the camera gave the frame (`@F`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub camera_seq: Option<u64>,
    /// Time of the camera's clock in microseconds.
    pub device_time_us: i64,
    /// Arrival of the last byte, in nanoseconds since 1970, UTC.
    pub arrival_unix_ns: i64,
    /// Width of the picture in pixels, if known.
    pub width: Option<u32>,
    /// Height of the picture in pixels, if known.
    pub height: Option<u32>,
    /// Name of the stream, if it is not the first one of the camera.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<&'a str>,
    /// Pixel format or encoding, if known.
    pub format: Option<&'a str>,
    /// Bytes of the payload.
    pub bytes: usize,
    /// SHA-256 of the payload in hexadecimal, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The frame waited in the camera's queue before we connected.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    /// Detections that the style shows.
    pub detections: Vec<NamedDetection<'a>>,
    /// Objects that the camera follows, if it sends them.
    #[serde(skip_serializing_if = "<[Track]>::is_empty")]
    pub tracks: &'a [Track],
    /// Objects that the camera has counted, if it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counters: Option<Counters>,
}

impl<'a> DetectionRecord<'a> {
    /// Describes a frame with the labels and filters of a style.
    #[must_use]
    pub fn new(DetectedFrame { frame, bytes, .. }: &'a DetectedFrame, seq: u64, style: &'a Style) -> Self {
        let names = style.names(frame.labels.as_deref());
        let shown = frame.detections.iter().filter(|detection| style.shows(detection, names));
        Self {
            camera: None,
            seq,
            camera_seq: frame.camera_seq,
            device_time_us: frame.device_time.0,
            arrival_unix_ns: frame.received.unix_ns,
            width: frame.size().map(|size| size.width),
            height: frame.size().map(|size| size.height),
            stream: frame.stream.as_deref(),
            format: frame.format(),
            bytes: *bytes,
            sha256: None,
            stale: frame.is_stale(),
            detections: shown
                .map(|detection| detection.named(names).on_track(Track::of(&frame.tracks, detection)))
                .collect(),
            tracks: &frame.tracks,
            counters: frame.counters,
        }
    }

    /// Adds the depths inside of the boxes, from a depth picture of the same connection.
    #[must_use]
    pub fn measured_in(self, depths: &mut DepthMap) -> Self {
        let measure = |detection: NamedDetection<'a>| {
            let depth_mm = depths.median(detection.edges());
            detection.at_depth(depth_mm)
        };
        Self { detections: self.detections.into_iter().map(measure).collect(), ..self }
    }
}

/// Queues the confirmed frames of one camera and numbers them over all connections.
#[derive(Debug)]
pub struct Detections {
    taker: Option<Taker<Waiting>>,
    /// Of frames, and of numbers.
    counters: Option<[LaneCounter; 2]>,
    budget: Budget,
    keeps_payloads: bool,
    numbers: FrameNumbers,
    measurements: u64,
}

impl Default for Detections {
    fn default() -> Self {
        let budget = Budget::new(QUEUE_BYTES);
        Self {
            taker: None,
            counters: None,
            budget,
            keeps_payloads: false,
            numbers: FrameNumbers::default(),
            measurements: 0,
        }
    }
}

impl Detections {
    /// Returns the same for another camera, with which it shares its memory.
    #[must_use]
    pub fn sibling(&self) -> Self {
        Self { budget: self.budget.clone(), keeps_payloads: self.keeps_payloads, ..Self::default() }
    }

    /// Keeps the payloads of the frames in the queue, for readers that need them.
    #[must_use]
    pub fn with_payloads(self, keeps_payloads: bool) -> Self {
        Self { keeps_payloads, ..self }
    }

    /// Sets the memory for frames that wait.
    #[must_use]
    pub fn with_budget(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// Returns the number of frames and numbers that wait.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.counters.iter().flatten().map(|counter| counter.counts().queued).sum()
    }

    /// Waits for the next frame or number, at most for `timeout`.
    ///
    /// # Errors
    /// `Timeout` if nothing arrived, `Disconnected` if the session has ended or no camera is connected.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Detected, RecvTimeoutError> {
        let taker = self.taker.as_ref().ok_or(RecvTimeoutError::Disconnected)?;
        loop {
            return Ok(match taker.recv_timeout(timeout)? {
                Waiting::Frame(detected) => Detected::Frame(self.numbers.number(detected.frame.id), detected),
                Waiting::Measurement(measurement, received) => {
                    self.measurements += 1;
                    Detected::Measurement(self.measurements - 1, measurement, received)
                }
                Waiting::Depth(frame) => Detected::Depth(frame),
                Waiting::Missing(frames) => {
                    self.numbers.skip(frames);
                    continue;
                }
            });
        }
    }
}

impl Sink for Detections {
    type Outcome = ();

    /// Connects the camera; one that was connected before is replaced.
    fn connect(&mut self, camera: &Camera) -> io::Result<()> {
        let policy = Policy::Bytes(self.budget.clone());
        let (lane, taker) = weighed_lane("detections", policy, Waiting::weight);
        let (counter, watched) = (lane.counter(), lane.counter());
        camera.outlets.ledger.watch(counter.clone());
        let keeps_payloads = self.keeps_payloads;
        let mut weight = LabelWeight::default();
        let mut has_streams = false;
        // In one order with the frames. Not in the ledger, which counts frames.
        let numbers = lane.sibling();
        let counters = [watched, numbers.counter()];
        camera.outlets.depth_beside.add_mapped(lane.sibling(), |frame| Some(Waiting::Depth(Arc::clone(frame))));
        camera.outlets.incidents.add_mapped(numbers, Waiting::of_incident);
        camera.outlets.confirmed.add_mapped(lane, move |frame| {
            let label_bytes = weight.of(frame, counter.counts().dropped);
            has_streams |= frame.stream.is_some();
            // Boxes of the other streams are measured in depth pictures.
            let keeps_payload = keeps_payloads || has_streams && frame.is_depth();
            Some(Waiting::Frame(DetectedFrame::new(frame, keeps_payload, label_bytes)))
        });
        (self.taker, self.counters) = (Some(taker), Some(counters));
        Ok(())
    }

    /// Ends the lane: later frames count neither as taken nor as lost.
    fn finish(self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{BBox, Detection, Position};

    #[test]
    fn a_record_holds_what_was_sent() {
        let mut frame = Frame::with_payload(b"abc");
        frame.device_time.0 = -5;
        let bbox = BBox { xmin: -0.25, ymin: 0.5, xmax: f32::NAN, ymax: 1.5 };
        frame.detections.push(Detection { label: 0, confidence: 0.893, bbox, ..Detection::default() });
        frame.detections.push(Detection {
            label: 900,
            confidence: f32::NAN,
            bbox: BBox::default(),
            position: Some(Position::from_mm([-120.5, f32::NAN, 1237.0])),
        });
        let style = Style::default();
        let frame = DetectedFrame::new(&Arc::new(frame), false, 0);
        assert!(frame.frame.payload().is_empty() && frame.weight() < 2000);
        assert_eq!(
            serde_json::to_string(&DetectionRecord::new(&frame, 7, &style)).expect("JSON"),
            "{\"seq\":7,\"device_time_us\":-5,\"arrival_unix_ns\":0,\"width\":null,\"height\":null,\"format\":null,\
             \"bytes\":3,\"detections\":[\
             {\"label\":0,\"name\":\"person\",\"confidence\":0.893,\"bbox\":[-0.25,0.5,null,1.5]},\
             {\"label\":900,\"name\":\"#900\",\"confidence\":null,\"bbox\":[0.0,0.0,0.0,0.0],\
             \"position_mm\":[-120.5,null,1237.0]}]}"
        );
        let mut tracked = Frame::default();
        let bbox = BBox { xmin: 0.25, ymin: 0.5, xmax: 0.75, ymax: 1.0 };
        tracked.detections.push(Detection { label: 0, confidence: 0.5, bbox, ..Detection::default() });
        tracked.counters = Some(Counters { left: 3, right: 14, up: 0, down: 0 });
        tracked.tracks = vec![Track { id: 7, x: 0.5, y: 0.75 }, Track { id: 9, x: 0.0, y: 0.25 }];
        let tracked = DetectedFrame::new(&Arc::new(tracked), false, 0);
        let json = serde_json::to_string(&DetectionRecord::new(&tracked, 7, &style)).expect("JSON");
        assert!(json.ends_with(
            "\"detections\":[{\"label\":0,\"name\":\"person\",\"confidence\":0.5,\"bbox\":[0.25,0.5,0.75,1.0],\"track\":7}],\
             \"tracks\":[{\"track\":7,\"x\":0.5,\"y\":0.75},{\"track\":9,\"x\":0.0,\"y\":0.25}],\
             \"counters\":{\"left\":3,\"right\":14,\"up\":0,\"down\":0}}"
        ), "{json}");
        let sure = Style { threshold: 0.9, ..Style::default() };
        assert!(DetectionRecord::new(&frame, 0, &sure).detections.is_empty());
    }

    #[test]
    fn cameras_share_one_budget_and_label_tables_count() {
        let all = Detections { budget: Budget::new(1 << 20), ..Detections::default() };
        let cameras = ["a", "b"].map(|name| Camera::new(name, "sim:".parse().expect("a source")));
        let mut sinks = Vec::new();
        for camera in &cameras {
            let mut detections = all.sibling();
            detections.connect(camera).expect("connecting cannot fail");
            sinks.push(detections);
        }
        let name = "x".repeat(10_000);
        for number in 0..200 {
            let mut frame = Frame::with_payload(b"abc");
            frame.id = number;
            frame.labels = Some(Arc::new([name.as_str()].into_iter().collect()));
            cameras[number as usize % 2].outlets.confirmed.offer(&Arc::new(frame));
        }
        let queued: u64 = cameras.iter().map(|of| of.outlets.ledger.snapshot().lanes[0].queued).sum();
        assert!((80..=104).contains(&queued), "{queued} tables of 10 kB wait in 1 MiB");
    }
}
