//! What the network on the camera saw.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// One box of the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Detection {
    /// Class number, as sent. Names are in a [`LabelMap`].
    pub label: u32,
    /// 0..=1. `NaN` when the camera sent one.
    pub confidence: f32,
    /// Where, in parts of the picture.
    pub bbox: BBox,
}

impl Detection {
    /// With the name of its label.
    #[must_use]
    pub fn named<'a>(&self, names: &'a LabelMap) -> Named<'a> {
        let BBox { xmin, ymin, xmax, ymax } = self.bbox;
        let name = names.title(self.label);
        Named { label: self.label, name, confidence: self.confidence, bbox: [xmin, ymin, xmax, ymax] }
    }
}

/// A [`Detection`] as JSON has it for people: with a name, and the corners in a row. What is not a number is `null`.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Named<'a> {
    label: u32,
    name: Cow<'a, str>,
    confidence: f32,
    bbox: [f32; 4],
}

/// A box in parts of the picture: 0 is the left or upper edge, 1 the right or lower one.
///
/// As sent: not clamped, not ordered, and possibly `NaN` (wire.md section 2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct BBox {
    /// Left edge.
    pub xmin: f32,
    /// Upper edge.
    pub ymin: f32,
    /// Right edge.
    pub xmax: f32,
    /// Lower edge.
    pub ymax: f32,
}

/// The classes of COCO, numbered from 0, by the names that Luxonis' `host.py` gives them.
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

/// Names of class numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelMap {
    names: BTreeMap<u32, Box<str>>,
    /// The names are known to be others than any that could be guessed.
    unnamed: bool,
}

impl LabelMap {
    /// The 80 classes of COCO: what the cameras' YOLO examples are trained on.
    #[must_use]
    pub fn coco() -> &'static Self {
        static MAP: LazyLock<LabelMap> = LazyLock::new(|| COCO.into_iter().collect());
        &MAP
    }

    /// One name a line, the first for class 0. An empty line leaves its class without a name.
    #[must_use]
    pub fn from_lines(text: &str) -> Self {
        let lines = text.strip_prefix('\u{FEFF}').unwrap_or(text).lines().map(str::trim);
        let names = (0..).zip(lines).filter(|(_, name)| !name.is_empty()).map(|(n, name)| (n, name.into())).collect();
        Self { names, unnamed: false }
    }

    /// No class has a name, and none is to be guessed: the camera has names of its own, and they did not come whole.
    #[must_use]
    pub const fn unnamed() -> Self {
        Self { names: BTreeMap::new(), unnamed: true }
    }

    /// Whether nothing is known of the names, so that usual ones may be taken.
    #[must_use]
    pub fn may_be_guessed(&self) -> bool {
        self.is_empty() && !self.unnamed
    }

    /// CRC-32 of the names with line feeds between them; `None` when they are not numbered from 0 without a hole.
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

    /// What to call a class: its name, or its number as `#57`.
    #[must_use]
    pub fn title(&self, label: u32) -> Cow<'_, str> {
        self.name(label).map_or_else(|| format!("#{label}").into(), Cow::from)
    }

    /// Whether a person who says `wanted` means this class: by its name in any case, or by its number (`57` or `#57`).
    #[must_use]
    pub fn matches(&self, label: u32, wanted: &str) -> bool {
        let wanted = wanted.trim();
        let number = wanted.strip_prefix('#').unwrap_or(wanted).parse();
        number == Ok(label) || self.name(label).is_some_and(|name| lower(name).eq(lower(wanted)))
    }

    /// The name of a class, if it has one.
    #[must_use]
    pub fn name(&self, label: u32) -> Option<&str> {
        self.names.get(&label).map(|name| &**name)
    }

    /// Names a class, or renames it.
    pub fn insert(&mut self, label: u32, name: &str) {
        self.names.insert(label, name.into());
    }

    /// Every class and its name, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        self.names.iter().map(|(label, name)| (*label, &**name))
    }

    /// The number of classes that have a name.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether no class has a name.
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
    fn coco_is_numbered_as_the_host_program_does() {
        let coco = LabelMap::coco();
        assert_eq!(coco.len(), 80);
        for (label, name) in [(0, "person"), (3, "motorbike"), (16, "dog"), (62, "tvmonitor"), (79, "toothbrush")] {
            assert_eq!(coco.name(label), Some(name));
        }
        assert_eq!((coco.title(2), coco.title(80)), ("car".into(), "#80".into()));
    }

    #[test]
    fn names_are_read_one_a_line() {
        let map = LabelMap::from_lines("\u{FEFF}helmet\r\n  hard hat \r\n\r\nvest");
        assert_eq!(map.iter().collect::<Vec<_>>(), [(0, "helmet"), (1, "hard hat"), (3, "vest")]);
        assert_eq!(map.title(2), "#2");
        assert!(LabelMap::from_lines("").is_empty());
    }

    #[test]
    fn classes_are_meant_by_name_or_number() {
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
