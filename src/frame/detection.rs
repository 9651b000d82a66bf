//! Detections of the network on the camera, and the names of their labels.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// One detected object.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Detection {
    /// Class number as received. A [`LabelMap`] has the name.
    pub label: u32,
    /// Normally 0..=1. Not clamped, and `NaN` if the camera sent it.
    pub confidence: f32,
    /// Position in the picture.
    pub bbox: BBox,
}

impl Detection {
    /// Adds the name of the label.
    #[must_use]
    pub fn named<'a>(&self, names: &'a LabelMap) -> NamedDetection<'a> {
        let BBox { xmin, ymin, xmax, ymax } = self.bbox;
        let name = names.title(self.label);
        NamedDetection { label: self.label, name, confidence: self.confidence, bbox: [xmin, ymin, xmax, ymax] }
    }
}

/// A [`Detection`] for JSON output, with the name of its label. `bbox` is `[xmin, ymin, xmax, ymax]`; `NaN` becomes
/// `null`.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct NamedDetection<'a> {
    label: u32,
    name: Cow<'a, str>,
    confidence: f32,
    bbox: [f32; 4],
}

/// A box relative to the picture: 0 is the left or top edge, 1 the right or bottom edge.
///
/// Values are as received: not clamped, not ordered, possibly `NaN` (wire.md section 2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct BBox {
    /// Left edge.
    pub xmin: f32,
    /// Top edge.
    pub ymin: f32,
    /// Right edge.
    pub xmax: f32,
    /// Bottom edge.
    pub ymax: f32,
}

/// The 80 classes of COCO, with the names used in Luxonis' `host.py`.
#[rustfmt::skip]
const COCO: [&str; 80] = [
    "person", "bicycle", "car", "motorbike", "aeroplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "sofa", "pottedplant", "bed", "diningtable", "toilet",
    "tvmonitor", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
];

/// Maps class numbers to names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelMap {
    names: BTreeMap<u32, Box<str>>,
    /// The stream has names of its own that could not be read, so COCO names would be wrong.
    unnamed: bool,
}

impl LabelMap {
    /// Returns the 80 classes of COCO, on which the cameras' YOLO examples are trained.
    #[must_use]
    pub fn coco() -> &'static Self {
        static MAP: LazyLock<LabelMap> = LazyLock::new(|| COCO.into_iter().collect());
        &MAP
    }

    /// Parses one name per line, starting with class 0. An empty line leaves its class without a name.
    #[must_use]
    pub fn from_lines(text: &str) -> Self {
        let lines = text.strip_prefix('\u{FEFF}').unwrap_or(text).lines().map(str::trim);
        let names = (0..).zip(lines).filter(|(_, name)| !name.is_empty()).map(|(n, name)| (n, name.into())).collect();
        Self { names, unnamed: false }
    }

    /// Returns a map without names that prevents the fallback to COCO: the camera sent names, but they were incomplete.
    #[must_use]
    pub const fn unnamed() -> Self {
        Self { names: BTreeMap::new(), unnamed: true }
    }

    /// Returns whether the stream sent no names, so that COCO may be assumed.
    #[must_use]
    pub fn may_be_guessed(&self) -> bool {
        self.is_empty() && !self.unnamed
    }

    /// Returns the CRC-32 of the names joined by line feeds; `None` if the class numbers are not contiguous from 0.
    #[must_use]
    pub fn crc32(&self) -> Option<u32> {
        let mut hasher = crc32fast::Hasher::new();
        for (at, (label, name)) in (0..).zip(&self.names) {
            if at != *label {
                return None;
            }
            if at > 0 {
                hasher.update(b"\n");
            }
            hasher.update(name.as_bytes());
        }
        Some(hasher.finalize())
    }

    /// Returns the name of a class, or its number in the form `#57`.
    #[must_use]
    pub fn title(&self, label: u32) -> Cow<'_, str> {
        self.name(label).map_or_else(|| format!("#{label}").into(), Cow::from)
    }

    /// Returns whether `wanted` is the name of this class, ignoring case, or its number (`57` or `#57`).
    #[must_use]
    pub fn matches(&self, label: u32, wanted: &str) -> bool {
        let wanted = wanted.trim();
        let number = wanted.strip_prefix('#').unwrap_or(wanted).parse();
        number == Ok(label) || self.name(label).is_some_and(|name| lower(name).eq(lower(wanted)))
    }

    /// Returns the name of a class, if it has one.
    #[must_use]
    pub fn name(&self, label: u32) -> Option<&str> {
        self.names.get(&label).map(|name| &**name)
    }

    /// Sets the name of a class.
    pub fn insert(&mut self, label: u32, name: &str) {
        self.names.insert(label, name.into());
    }

    /// Iterates over the named classes in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        self.names.iter().map(|(label, name)| (*label, &**name))
    }

    /// Returns the names of all classes from 0 on.
    ///
    /// # Errors
    /// The first class without a name, if a later one has a name.
    pub fn contiguous(&self) -> Result<Vec<String>, u32> {
        let name = |(at, (label, name)): (u32, (u32, &str))| if at == label { Ok(name.to_owned()) } else { Err(at) };
        (0..).zip(self.iter()).map(name).collect()
    }

    /// Returns the number of named classes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Returns whether no class has a name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

impl<'a> FromIterator<&'a str> for LabelMap {
    /// Numbers the names from 0.
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        Self { names: (0..).zip(names.into_iter().map(Box::from)).collect(), unnamed: false }
    }
}

fn lower(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coco_is_numbered_like_host_py() {
        let coco = LabelMap::coco();
        assert_eq!(coco.len(), 80);
        for (label, name) in [(0, "person"), (3, "motorbike"), (16, "dog"), (62, "tvmonitor"), (79, "toothbrush")] {
            assert_eq!(coco.name(label), Some(name));
        }
        assert_eq!((coco.title(2), coco.title(80)), ("car".into(), "#80".into()));
    }

    #[test]
    fn names_are_parsed_one_per_line() {
        let map = LabelMap::from_lines("\u{FEFF}helmet\r\n  hard hat \r\n\r\nvest");
        assert_eq!(map.iter().collect::<Vec<_>>(), [(0, "helmet"), (1, "hard hat"), (3, "vest")]);
        assert_eq!(map.title(2), "#2");
        assert!(LabelMap::from_lines("").is_empty());
    }

    #[test]
    fn classes_match_by_name_or_number() {
        let coco = LabelMap::coco();
        for wanted in ["person", "PERSON", " Person ", "0", "#0"] {
            assert!(coco.matches(0, wanted) && !coco.matches(1, wanted), "{wanted:?}");
        }
        assert!(coco.matches(900, "900") && coco.matches(900, "#900"));
        for wanted in ["", "#", "pers", "-0", "1e0", "99999999999"] {
            assert!((0..80).all(|label| !coco.matches(label, wanted)), "{wanted:?}");
        }
    }
}
