//! Neural networks: with raw output, or decoded into boxes.

use super::{BLOB_URI, NodeSettings, Value, input, output};
use crate::device::schema::Port;

/// Runs a model and sends its raw output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeuralNetwork {
    /// Bytes of the model, the asset `__blob` of this node; `None` without a model.
    pub blob_size: Option<u32>,
    /// Buffers for results.
    pub num_frames: u32,
    /// Inference threads; 0 leaves it to the firmware.
    pub num_threads: u32,
    /// When the queue is full, `true`: the sender waits; `false`: the oldest picture is dropped.
    pub blocking: bool,
    /// Pictures that the input queue holds.
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

impl NodeSettings for NeuralNetwork {
    const KIND: &'static str = "NeuralNetwork";

    fn properties(&self) -> Value<'_> {
        Value::Structure(self.members())
    }

    fn ports(&self) -> Vec<Port> {
        vec![input("in", self.blocking, self.queue_size, true), output("out"), output("passthrough")]
    }
}

/// Format of a model's output, with the vendor's numbers (`nnFamily`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// YOLO, versions 3 to 8.
    Yolo = 0,
    /// MobileNet-SSD.
    MobileNet = 1,
}

/// Decoding of a model's output into boxes.
#[derive(Clone, Debug, PartialEq)]
pub struct Parser {
    /// Format of the output.
    pub family: Family,
    /// Boxes of less confidence (0..=1) are dropped.
    pub confidence_threshold: f32,
    /// Number of classes (YOLO).
    pub classes: i32,
    /// Numbers per box (YOLO): 4.
    pub coordinates: i32,
    /// Widths and heights in pixels, in turns (YOLO 3, 4, 5 and 7).
    pub anchors: Vec<f32>,
    /// Names of outputs, and the indices of their anchors as little-endian `i32`; see [`Self::with_masks`].
    pub masks: Vec<(String, Vec<u8>)>,
    /// Of two boxes whose overlap (0..=1) is larger, the less confident one is dropped (YOLO).
    pub iou_threshold: f32,
}

impl Parser {
    /// The vendor's defaults.
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

    /// Sets the anchors of each output, such as 1, 2 and 3 for `side26`, sorted by name.
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

/// Runs a model and sends boxes.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectionNetwork {
    /// The model.
    pub network: NeuralNetwork,
    /// Decoding of its output.
    pub parser: Parser,
}

impl NodeSettings for DetectionNetwork {
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
