//! Objects that appear and leave, by the detections of one camera.
//!
//! An object is a track, if the camera follows its objects, and otherwise all detections of a class together: without tracks,
//! nothing says which box of a frame is which box of the next one.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::frame::{Detection, Frame, Received, Track};
use crate::overlay::Style;

/// An object ends when it is not in [`ABSENT_FRAMES`] frames in a row, and not for this long.
const HOLD_NS: u64 = 1_000_000_000;

/// Frames in a row without an object before it can end: one missed frame never ends it, at any frame rate.
const ABSENT_FRAMES: u32 = 2;

/// Shortest time between two updates of an object.
const UPDATE_INTERVAL_NS: u64 = 1_000_000_000;

/// Objects at a time. Further ones have no events until others have ended.
const OBJECTS_MAX: usize = 256;

/// Kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum EventKind {
    /// The object has appeared.
    New,
    /// The object has changed.
    Update,
    /// The object has left.
    End,
}

/// An event of an object, with what was last seen of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct ObjectEvent {
    #[serde(rename = "type")]
    pub(super) kind: EventKind,
    #[serde(flatten)]
    object: Object,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Object {
    /// Name of the camera.
    camera: String,
    /// Identifies the object among all of the camera: the time of its first frame, and a number.
    id: String,
    #[serde(flatten)]
    seen: Sighting,
    /// Number of the last frame with it.
    seq: u64,
    /// Arrival of its first frame, in nanoseconds since 1970, UTC.
    first_unix_ns: i64,
    /// Arrival of its last frame, in nanoseconds since 1970, UTC.
    last_unix_ns: i64,
    #[serde(skip)]
    last_mono_ns: u64,
    #[serde(skip)]
    published: (u64, Sighting),
    #[serde(skip)]
    absent_frames: u32,
}

/// An object in one frame.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Sighting {
    label: u32,
    name: String,
    /// Number of its track.
    #[serde(skip_serializing_if = "Option::is_none")]
    track: Option<u32>,
    /// Detections of the class; 1 for a track.
    count: usize,
    /// Of the most confident detection.
    confidence: f32,
    bbox: [f32; 4],
}

/// Identity of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Track(u32),
    Class(u32),
}

/// Objects by name, and their number.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct ObjectCounts<'a> {
    total: usize,
    classes: BTreeMap<&'a str, usize>,
}

/// The objects of one camera.
#[derive(Debug)]
pub(super) struct Objects {
    camera: String,
    present: BTreeMap<Key, Object>,
    /// The camera follows its objects: a detection without a track will have one soon.
    has_tracks: bool,
    /// Number of the last frame on its connection.
    last_id: Option<u64>,
    /// Objects so far.
    begun: u64,
}

impl Objects {
    pub(super) fn new(camera: &str) -> Self {
        Self { camera: camera.to_owned(), present: BTreeMap::new(), has_tracks: false, last_id: None, begun: 0 }
    }

    /// Returns the objects that are present.
    pub(super) fn counts(&self) -> ObjectCounts<'_> {
        let mut counts = ObjectCounts { total: 0, classes: BTreeMap::new() };
        for Object { seen, .. } in self.present.values() {
            counts.total += seen.count;
            *counts.classes.entry(&seen.name).or_default() += seen.count;
        }
        counts
    }

    /// Returns the events of a frame with this number over all connections. Frames are given in the order of the stream. Ignores
    /// those that waited in the camera.
    pub(super) fn frame(&mut self, seq: u64, frame: &Frame, style: &Style) -> Vec<ObjectEvent> {
        if frame.is_stale() {
            return Vec::new();
        }
        let mut events = Vec::new();
        if self.last_id.replace(frame.id).is_some_and(|last| frame.id <= last) {
            // On a new connection, the camera may reuse the numbers of tracks.
            events = self.end_all();
        }
        self.has_tracks |= !frame.tracks.is_empty();
        let mut sightings = self.sightings(frame, style);
        let now = frame.received;
        self.present.retain(|key, object| {
            if let Some(seen) = sightings.remove(key) {
                object.see(seq, seen, now);
                if object.is_update_due(now) {
                    events.push(object.event(EventKind::Update));
                }
                return true;
            }
            object.absent_frames = object.absent_frames.saturating_add(1);
            let is_over =
                object.absent_frames >= ABSENT_FRAMES && now.mono_ns.saturating_sub(object.last_mono_ns) >= HOLD_NS;
            if is_over {
                events.push(object.event(EventKind::End));
            }
            !is_over
        });
        let room = OBJECTS_MAX - self.present.len();
        for (key, seen) in sightings.into_iter().take(room) {
            let mut object = self.begin(seq, seen, now);
            events.push(object.event(EventKind::New));
            self.present.insert(key, object);
        }
        events
    }

    /// Ends all objects: the camera sends no frames.
    pub(super) fn end_all(&mut self) -> Vec<ObjectEvent> {
        self.has_tracks = false;
        std::mem::take(&mut self.present).into_values().map(|mut object| object.event(EventKind::End)).collect()
    }

    fn sightings(&self, frame: &Frame, style: &Style) -> BTreeMap<Key, Sighting> {
        let names = style.names(frame.labels.as_deref());
        let mut sightings = BTreeMap::<Key, Sighting>::new();
        for detection in frame.detections.iter().filter(|detection| style.shows(detection, names)) {
            let track = Track::of(&frame.tracks, detection).map(|track| track.id);
            let key = match track {
                Some(id) => Key::Track(id),
                None if self.has_tracks => continue,
                None => Key::Class(detection.label),
            };
            let Detection { label, confidence, bbox, .. } = *detection;
            let known = sightings.get(&key);
            let count = if track.is_some() { 1 } else { known.map_or(0, |known| known.count) + 1 };
            if let Some(known) = sightings.get_mut(&key)
                && confidence <= known.confidence
            {
                known.count = count;
                continue;
            }
            let bbox = [bbox.xmin, bbox.ymin, bbox.xmax, bbox.ymax];
            let name = names.title(label).into_owned();
            sightings.insert(key, Sighting { label, name, track, count, confidence, bbox });
        }
        sightings
    }

    fn begin(&mut self, seq: u64, seen: Sighting, now: Received) -> Object {
        self.begun += 1;
        let ms = now.unix_ns / 1_000_000;
        Object {
            camera: self.camera.clone(),
            id: format!("{}.{:03}-{}", ms / 1000, ms % 1000, self.begun),
            published: (now.mono_ns, seen.clone()),
            seen,
            seq,
            first_unix_ns: now.unix_ns,
            last_unix_ns: now.unix_ns,
            last_mono_ns: now.mono_ns,
            absent_frames: 0,
        }
    }
}

impl Object {
    fn see(&mut self, seq: u64, seen: Sighting, now: Received) {
        (self.seq, self.seen, self.absent_frames) = (seq, seen, 0);
        (self.last_unix_ns, self.last_mono_ns) = (now.unix_ns, now.mono_ns);
    }

    fn is_update_due(&self, now: Received) -> bool {
        let (published_ns, seen) = &self.published;
        now.mono_ns.saturating_sub(*published_ns) >= UPDATE_INTERVAL_NS && *seen != self.seen
    }

    fn event(&mut self, kind: EventKind) -> ObjectEvent {
        self.published = (self.last_mono_ns, self.seen.clone());
        ObjectEvent { kind, object: self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{BBox, Staleness};

    const MS: u64 = 1_000_000;

    /// A frame at this time with detections of these classes, each with its place from left to right.
    fn frame(id: u64, ms: u64, labels: &[(u32, f32)]) -> Frame {
        let received = Received { mono_ns: ms * MS, unix_ns: 1_700_000_000_000_000_000 + (ms * MS) as i64 };
        let detections = labels.iter().map(|&(label, x)| {
            let bbox = BBox { xmin: x, ymin: 0.25, xmax: x + 0.25, ymax: 0.75 };
            Detection { label, confidence: 0.5 + x / 2.0, bbox, ..Detection::default() }
        });
        let mut frame = Frame::default();
        (frame.id, frame.received, frame.detections) = (id, received, detections.collect());
        frame
    }

    /// Adds the tracks of the detections, in their order.
    fn tracked(mut frame: Frame, ids: &[u32]) -> Frame {
        let center = |(id, detection): (&u32, &Detection)| Track { id: *id, x: detection.bbox.xmin + 0.125, y: 0.5 };
        frame.tracks = ids.iter().zip(&frame.detections).map(center).collect();
        frame
    }

    fn shown(events: &[ObjectEvent]) -> Vec<String> {
        let line = |ObjectEvent { kind, object }: &ObjectEvent| {
            let kind = format!("{kind:?}").to_lowercase();
            let track = object.seen.track.map_or_else(String::new, |track| format!(" track {track}"));
            format!("{kind} {} x{}{track}", object.seen.name, object.seen.count)
        };
        events.iter().map(line).collect()
    }

    /// Number on the connection, milliseconds, detections.
    type Seen<'a> = (u64, u64, &'a [(u32, f32)]);

    fn events(objects: &mut Objects, frames: &[Seen<'_>]) -> Vec<String> {
        let style = Style::default();
        frames.iter().flat_map(|&(id, ms, labels)| shown(&objects.frame(id, &frame(id, ms, labels), &style))).collect()
    }

    #[test]
    fn a_class_appears_and_leaves_and_a_missed_frame_does_not_end_it() {
        let mut objects = Objects::new("front");
        let person: &[(u32, f32)] = &[(0, 0.1)];
        assert_eq!(events(&mut objects, &[(0, 0, &[]), (1, 40, person)]), ["new person x1"]);
        // One frame, and then many within the hold, have no person.
        assert!(events(&mut objects, &[(2, 80, &[]), (3, 120, person)]).is_empty());
        let silent: Vec<Seen<'_>> = (4..28).map(|id| (id, 40 * id, &[][..])).collect();
        assert!(events(&mut objects, &silent).is_empty());
        assert_eq!(events(&mut objects, &[(28, 1120, &[])]), ["end person x1"], "1 s after the last one");
        assert_eq!(objects.counts().total, 0);
        assert_eq!(events(&mut objects, &[(29, 1160, person)]), ["new person x1"], "another object");
    }

    #[test]
    fn one_missed_frame_of_a_slow_camera_ends_nothing() {
        let mut objects = Objects::new("front");
        let person: &[(u32, f32)] = &[(0, 0.1)];
        let slow = [(0, 0, person), (1, 5000, &[][..]), (2, 10_000, person), (3, 15_000, &[]), (4, 20_000, &[])];
        assert_eq!(events(&mut objects, &slow), ["new person x1", "end person x1"]);
    }

    #[test]
    fn updates_are_at_most_one_a_second_and_only_changes() {
        let mut objects = Objects::new("front");
        let frames: Vec<_> = (0..100).map(|id| (id, 40 * id, [(0, id as f32 / 1000.0)])).collect();
        let frames: Vec<Seen<'_>> = frames.iter().map(|(id, ms, at)| (*id, *ms, &at[..])).collect();
        let moving = events(&mut objects, &frames);
        assert_eq!(moving, ["new person x1", "update person x1", "update person x1", "update person x1"]);
        let still: Vec<Seen<'_>> = (100..200).map(|id| (id, 40 * id, &[(0, 0.099)][..])).collect();
        assert_eq!(events(&mut objects, &still), ["update person x1"], "it has not moved after that");
    }

    #[test]
    fn a_class_has_the_count_and_the_most_confident_box() {
        let mut objects = Objects::new("front");
        let events = objects.frame(7, &frame(7, 0, &[(0, 0.125), (0, 0.5), (0, 0.25), (16, 0.25)]), &Style::default());
        assert_eq!(shown(&events), ["new person x3", "new dog x1"]);
        assert_eq!(
            serde_json::to_value(&events[0]).expect("JSON"),
            serde_json::json!({
                "type": "new", "camera": "front", "id": "1700000000.000-1", "label": 0, "name": "person", "count": 3,
                "confidence": 0.75, "bbox": [0.5, 0.25, 0.75, 0.75], "seq": 7,
                "first_unix_ns": 1_700_000_000_000_000_000_i64, "last_unix_ns": 1_700_000_000_000_000_000_i64,
            })
        );
        assert_eq!(
            serde_json::to_string(&objects.counts()).expect("JSON"),
            r#"{"total":4,"classes":{"dog":1,"person":3}}"#
        );
    }

    #[test]
    fn tracks_are_objects_of_their_own_and_boxes_without_one_wait() {
        let mut objects = Objects::new("front");
        let style = Style::default();
        let mut next = |id, ms, labels: &[(u32, f32)], tracks: &[u32]| {
            shown(&objects.frame(id, &tracked(frame(id, ms, labels), tracks), &style))
        };
        assert_eq!(next(0, 0, &[(0, 0.1), (0, 0.6)], &[7, 9]), ["new person x1 track 7", "new person x1 track 9"]);
        assert_eq!(next(1, 40, &[(0, 0.11), (0, 0.61)], &[7]), [""; 0], "9 is missed once");
        assert_eq!(next(2, 80, &[(0, 0.11)], &[]), [""; 0], "no tracks in this frame: not the class person");
        assert_eq!(next(3, 1500, &[(0, 0.2)], &[7]), ["update person x1 track 7", "end person x1 track 9"]);
        assert_eq!(next(0, 1540, &[(0, 0.2)], &[7]), ["end person x1 track 7", "new person x1 track 7"], "rebooted");
    }

    #[test]
    fn stale_frames_and_hidden_detections_have_no_events() {
        let mut objects = Objects::new("front");
        let mut old = frame(0, 0, &[(0, 0.1)]);
        old.staleness = Staleness::Known(true);
        assert!(objects.frame(0, &old, &Style::default()).is_empty());
        let only = Style { only: vec!["dog".to_owned()], ..Style::default() };
        let found = objects.frame(1, &frame(1, 40, &[(0, 0.1), (16, 0.2)]), &only);
        assert_eq!(shown(&found), ["new dog x1"]);
        assert_eq!(shown(&objects.end_all()), ["end dog x1"]);
        assert!(objects.end_all().is_empty());
    }

    #[test]
    fn a_stream_of_ever_new_objects_takes_bounded_memory() {
        let mut objects = Objects::new("front");
        for id in 0..10 {
            let labels: Vec<_> = (0..1000).map(|n| (1000 * id as u32 + n, 0.1)).collect();
            objects.frame(id, &frame(id, 40 * id, &labels), &Style::default());
            assert!(objects.present.len() <= OBJECTS_MAX);
        }
    }
}
