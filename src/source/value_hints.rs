//! Finds values of frames that suggest another unit than that of the protocol, for people who write senders.
//!
//! Each hint is given once per camera. A hint changes nothing: the frames keep their values.

use std::sync::Arc;

use crate::frame::{BBox, Detection, Frame, Geometry, PayloadKind};
use crate::stats::is_restart;
use crate::wire::{LINE, Record, records};

/// Boxes whose values have to agree before they suggest a unit by being small. Networks without a threshold send many boxes
/// of less than 1 %, but hardly these only.
const SMALL_BOXES: u32 = 20;

/// Boxes with a right edge on the left of the left one, or a lower edge above the upper one, before they suggest sizes instead of
/// edges. Networks send none.
const REVERSED_BOXES: u32 = 5;

/// Nearer distances in millimeters are not measured by any camera.
const NEAR_MM: f32 = 100.0;

/// Time over which capture times are compared with arrivals. Frames that waited in the camera arrive faster than they were
/// taken, but hardly 300 times as fast over this time.
const CLOCK_WINDOW_NS: u64 = 1_000_000_000;

/// A difference between capture times that is not jitter.
const BACK_US: i64 = 1_000_000;

/// Capture times that decrease in a row before they suggest a clock that runs backwards.
const DECREASING: u32 = 3;

/// Returns to the layout of the picture before last, in a row, that suggest two streams. People may change a layout and change it
/// back.
const ALTERNATIONS: u32 = 4;

/// Streams whose layouts are compared. A peer may send any number of names.
const STREAMS_MAX: usize = 16;

/// The form in which a camera sends its boxes, which decides the units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `label;confidence;xmin;ymin;xmax;ymax`.
    Text,
    Json,
    /// `@B`.
    Records,
}

impl Form {
    fn of(frame: &Frame) -> Self {
        match frame.detection_text.trim_ascii_start().first() {
            None => Self::Records,
            Some(b'[' | b'{') => Self::Json,
            Some(_) => Self::Text,
        }
    }
}

/// State of the hints about one camera.
#[derive(Debug, Default)]
pub(super) struct ValueHints {
    large_confidence: Once,
    small_confidences: Small,
    large_edges: Once,
    small_edges: Small,
    /// Boxes whose right or lower edge is before the other one.
    reversed: u32,
    small_distances: Small,
    /// The capture times of the headers.
    clock: Clock,
    /// Those of the `@F` records. Nothing else uses them.
    record_clock: Clock,
    layouts: Vec<(Option<Arc<str>>, Layouts)>,
    merged: Once,
    numbers: Numbers,
}

/// The last two layouts of a stream.
#[derive(Debug, Default)]
struct Layouts {
    last: Option<Layout>,
    before: Option<Layout>,
    alternations: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    kind: PayloadKind,
    geometry: Option<Geometry>,
    /// Only of raw pictures in an unknown layout, because encoded ones have any length.
    len: Option<usize>,
}

impl Layout {
    fn of(frame: &Frame) -> Self {
        let (kind, geometry) = (frame.kind, frame.geometry);
        let is_unknown = kind == PayloadKind::Raw && geometry.is_none();
        Self { kind, geometry, len: is_unknown.then(|| frame.payload().len()) }
    }
}

impl std::fmt::Display for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.geometry, self.len) {
            (Some(geometry), _) => write!(f, "{geometry}"),
            (None, Some(len)) => write!(f, "{len} bytes"),
            (None, None) => f.write_str(self.kind.name()),
        }
    }
}

/// The last number (`@F`) of each stream of the connection.
#[derive(Debug, Default)]
struct Numbers {
    last: Vec<(Option<Arc<str>>, u64)>,
    hint: Once,
}

impl Numbers {
    fn add(&mut self, frame: &Frame) -> Option<String> {
        let number = frame.camera_seq?;
        let Some((_, last)) = self.last.iter_mut().find(|(stream, _)| *stream == frame.stream) else {
            if self.last.len() < STREAMS_MAX {
                self.last.push((frame.stream.clone(), number));
            }
            return None;
        };
        let previous = std::mem::replace(last, number);
        if !is_restart(previous, number) {
            return None;
        }
        let fault = if number == previous {
            format!("repeats the number {number}")
        } else {
            format!("has the number {number} after {previous}")
        };
        self.hint.take().then(|| {
            format!(
                "the `@F` record of frame {} {fault}: expected numbers that increase by 1 with each frame; missing frames cannot be \
                 counted without them",
                frame.id
            )
        })
    }
}

/// A hint that is given once.
#[derive(Debug, Default)]
struct Once(bool);

impl Once {
    fn take(&mut self) -> bool {
        !std::mem::replace(&mut self.0, true)
    }
}

/// Counts boxes whose values are small, until one is not.
#[derive(Debug, Default)]
struct Small {
    boxes: u32,
    largest: f32,
    is_decided: bool,
}

impl Small {
    /// Takes the value of a box. Returns the largest value when enough boxes were small.
    fn add(&mut self, value: f32, limit: f32) -> Option<f32> {
        if self.is_decided || !value.is_finite() || value <= 0.0 {
            return None;
        }
        self.boxes += 1;
        self.largest = self.largest.max(value);
        self.is_decided = value > limit || self.boxes >= SMALL_BOXES;
        (self.is_decided && value <= limit).then_some(self.largest)
    }
}

/// Where a camera sends capture times, which decides the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Headers,
    /// `@F`.
    Records,
}

/// Returns the capture time of the `@F` record of a frame, in microseconds.
fn recorded_us(frame: &Frame) -> Option<i64> {
    frame.camera_seq?;
    // The last one counts, as for numbers.
    let line = frame.records.chunks_exact(LINE).rfind(|line| line.starts_with(b"@F "))?;
    records(line).find_map(|record| match record {
        Record::Frame { device_time, .. } => Some(device_time.0),
        _ => None,
    })
}

/// Compares capture times with arrivals.
#[derive(Debug, Default)]
struct Clock {
    /// Capture time in microseconds and arrival in nanoseconds of the first frame of the connection.
    first: Option<(i64, u64)>,
    previous_us: Option<i64>,
    decreasing: u32,
    pace: Once,
    backwards: Once,
}

impl ValueHints {
    /// Prepares for the next connection, whose capture times may start anew.
    pub(super) fn restart(&mut self) {
        for clock in [&mut self.clock, &mut self.record_clock] {
            (clock.first, clock.previous_us, clock.decreasing) = (None, None, 0);
        }
        self.numbers.last.clear();
    }

    /// Returns the hints that are due with this frame.
    pub(super) fn of(&mut self, frame: &Frame) -> Vec<String> {
        let form = Form::of(frame);
        let mut hints = Vec::new();
        hints.extend(self.streams(frame));
        for (at, found) in frame.detections.iter().enumerate() {
            let subject = || format!("box {} of frame {}", at + 1, frame.id);
            hints.extend(self.confidence(form, found, subject));
            hints.extend(self.edges(form, found, frame, subject));
            hints.extend(self.sizes(found));
            hints.extend(self.distance(found));
        }
        hints.extend(self.numbers.add(frame));
        // The pictures of further streams may be taken before the last one of the first.
        if !frame.no_clock && frame.stream.is_none() {
            hints.extend(self.clock.observe(Place::Headers, frame.device_time.0, frame));
            if let Some(recorded_us) = recorded_us(frame) {
                hints.extend(self.record_clock.observe(Place::Records, recorded_us, frame));
            }
        }
        hints
    }

    /// Pictures of two streams of which no `@S`, or that of only one, says to which stream they belong.
    fn streams(&mut self, frame: &Frame) -> Option<String> {
        let known = self.layouts.iter().position(|(stream, _)| *stream == frame.stream);
        let at = known.unwrap_or_else(|| {
            if self.layouts.len() < STREAMS_MAX {
                self.layouts.push((frame.stream.clone(), Layouts::default()));
            }
            self.layouts.len() - 1
        });
        let Layouts { last, before, alternations } = &mut self.layouts[at].1;
        let now = Layout::of(frame);
        if *last == Some(now) {
            return None;
        }
        *alternations = if *before == Some(now) { *alternations + 1 } else { 0 };
        (*before, *last) = (*last, Some(now));
        let other = before.filter(|_| *alternations >= ALTERNATIONS && self.merged.take())?;
        Some(format!(
            "the pictures of one stream alternate between {other} and {now}: expected one layout; if these are two streams, send \
             `@S NAME` and `@D` before each picture of both"
        ))
    }

    fn confidence(&mut self, form: Form, found: &Detection, subject: impl Fn() -> String) -> Option<String> {
        let confidence = found.confidence;
        // Rounding makes a little more than 1.
        if confidence.is_finite() && confidence > 1.01 {
            return self.large_confidence.take().then(|| match form {
                Form::Text => format!(
                    "{} has the confidence {}: expected a percentage, 0 to 100; send 100 times the confidence of the network",
                    subject(),
                    confidence * 100.0
                ),
                Form::Json => {
                    format!("{} has the confidence {confidence}: expected 0 to 1; divide percentages by 100", subject())
                }
                Form::Records => format!(
                    "{} has the confidence {}: expected thousandths, 0 to 1000; send 1000 times the confidence of the network",
                    subject(),
                    confidence * 1000.0
                ),
            });
        }
        let largest = match form {
            Form::Text => self.small_confidences.add(confidence, 0.01)?,
            Form::Records => self.small_confidences.add(confidence, 0.1)?,
            Form::Json => return None,
        };
        Some(match form {
            Form::Text | Form::Json => format!(
                "no confidence of the first {SMALL_BOXES} boxes is above {}: expected percentages, 0 to 100; multiply confidences from 0 to 1 by 100",
                largest * 100.0
            ),
            Form::Records => format!(
                "no confidence of the first {SMALL_BOXES} boxes is above {}: expected thousandths, 0 to 1000; multiply percentages by 10, and confidences from 0 to 1 by 1000",
                largest * 1000.0
            ),
        })
    }

    fn edges(&mut self, form: Form, found: &Detection, frame: &Frame, subject: impl Fn() -> String) -> Option<String> {
        let BBox { xmin, ymin, xmax, ymax } = found.bbox;
        let edges = [xmin, ymin, xmax, ymax];
        let largest = edges.into_iter().filter(|edge| edge.is_finite()).fold(0.0, f32::max);
        // Edges may be outside of the picture, but hardly by its size.
        if largest > 2.0 {
            return self.large_edges.take().then(|| {
                let size = frame.size().map_or_else(String::new, |of| format!(", {} and {}", of.width, of.height));
                match form {
                    Form::Text | Form::Json => {
                        let [xmin, ymin, xmax, ymax] = edges;
                        format!(
                            "{} has the edges {xmin}, {ymin}, {xmax}, {ymax}: expected fractions of the picture, 0 to 1; divide pixels by its width and height{size}",
                            subject()
                        )
                    }
                    Form::Records => {
                        let [xmin, ymin, xmax, ymax] = edges.map(|edge| edge * 10_000.0);
                        format!(
                            "{} has the edges {xmin}, {ymin}, {xmax}, {ymax}: expected ten-thousandths of the picture, 0 to 10000",
                            subject()
                        )
                    }
                }
            });
        }
        let Form::Records = form else { return None };
        let side = frame.size().map(|of| of.width.max(of.height))?;
        // Less than a fifth of the picture, or a box in pixels would not be small.
        let limit = (side as f32 / 10_000.0).min(0.2);
        let largest = self.small_edges.add(largest, limit)?;
        Some(format!(
            "no edge of the first {SMALL_BOXES} boxes is above {}: expected ten-thousandths of the picture, 0 to 10000; multiply fractions by 10000, and divide pixels by the width or height before",
            largest * 10_000.0
        ))
    }
}

impl ValueHints {
    fn sizes(&mut self, found: &Detection) -> Option<String> {
        let BBox { xmin, ymin, xmax, ymax } = found.bbox;
        if !(xmax < xmin || ymax < ymin) {
            return None;
        }
        self.reversed = self.reversed.saturating_add(1);
        (self.reversed == REVERSED_BOXES).then(|| {
            format!(
                "{REVERSED_BOXES} boxes have a right edge on the left of the left one, or a lower edge above the upper one, such \
                 as {xmin}, {ymin}, {xmax}, {ymax}: expected left, upper, right and lower edge; if these are x, y, width and \
                 height, send x, y, x + width and y + height"
            )
        })
    }

    fn distance(&mut self, found: &Detection) -> Option<String> {
        let largest = self.small_distances.add(found.position?.z.0, NEAR_MM)?;
        Some(format!(
            "no distance (z) of the first {SMALL_BOXES} boxes is above {largest}: expected millimeters; multiply meters by 1000"
        ))
    }
}

impl Clock {
    /// Takes the capture time of a frame.
    fn observe(&mut self, place: Place, taken_us: i64, frame: &Frame) -> impl Iterator<Item = String> + use<> {
        let pace = self.pace(place, taken_us, frame.received.mono_ns);
        pace.into_iter().chain(self.backwards(place, taken_us, frame.id))
    }

    /// Compares the capture times of the connection with its duration, once.
    fn pace(&mut self, place: Place, taken_us: i64, arrived_ns: u64) -> Option<String> {
        let (first_us, first_ns) = *self.first.get_or_insert((taken_us, arrived_ns));
        let passed_ns = arrived_ns.saturating_sub(first_ns);
        if passed_ns < CLOCK_WINDOW_NS || self.pace.0 {
            return None;
        }
        let _ = self.pace.take();
        let taken_in_us = taken_us.saturating_sub(first_us);
        let pace = taken_in_us as f64 * 1000.0 / passed_ns as f64;
        let units: &[(f64, &str)] = match place {
            Place::Headers => &[(1e3, "milliseconds"), (1e6, "microseconds"), (1e9, "nanoseconds")],
            Place::Records => &[(1e-6, "seconds"), (1e-3, "milliseconds"), (1e3, "nanoseconds")],
        };
        let (_, unit) = units.iter().find(|(factor, _)| (factor / 3.0..factor * 3.0).contains(&pace))?;
        let (passed, taken) = (passed_ns as f64 / 1e9, taken_in_us as f64 / 1e6);
        Some(match place {
            Place::Headers => format!(
                "the capture times advanced by {taken} s in {passed:.1} s: expected seconds in the headers; these may be {unit}"
            ),
            Place::Records => format!(
                "the capture times in the `@F` records advanced by {taken} s in {passed:.1} s: expected microseconds in the `@F` \
                 records; these may be {unit}, and oaktap uses the times of the headers"
            ),
        })
    }

    fn backwards(&mut self, place: Place, taken_us: i64, id: u64) -> Option<String> {
        let previous_us = self.previous_us.replace(taken_us)?;
        self.decreasing = if taken_us < previous_us { self.decreasing + 1 } else { 0 };
        let back_us = previous_us.saturating_sub(taken_us);
        if back_us <= BACK_US && self.decreasing < DECREASING || !self.backwards.take() {
            return None;
        }
        let (taken, previous) = (taken_us as f64 / 1e6, previous_us as f64 / 1e6);
        let of = if place == Place::Records { " of the `@F` record" } else { "" };
        Some(format!(
            "the capture time{of} went back from {previous} s to {taken} s at frame {id}: expected times that increase; use a clock that is not reset, such as time.monotonic()"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{DeviceTime, Geometry, PixelFormat, Position, Received};

    const GOOD: BBox = BBox { xmin: 0.1, ymin: 0.2, xmax: 0.4, ymax: 0.9 };

    fn frame(id: u64, text: &str, boxes: &[(f32, BBox)]) -> Frame {
        let mut frame = Frame::default();
        frame.id = id;
        frame.detection_text = text.into();
        frame.detections = boxes
            .iter()
            .map(|(confidence, bbox)| Detection { label: 0, confidence: *confidence, bbox: *bbox, position: None })
            .collect();
        frame.geometry = Geometry::tight(PixelFormat::Bgr888p, 640, 352).ok();
        frame.device_time = DeviceTime(id as i64 * 25_000);
        frame.received = Received { mono_ns: id * 25_000_000, unix_ns: 0 };
        frame
    }

    /// The hints about 100 frames with these boxes.
    fn hints(text: &str, boxes: &[(f32, BBox)]) -> Vec<String> {
        let mut hints = ValueHints::default();
        (0..100).flat_map(|id| hints.of(&frame(id, text, boxes))).collect()
    }

    #[test]
    fn usual_values_give_no_hint() {
        let outside = BBox { xmin: -0.3, ymin: -0.2, xmax: 1.4, ymax: 1.2 };
        let odd = BBox { xmin: f32::NAN, ymin: f32::NEG_INFINITY, xmax: f32::INFINITY, ymax: 0.4 };
        for text in ["0;87.5", "[{}]", ""] {
            let boxes = [(0.875, GOOD), (1.0, outside), (f32::NAN, odd), (f32::INFINITY, odd), (0.004, GOOD)];
            assert_eq!(hints(text, &boxes), [""; 0], "{text}");
        }
        assert_eq!(hints("[{}]", &[(0.008, GOOD)]), [""; 0], "a network without a threshold");
    }

    #[test]
    fn confidence_in_another_range_is_named_once() {
        for (text, confidence, expected) in [
            ("0;87.5", 8.75, "box 1 of frame 0 has the confidence 875: expected a percentage, 0 to 100; "),
            ("[{}]", 87.5, "box 1 of frame 0 has the confidence 87.5: expected 0 to 1; divide percentages by 100"),
            ("", 8.75, "box 1 of frame 0 has the confidence 8750: expected thousandths, 0 to 1000; "),
            ("0;0.875", 0.00875, "no confidence of the first 20 boxes is above 0.875: expected percentages, "),
            ("", 0.001, "no confidence of the first 20 boxes is above 1: expected thousandths, "),
            ("", 0.0875, "no confidence of the first 20 boxes is above 87.5: expected thousandths, "),
        ] {
            let found = hints(text, &[(confidence, GOOD)]);
            assert!(matches!(&found[..], [one] if one.starts_with(expected)), "{found:?}");
        }
        // One that is not small decides.
        assert_eq!(hints("0;0.875", &[(0.00875, GOOD), (0.5, GOOD)]), [""; 0]);
    }

    #[test]
    fn numbers_that_repeat_or_fall_are_named_once() {
        let given = |numbers: &[u64]| {
            let (mut hints, mut id) = (ValueHints::default(), 0..);
            let with = |number: &u64| {
                let mut numbered = frame(id.next().expect("a number"), "", &[]);
                numbered.camera_seq = Some(*number);
                numbered
            };
            numbers.iter().map(with).flat_map(|frame| hints.of(&frame)).collect::<Vec<_>>()
        };
        assert_eq!(given(&[1, 2, 9]), [""; 0]);
        for (numbers, start) in [
            (&[5, 5, 5][..], "the `@F` record of frame 1 repeats the number 5: expected numbers that increase by 1"),
            (&[8, 9, 7, 6], "the `@F` record of frame 2 has the number 7 after 9: expected "),
            (&[8, 9, 1 << 40], "the `@F` record of frame 2 has the number 1099511627776 after 9: expected "),
        ] {
            let found = given(numbers);
            assert!(matches!(&found[..], [one] if one.starts_with(start)), "{found:?}");
        }
    }

    #[test]
    fn sizes_instead_of_edges_are_named_once() {
        let sized = BBox { xmin: 0.5, ymin: 0.25, xmax: 0.125, ymax: 0.5 };
        for text in ["0;87.5", "[{}]", ""] {
            let found = hints(text, &[(0.5, GOOD), (0.5, sized)]);
            let expected = "5 boxes have a right edge on the left of the left one, or a lower edge above the upper one, such as 0.5, 0.25, 0.125, 0.5: expected ";
            assert!(matches!(&found[..], [one] if one.starts_with(expected)), "{found:?}");
        }
    }

    #[test]
    fn two_streams_without_names_are_named_once() {
        let of = |pictures: &[(Option<&str>, u32)]| {
            let mut hints = ValueHints::default();
            let frames = (0..40).zip(pictures.iter().cycle()).map(|(id, (stream, width))| {
                let mut frame = frame(id, "", &[]);
                frame.stream = stream.map(Arc::from);
                frame.geometry = Geometry::tight(PixelFormat::Raw16, *width, 352).ok();
                frame
            });
            frames.flat_map(|frame| hints.of(&frame)).collect::<Vec<_>>()
        };
        let expected = "the pictures of one stream alternate between 640x352 RAW16 and 320x352 RAW16: expected one layout; if these \
                        are two streams, send `@S NAME` and `@D` before each picture of both";
        for pictures in [&[(None, 640), (None, 320)][..], &[(None, 640), (None, 640), (None, 320)]] {
            let found = of(pictures);
            assert_eq!(found, [expected], "once");
        }
        assert_eq!(of(&[(None, 640), (Some("depth"), 320)]), [""; 0], "both are named");
        assert_eq!(of(&[(None, 640), (None, 320), (None, 160)]), [""; 0], "a damaged stream");
    }

    #[test]
    fn distances_in_meters_are_named_once() {
        let at = |z: f32| {
            let mut hints = ValueHints::default();
            let frames = (0..100).map(|id| {
                let mut frame = frame(id, "0;87.5", &[(0.5, GOOD), (0.5, GOOD)]);
                frame.detections[0].position = Some(Position::from_mm([0.1, 0.2, 0.0]));
                frame.detections[1].position = Some(Position::from_mm([0.1, 0.2, z]));
                frame
            });
            frames.flat_map(|frame| hints.of(&frame)).collect::<Vec<_>>()
        };
        let expected =
            "no distance (z) of the first 20 boxes is above 1.5: expected millimeters; multiply meters by 1000";
        assert_eq!(at(1.5), [expected]);
        assert_eq!([at(1500.0), at(0.0), at(f32::NAN)], [[""; 0]; 3]);
    }

    #[test]
    fn edges_in_pixels_are_named_once() {
        let pixels = BBox { xmin: 64.0, ymin: 70.0, xmax: 256.0, ymax: 316.0 };
        for text in ["0;87.5", "[{}]"] {
            let found = hints(text, &[(0.5, GOOD), (0.5, pixels)]);
            let expected = "box 2 of frame 0 has the edges 64, 70, 256, 316: expected fractions of the picture, 0 to 1; divide pixels by its width and height, 640 and 352";
            assert_eq!(found, [expected], "{text}");
        }
        let pixels_as_parts = BBox { xmin: 0.0064, ymin: 0.007, xmax: 0.0256, ymax: 0.0316 };
        let found = hints("", &[(0.5, pixels_as_parts)]);
        assert!(
            matches!(&found[..], [one] if one.starts_with("no edge of the first 20 boxes is above 316: expected ten-thousandths")),
            "{found:?}"
        );
        assert_eq!(hints("", &[(0.5, GOOD)]), [""; 0]);
    }

    /// The hints about 100 frames that arrive every 25 ms. By their headers they were taken every `header_us`, by their `@F`
    /// records every `record_us`.
    fn hints_about_steps(header_us: i64, record_us: Option<i64>) -> Vec<String> {
        let mut hints = ValueHints::default();
        let frames = (0..100).map(|id| {
            let at = |step_us: i64| 1_000_000_000 + id as i64 * step_us;
            let mut frame = frame(id, "", &[]);
            frame.device_time = DeviceTime(at(header_us));
            if let Some(step_us) = record_us {
                frame.camera_seq = Some(id);
                frame.records = format!("{:<32}{:<32}", "@T t=60.0", format!("@F {id} {}", at(step_us))).into_bytes();
            }
            frame
        });
        frames.flat_map(|frame| hints.of(&frame)).collect()
    }

    /// The same of a camera whose other times are right.
    fn clock_hints(step_us: i64, record: bool) -> Vec<String> {
        if record { hints_about_steps(25_000, Some(step_us)) } else { hints_about_steps(step_us, None) }
    }

    #[test]
    fn capture_times_in_headers_and_records_are_judged_apart() {
        let found = hints_about_steps(25_000_000, Some(25_000));
        let header = "expected seconds in the headers; these may be milliseconds";
        assert!(matches!(&found[..], [one] if one.ends_with(header)), "{found:?}");
        let found = hints_about_steps(25_000_000, Some(25));
        let record = "expected microseconds in the `@F` records; these may be milliseconds, and oaktap uses the times of the \
                      headers";
        assert!(
            matches!(&found[..], [first, second] if first.ends_with(header) && second.ends_with(record)),
            "{found:?}"
        );
        let found = hints_about_steps(25_000, Some(-1000));
        let expected =
            "the capture time of the `@F` record went back from 999.998 s to 999.997 s at frame 3: expected ";
        assert!(matches!(&found[..], [one] if one.starts_with(expected)), "{found:?}");
    }

    #[test]
    fn capture_times_in_another_unit_are_named_once() {
        for (step_us, record, unit) in [
            (25_000_000, false, Some("expected seconds in the headers; these may be milliseconds")),
            (25_000_000_000, false, Some("these may be microseconds")),
            (25_000_000_000_000, false, Some("these may be nanoseconds")),
            (
                25_000_000,
                true,
                Some(
                    "expected microseconds in the `@F` records; these may be nanoseconds, and oaktap uses the times of the headers",
                ),
            ),
            (25, true, Some("these may be milliseconds, and oaktap uses the times of the headers")),
            (25_000, false, None),
            (25_000, true, None),
            // Slow motion, or frames that waited.
            (250_000, false, None),
            (0, false, None),
        ] {
            let found = clock_hints(step_us, record);
            match unit {
                None => assert_eq!(found, [""; 0], "{step_us}"),
                Some(unit) => assert!(matches!(&found[..], [one] if one.ends_with(unit)), "{step_us}: {found:?}"),
            }
        }
    }

    #[test]
    fn times_that_go_back_are_named_once_and_not_after_a_new_connection() {
        let found = clock_hints(-1000, false);
        let expected =
            "the capture time went back from 999.998 s to 999.997 s at frame 3: expected times that increase; ";
        assert!(matches!(&found[..], [one] if one.starts_with(expected)), "{found:?}");
        let (late, early) = (frame(1000, "", &[]), frame(3, "", &[]));
        let mut hints = ValueHints::default();
        assert_eq!(hints.of(&late).len() + hints.of(&early).len(), 1, "more than a second");
        let mut hints = ValueHints::default();
        assert!(hints.of(&late).is_empty());
        hints.restart();
        assert!(hints.of(&early).is_empty());
        // Two pictures of one moment, one after the other.
        let mut hints = ValueHints::default();
        let pairs = [4, 2, 5, 3, 6, 4, 7, 5].map(|id| hints.of(&frame(id, "", &[])).len());
        assert_eq!(pairs, [0; 8]);
    }
}
