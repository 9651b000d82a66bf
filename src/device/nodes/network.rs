//! Models: with what they say as it is, or made into boxes.

use super::{BLOB_URI, Settings, Value, input, output};
use crate::device::schema::Port;

/// Runs a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeuralNetwork {
    /// Bytes of the model, which is the asset `__blob` of this node; `None` without one.
    pub blob_size: Option<u32>,
    /// Results that may be under way.
    pub num_frames: u32,
    /// Threads; 0 leaves it to the firmware.
    pub num_threads: u32,
    /// Whether a sender waits when the queue is full. Otherwise the oldest picture goes.
    pub blocking: bool,
    /// Pictures that may wait.
    pub queue_size: i64,
}

impl Default for NeuralNetwork {
    fn default() -> Self {
        Self { blob_size: None, num_frames: 8, num_threads: 0, blocking: true, queue_size: 5 }
    }
}

impl NeuralNetwork {
    fn members(&self) -> Vec<Value<'_>> {
        vec![
            self.blob_size.into(),
            self.blob_size.map_or("", |_| BLOB_URI).into(),
            self.num_frames.into(),
            self.num_threads.into(),
            0_u32.into(), // numNCEPerThread
        ]
    }
}

impl Settings for NeuralNetwork {
    const KIND: &'static str = "NeuralNetwork";

    fn properties(&self) -> Value<'_> {
        Value::Structure(self.members())
    }

    fn ports(&self) -> Vec<Port> {
        vec![input("in", self.blocking, self.queue_size, true), output("out"), output("passthrough")]
    }
}

/// What a model says, and so how boxes are made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// YOLO, versions 3 to 8.
    Yolo = 0,
    /// MobileNet-SSD.
    MobileNet = 1,
}

/// How boxes are made of what a model says.
#[derive(Clone, Debug, PartialEq)]
pub struct Parser {
    /// Of which family it is.
    pub family: Family,
    /// The least confidence that a box needs, up to 1.
    pub confidence_threshold: f32,
    /// Classes, for YOLO.
    pub classes: i32,
    /// Numbers of a box, for YOLO: 4.
    pub coordinates: i32,
    /// Widths and heights in pixels, one after the other, for YOLO up to version 5.
    pub anchors: Vec<f32>,
    /// Which anchors a part of the model uses: by its name, and numbers of 32 bits, little-endian, as they are written; see [`Self::with_masks`].
    pub masks: Vec<(String, Vec<u8>)>,
    /// From which overlap on two boxes are one, up to 1, for YOLO.
    pub iou_threshold: f32,
}

impl Parser {
    /// As the vendor's library begins: half of the confidence, and nothing else yet.
    #[must_use]
    pub const fn new(family: Family) -> Self {
        let iou_threshold = match family {
            Family::Yolo => 0.5,
            Family::MobileNet => 0.0,
        };
        Self {
            family,
            confidence_threshold: 0.5,
            classes: 0,
            coordinates: 0,
            anchors: Vec::new(),
            masks: Vec::new(),
            iou_threshold,
        }
    }

    /// Sets which anchors each part of the model uses: `side26` uses 1, 2 and 3. In the order of the names.
    #[must_use]
    pub fn with_masks<'m>(mut self, masks: impl IntoIterator<Item = (&'m str, &'m [i32])>) -> Self {
        let row = |(name, mask): (&str, &[i32])| {
            (name.to_owned(), mask.iter().flat_map(|anchor| anchor.to_le_bytes()).collect())
        };
        self.masks = masks.into_iter().map(row).collect();
        self.masks.sort();
        self
    }
}

/// Runs a model, and makes boxes of what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectionNetwork {
    /// The model.
    pub network: NeuralNetwork,
    /// What is made of it.
    pub parser: Parser,
}

impl Settings for DetectionNetwork {
    const KIND: &'static str = "DetectionNetwork";

    fn properties(&self) -> Value<'_> {
        let Parser { family, confidence_threshold, classes, coordinates, anchors, masks, iou_threshold } = &self.parser;
        let masks = masks.iter().map(|(name, mask)| (name.as_str().into(), Value::Binary(mask)));
        let parser = Value::Structure(vec![
            (*family as i32).into(),
            (*confidence_threshold).into(),
            (*classes).into(),
            (*coordinates).into(),
            Value::Array(anchors.iter().map(|&anchor| anchor.into()).collect()),
            Value::Map(masks.collect()),
            (*iou_threshold).into(),
        ]);
        let mut members = self.network.members();
        members.push(parser);
        Value::Structure(members)
    }

    fn ports(&self) -> Vec<Port> {
        self.network.ports()
    }
}
