//! What a camera says before a frame, to be joined with it: records, and the third party's `DETECT` message.

use std::sync::Arc;

use super::detections::{self, DetectionError};
use super::event::Limits;
use super::header::LINE;
use super::introduction::Introduction;
use super::record::Record;
use crate::frame::{Detection, Dialect, Frame, Interpreter};

#[derive(Debug, Default)]
pub(super) struct Announced {
    pub(super) detect: Option<Detect>,
    /// What was said of the connection.
    pub(super) introduction: Arc<Introduction>,
    seq: Option<u64>,
    boxes: Vec<Detection>,
}

/// A `DETECT` message.
#[derive(Debug)]
pub(super) struct Detect {
    /// Where it began.
    pub(super) at: u64,
    pub(super) header: [u8; LINE],
    pub(super) json: Vec<u8>,
}

impl Detect {
    pub(super) fn len(&self) -> u64 {
        (LINE + self.json.len()) as u64
    }
}

impl Announced {
    /// The names of the classes stay; what was said of a frame that did not come does not.
    pub(super) fn for_next_connection(&mut self) -> Self {
        Self { introduction: Arc::new(self.introduction.again()), ..Self::default() }
    }

    /// Forgets what was said of the next frame; gives back the message that was to be joined with it.
    pub(super) fn forget(&mut self) -> Option<Detect> {
        self.seq = None;
        self.boxes.clear();
        self.detect.take()
    }

    /// Remembers what a record says.
    pub(super) fn learn(&mut self, record: &Record, interpreter: &mut Interpreter, limits: &Limits) {
        match record {
            Record::Frame { seq, .. } => {
                let before = self.seq.replace(*seq);
                // The boxes of a frame of which the camera sends nothing else.
                if before.is_some() {
                    self.boxes.clear();
                }
            }
            Record::Box(found) if self.boxes.len() < limits.boxes => self.boxes.push(*found),
            _ => {}
        }
        if Introduction::concerns(record) {
            Arc::make_mut(&mut self.introduction).learn(record, limits);
        }
        record.geometry().inspect(|geometry| interpreter.announce(*geometry));
    }

    /// Gives a frame its detections, its number and the names of its classes.
    ///
    /// # Errors
    /// When the text of the detections cannot be read to its end; the frame has what could be read.
    pub(super) fn join(&mut self, frame: &mut Frame, limits: &Limits) -> Result<(), DetectionError> {
        let Frame { detections: found, detection_text: text, .. } = frame;
        let read = if text.is_empty() {
            found.append(&mut self.boxes);
            Ok(())
        } else if frame.dialect == Dialect::Frame {
            // The names come with the boxes; they are the connection's from then on.
            let labels = &mut Arc::make_mut(&mut self.introduction).labels;
            detections::parse_json(text, limits.boxes, found, labels.get_or_insert_default())
        } else {
            detections::parse(text, limits.boxes, found)
        };
        self.boxes.clear();
        frame.camera_seq = self.seq.take();
        frame.labels.clone_from(&self.introduction.labels);
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{BBox, DeviceTime};

    #[test]
    fn boxes_of_a_frame_that_is_not_sent_are_no_other_ones() {
        let seen = |label| Record::Box(Detection { label, confidence: 0.5, bbox: BBox::default() });
        let number = |seq| Record::Frame { seq, device_time: DeviceTime(0) };
        let (mut announced, mut interpreter) = (Announced::default(), Interpreter::default());
        let mut labels = |records: &[Record]| {
            let limits = Limits::default();
            records.iter().for_each(|record| announced.learn(record, &mut interpreter, &limits));
            let mut frame = Frame::default();
            announced.join(&mut frame, &limits).expect("there is no text");
            frame.detections.iter().map(|found| found.label).collect::<Vec<_>>()
        };
        assert_eq!(labels(&[number(1), seen(1), seen(2), number(2), seen(3)]), [3], "only boxes are sent of frame 1");
        // Before or behind the number of their frame.
        assert_eq!(labels(&[seen(4), number(3)]), [4]);
        assert_eq!(labels(&[number(4), seen(5)]), [5]);
    }
}
