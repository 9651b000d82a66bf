//! Records and the `DETECT` message that precede a frame and are joined with it.

use std::sync::Arc;

use super::detections::{self, DetectionError};
use super::header::{DetectionSyntax, Dialect};
use super::introduction::Introduction;
use super::limits::Limits;
use super::record::{Record, Unreadable};
use super::text::LINE;
use super::tracks;
use crate::frame::{Detection, Frame, Interpreter};

/// Records about the next frame and about the connection.
#[derive(Debug, Default)]
pub(super) struct Preamble {
    pub(super) detect: Option<DetectMessage>,
    pub(super) introduction: Arc<Introduction>,
    /// Name of the first stream of the camera (`@S`).
    first_stream: Option<Arc<str>>,
    /// Name of the stream of the next frames, unless it is the first one.
    stream: Option<Arc<str>>,
    seq: Option<u64>,
    boxes: Vec<Detection>,
    /// There were more boxes than [`Limits::boxes`].
    too_many_boxes: bool,
    /// The first box that was not understood.
    unreadable_box: Option<Unreadable>,
}

#[derive(Debug)]
pub(super) struct DetectMessage {
    /// Position in bytes since the connection was opened.
    pub(super) at: u64,
    pub(super) header: [u8; LINE],
    pub(super) json: Vec<u8>,
}

impl DetectMessage {
    pub(super) fn len(&self) -> usize {
        LINE + self.json.len()
    }
}

impl Preamble {
    /// Returns the state for the next connection to the same camera, which keeps the class names and the name of the first
    /// stream.
    pub(super) fn for_next_connection(&mut self) -> Self {
        let introduction = Arc::new(self.introduction.for_next_connection());
        Self { introduction, first_stream: self.first_stream.take(), ..Self::default() }
    }

    /// The next frames are of this stream.
    fn select_stream(&mut self, name: &str) {
        let first = self.first_stream.get_or_insert_with(|| name.into());
        self.stream = (**first != *name).then(|| name.into());
    }

    /// Drops everything about the next frame. Returns its `DETECT` message, whose bytes have to be counted.
    pub(super) fn clear_frame(&mut self) -> Option<DetectMessage> {
        self.seq = None;
        self.clear_boxes();
        self.detect.take()
    }

    fn clear_boxes(&mut self) {
        self.boxes.clear();
        self.too_many_boxes = false;
        self.unreadable_box = None;
    }

    /// Stores the contents of a record.
    ///
    /// # Errors
    /// It is the number of the next frame, and boxes of the last number, which has no frame, cannot be read.
    pub(super) fn apply(
        &mut self,
        record: &Record,
        interpreter: &mut Interpreter,
        limits: &Limits,
    ) -> Result<(), DetectionError> {
        let mut unused = Ok(());
        match record {
            Record::Frame { seq, .. } => {
                let previous = self.seq.replace(*seq);
                // The camera sent the boxes of the previous number without a frame.
                if previous.is_some() {
                    unused = self.boxes_in_records(limits);
                    self.clear_boxes();
                }
            }
            Record::Box(found) if self.boxes.len() < limits.boxes => self.boxes.push(*found),
            Record::Box(_) => self.too_many_boxes = true,
            Record::Unreadable(line) if line.is_box() => {
                self.unreadable_box.get_or_insert(*line);
            }
            Record::Stream(name) => self.select_stream(name),
            _ => {}
        }
        let is_of_stream = matches!(record, Record::Stream(_) | Record::Dimensions { .. } | Record::FrameRate(_));
        // The introduction describes the first stream.
        if Introduction::is_described_by(record) && !(is_of_stream && self.stream.is_some()) {
            Arc::make_mut(&mut self.introduction).apply(record, limits);
        }
        // The receiver reports a layout that no payload can have.
        if let Ok(Some(geometry)) = record.geometry() {
            interpreter.announce(geometry);
        }
        if let Some((kind, size)) = record.video() {
            interpreter.announce_video(self.stream.as_ref(), kind, size);
        }
        unused
    }

    /// Returns the error in the records of boxes since the last frame.
    fn boxes_in_records(&self, limits: &Limits) -> Result<(), DetectionError> {
        match self.unreadable_box {
            Some(line) => Err(DetectionError::Record(line)),
            None if self.too_many_boxes => Err(DetectionError::TooMany { limit: limits.boxes }),
            None => Ok(()),
        }
    }

    /// Sets the detections, the tracks, the counters, the sequence number and the class names of a frame.
    ///
    /// # Errors
    /// If the detections or tracks cannot be parsed completely. The frame has those before the error.
    pub(super) fn join(&mut self, frame: &mut Frame, dialect: Dialect, limits: &Limits) -> Result<(), DetectionError> {
        let Frame { detections: found, detection_text: text, tracks, counters, header, .. } = frame;
        let read = if text.is_empty() {
            found.append(&mut self.boxes);
            if self.too_many_boxes { Err(DetectionError::TooMany { limit: limits.boxes }) } else { Ok(()) }
        } else if dialect.detections() == DetectionSyntax::Json {
            // The names in the boxes become those of the connection.
            let labels = &mut Arc::make_mut(&mut self.introduction).labels;
            detections::parse_json(text, limits.boxes, found, labels.get_or_insert_default())
        } else {
            detections::parse(text, limits.boxes, found)
        };
        let followed = match (dialect, header.get(LINE..)) {
            (Dialect::Abcde256, Some(lists)) => tracks::parse(lists, limits.boxes, tracks, counters),
            _ => Ok(()),
        };
        let records = self.unreadable_box.map_or(Ok(()), |line| Err(DetectionError::Record(line)));
        self.clear_boxes();
        frame.camera_seq = self.seq.take();
        frame.labels.clone_from(&self.introduction.labels);
        frame.stream.clone_from(&self.stream);
        read.and(records).and(followed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::DeviceTime;

    #[test]
    fn frames_belong_to_the_stream_that_was_named_last() {
        let (mut preamble, mut interpreter, limits) = (Preamble::default(), Interpreter::default(), Limits::default());
        let mut next = |preamble: &mut Preamble, records: &[Record]| {
            records.iter().for_each(|record| preamble.apply(record, &mut interpreter, &limits).expect("readable"));
            let mut frame = Frame::default();
            preamble.join(&mut frame, Dialect::Img, &limits).expect("no detections");
            frame.stream.as_deref().map(str::to_owned)
        };
        let stream = |name: &str| Record::Stream(name.to_owned());
        let size =
            |width, format: &str| Record::Dimensions { width, height: 4, format: format.to_owned(), stride: None };
        assert_eq!(next(&mut preamble, &[]), None, "a camera with one stream need not name it");
        assert_eq!(next(&mut preamble, &[stream("color"), size(8, "BGR888p")]), None);
        let depth = Some("depth".to_owned());
        assert_eq!(next(&mut preamble, &[stream("depth"), size(6, "RAW16"), Record::FrameRate(5.0)]), depth);
        assert_eq!(next(&mut preamble, &[]), depth);
        let Introduction { size, stream: name, fps, .. } = &*preamble.introduction;
        assert_eq!((*size, name.as_deref(), *fps), (Some((8, 4)), Some("color"), None), "that of the first stream");
        assert_eq!(next(&mut preamble, &[stream("color")]), None);
        let mut preamble = preamble.for_next_connection();
        assert_eq!(next(&mut preamble, &[stream("depth")]), depth, "also if it comes first after a reconnect");
    }

    #[test]
    fn records_of_too_many_boxes_are_an_error() {
        let limits = Limits { boxes: 2, ..Limits::default() };
        let (mut preamble, mut interpreter) = (Preamble::default(), Interpreter::default());
        for boxes in [3, 2] {
            let record = Record::Box(Detection { label: 1, confidence: 0.5, ..Detection::default() });
            (0..boxes).for_each(|_| preamble.apply(&record, &mut interpreter, &limits).expect("readable"));
            let mut frame = Frame::default();
            let read = preamble.join(&mut frame, Dialect::Img, &limits);
            assert_eq!((read.is_ok(), frame.detections.len()), (boxes == 2, 2));
        }
    }

    #[test]
    fn boxes_of_unsent_frame_are_not_joined_with_next_frame() {
        let seen = |label| Record::Box(Detection { label, confidence: 0.5, ..Detection::default() });
        let number = |seq| Record::Frame { seq, device_time: DeviceTime(0) };
        let (mut preamble, mut interpreter) = (Preamble::default(), Interpreter::default());
        let mut labels = |records: &[Record]| {
            let limits = Limits::default();
            records.iter().for_each(|record| preamble.apply(record, &mut interpreter, &limits).expect("readable"));
            let mut frame = Frame::default();
            preamble.join(&mut frame, Dialect::Img, &limits).expect("there is no text");
            frame.detections.iter().map(|found| found.label).collect::<Vec<_>>()
        };
        assert_eq!(labels(&[number(1), seen(1), seen(2), number(2), seen(3)]), [3], "frame 1 has boxes only");
        // Before or after the number of their frame.
        assert_eq!(labels(&[seen(4), number(3)]), [4]);
        assert_eq!(labels(&[number(4), seen(5)]), [5]);
        let line = *b"@B 1 x 0.1 0.1 0.2 0.2          ";
        let unreadable = crate::wire::record::parse_any(&line).expect("a record");
        let mut apply = |record: &Record| preamble.apply(record, &mut interpreter, &Limits::default());
        assert_eq!([number(5), unreadable].map(|record| apply(&record)), [Ok(()), Ok(())]);
        assert!(matches!(apply(&number(6)), Err(DetectionError::Record(_))), "the box of frame 5");
        assert_eq!(apply(&number(7)), Ok(()));
    }
}
