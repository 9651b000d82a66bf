//! Detections of the network on the camera, and the names of their labels.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use super::position::Position;
use super::spelling::edit_distance;
use super::track::Track;

/// One detected object.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Detection {
    /// Class number as received. A [`LabelMap`] has the name.
    pub label: u32,
    /// Normally 0..=1. Not clamped, and `NaN` if the camera sent it.
    pub confidence: f32,
    /// Box in the picture.
    pub bbox: BBox,
    /// Place in front of the camera, if the camera sends it.
    pub position: Option<Position>,
}

impl Detection {
    /// Adds the name of the label.
    #[must_use]
    pub fn named<'a>(&self, names: &'a LabelMap) -> NamedDetection<'a> {
        let BBox { xmin, ymin, xmax, ymax } = self.bbox;
        let name = names.title(self.label);
        NamedDetection {
            label: self.label,
            name,
            confidence: self.confidence,
            bbox: [xmin, ymin, xmax, ymax],
            position_mm: self.position.map(|position| position.mm()),
            depth_mm: None,
            track: None,
        }
    }
}

/// A [`Detection`] for JSON output, with the name of its label. `bbox` is `[xmin, ymin, xmax, ymax]`, `position_mm` is
/// `[x, y, z]`; `NaN` becomes `null`.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct NamedDetection<'a> {
    label: u32,
    name: Cow<'a, str>,
    confidence: f32,
    bbox: [f32; 4],
    #[serde(skip_serializing_if = "Option::is_none")]
    position_mm: Option<[f32; 3]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    depth_mm: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    track: Option<u32>,
}

impl NamedDetection<'_> {
    /// Returns the left, top, right and bottom edge as received.
    #[must_use]
    pub const fn edges(&self) -> [f32; 4] {
        self.bbox
    }

    /// Adds the depth inside of its box in millimeters, if it was measured.
    #[must_use]
    pub fn at_depth(self, depth_mm: Option<u16>) -> Self {
        Self { depth_mm, ..self }
    }

    /// Adds the number of the object's track, if it has one.
    #[must_use]
    pub fn on_track(self, track: Option<&Track>) -> Self {
        Self { track: track.map(|track| track.id), ..self }
    }
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

impl BBox {
    /// Returns the box clipped to the picture, with its corners in order. `None` if it has no area there or contains a `NaN`.
    #[must_use]
    pub fn clipped(&self) -> Option<Self> {
        let span = |a: f32, b: f32| {
            let (low, high) = (a.min(b).clamp(0.0, 1.0), a.max(b).clamp(0.0, 1.0));
            (!a.is_nan() && !b.is_nan() && low < high).then_some((low, high))
        };
        let (xmin, xmax) = span(self.xmin, self.xmax)?;
        let (ymin, ymax) = span(self.ymin, self.ymax)?;
        Some(Self { xmin, ymin, xmax, ymax })
    }
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

/// Longest [`Chunk`]: a compromise between copying one chunk and copying the list of chunks.
const MAX_CHUNK_LEN: usize = 128;

/// Names of neighboring class numbers, in their order. Never empty.
type Chunk = Arc<Vec<(u32, Arc<str>)>>;

/// Maps class numbers to names.
///
/// Clones share their names. A camera may send a name with each frame, and each frame keeps the names of its time: with
/// 10,000 names, inserting one into a clone copies 300 pointers instead of 10,000 names.
#[derive(Clone, Debug, Default)]
pub struct LabelMap {
    /// In the order of the class numbers.
    chunks: Vec<Chunk>,
    len: usize,
    /// Memory that the names occupy.
    bytes: usize,
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
        (0..).zip(lines).filter(|(_, name)| !name.is_empty()).collect()
    }

    /// Returns a map without names that prevents the fallback to COCO: the camera sent names, but they were incomplete.
    #[must_use]
    pub const fn unnamed() -> Self {
        Self { chunks: Vec::new(), len: 0, bytes: 0, unnamed: true }
    }

    /// Returns whether the stream sent no names, so that COCO may be assumed.
    #[must_use]
    pub fn may_be_guessed(&self) -> bool {
        self.is_empty() && !self.unnamed
    }

    /// Returns the first of these tables that decides the names: one with names, or one that prevents the fallback. Without
    /// one, returns COCO.
    #[must_use]
    pub fn first_known<'a>(tables: impl IntoIterator<Item = Option<&'a Self>>) -> &'a Self {
        tables.into_iter().flatten().find(|names| !names.may_be_guessed()).unwrap_or_else(|| Self::coco())
    }

    /// Returns the CRC-32 of the names joined by line feeds; `None` if the class numbers are not contiguous from 0.
    #[must_use]
    pub fn crc32(&self) -> Option<u32> {
        let mut hasher = crc32fast::Hasher::new();
        for (at, (label, name)) in (0..).zip(self.iter()) {
            if at != label {
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

    /// Returns whether `wanted` is the number or the name of a class. Every number is one.
    #[must_use]
    pub fn knows(&self, wanted: &str) -> bool {
        let wanted = wanted.trim();
        let number = wanted.strip_prefix('#').unwrap_or(wanted);
        number.parse::<u32>().is_ok() || self.iter().any(|(_, name)| lower(name).eq(lower(wanted)))
    }

    /// Returns the name that is most similar to a misspelled one: at most a third of its letters differ.
    #[must_use]
    pub fn nearest(&self, misspelled: &str) -> Option<&str> {
        let wanted: Vec<char> = lower(misspelled.trim()).collect();
        let distance = |name: &str| edit_distance(&wanted, &lower(name).take(64).collect::<Vec<_>>());
        let nearest = self.iter().map(|(_, name)| (distance(name), name)).min_by_key(|(distance, _)| *distance);
        nearest.filter(|(distance, _)| *distance <= wanted.len().div_ceil(3)).map(|(_, name)| name)
    }

    /// Returns the memory in bytes that the names occupy beside those that they share with `other`. Takes no longer for
    /// long tables with few differences.
    #[must_use]
    pub fn memory_bytes_beside(&self, other: Option<&Self>) -> usize {
        let Some(other) = other else { return self.bytes };
        let mut known = other.chunks.iter().peekable();
        let mut own = 0;
        for chunk in &self.chunks {
            while known.next_if(|known| known[0].0 < chunk[0].0).is_some() {}
            if known.next_if(|known| Arc::ptr_eq(known, chunk)).is_none() {
                own += chunk.iter().map(|(_, name)| name_bytes(name)).sum::<usize>();
            }
        }
        own + self.chunks.len() * size_of::<Chunk>()
    }

    /// Returns the name of a class, if it has one.
    #[must_use]
    pub fn name(&self, label: u32) -> Option<&str> {
        let chunk = &self.chunks[self.chunk_of(label)?];
        let at = chunk.binary_search_by_key(&label, |(label, _)| *label).ok()?;
        Some(&chunk[at].1)
    }

    /// Sets the name of a class.
    pub fn insert(&mut self, label: u32, name: &str) {
        let name: Arc<str> = Arc::from(name);
        self.bytes += name_bytes(&name);
        let Some(at) = self.chunk_of(label) else {
            match self.chunks.first_mut() {
                Some(first) => Arc::make_mut(first).insert(0, (label, name)),
                None => self.chunks.push(Arc::new(vec![(label, name)])),
            }
            self.len += 1;
            return self.split(0);
        };
        let chunk = Arc::make_mut(&mut self.chunks[at]);
        match chunk.binary_search_by_key(&label, |(label, _)| *label) {
            Ok(known) => {
                let old = std::mem::replace(&mut chunk[known].1, name);
                self.bytes -= name_bytes(&old);
            }
            Err(place) => {
                chunk.insert(place, (label, name));
                self.len += 1;
                self.split(at);
            }
        }
    }

    /// Returns the index of the only chunk that can contain a class; `None` if all classes have higher numbers.
    fn chunk_of(&self, label: u32) -> Option<usize> {
        self.chunks.partition_point(|chunk| chunk[0].0 <= label).checked_sub(1)
    }

    /// Halves a chunk that has become too long.
    fn split(&mut self, at: usize) {
        if self.chunks[at].len() > MAX_CHUNK_LEN {
            let upper = Arc::make_mut(&mut self.chunks[at]).split_off(MAX_CHUNK_LEN / 2);
            self.chunks.insert(at + 1, Arc::new(upper));
        }
    }

    /// Iterates over the named classes in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).map(|(label, name)| (*label, &**name))
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
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns whether no class has a name.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl PartialEq for LabelMap {
    fn eq(&self, other: &Self) -> bool {
        self.unnamed == other.unnamed && self.len == other.len && self.iter().eq(other.iter())
    }
}

impl Eq for LabelMap {}

impl<'a> FromIterator<(u32, &'a str)> for LabelMap {
    fn from_iter<I: IntoIterator<Item = (u32, &'a str)>>(names: I) -> Self {
        let mut map = Self::default();
        names.into_iter().for_each(|(label, name)| map.insert(label, name));
        map
    }
}

/// Memory of a name: number, pointer and length in a chunk, and its allocation.
const fn name_bytes(name: &str) -> usize {
    48 + name.len()
}

impl<'a> FromIterator<&'a str> for LabelMap {
    /// Numbers the names from 0.
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        (0..).zip(names).collect()
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
    fn any_order_of_insertion_gives_the_same_map() {
        let (mut map, mut expected) = (LabelMap::default(), std::collections::BTreeMap::new());
        let mut label = 1u32;
        for n in 0..5000 {
            label = label.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let label = if n % 3 == 0 { label } else { label % 700 };
            let before = map.clone();
            map.insert(label, &n.to_string());
            assert_eq!(before.name(label), expected.insert(label, n.to_string()).as_deref(), "a clone is unchanged");
        }
        assert!(map.iter().eq(expected.iter().map(|(label, name)| (*label, name.as_str()))));
        assert_eq!(map.len(), expected.len());
        assert!(map.chunks.iter().all(|chunk| (1..=MAX_CHUNK_LEN).contains(&chunk.len())));
        assert_eq!(map, expected.iter().rev().map(|(label, name)| (*label, name.as_str())).collect());
    }

    #[test]
    fn a_name_in_a_clone_copies_one_chunk() {
        let names: Vec<_> = (0..10_000).map(|n| n.to_string()).collect();
        let map: LabelMap = names.iter().map(String::as_str).collect();
        let mut clone = map.clone();
        clone.insert(5000, "other");
        let copied = map.chunks.iter().zip(&clone.chunks).filter(|(a, b)| !Arc::ptr_eq(a, b)).count();
        assert_eq!(copied, 1);
        assert!(map.chunks.len() < 200, "{} chunks", map.chunks.len());
        let all: usize = clone.iter().map(|(_, name)| 48 + name.len()).sum();
        assert_eq!(clone.memory_bytes_beside(None), all);
        let own = clone.memory_bytes_beside(Some(&map));
        assert!((48..20_000).contains(&own), "{own} bytes of a changed name in a table of {all}");
        clone.insert(10_000, "one more");
        assert!(clone.memory_bytes_beside(Some(&map)) < 40_000);
        let other: LabelMap = names.iter().map(String::as_str).collect();
        assert!(clone.memory_bytes_beside(Some(&other)) >= all, "equal names of another table are not shared");
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

    #[test]
    fn misspelled_names_have_a_suggestion() {
        let coco = LabelMap::coco();
        for (misspelled, nearest) in [
            ("piza", Some("pizza")),
            ("Persn", Some("person")),
            ("cel phone", Some("cell phone")),
            ("helicopter", None),
        ] {
            assert!(!coco.knows(misspelled));
            assert_eq!(coco.nearest(misspelled), nearest, "{misspelled}");
        }
        assert!(["pizza", " PIZZA ", "57", "#999"].into_iter().all(|known| coco.knows(known)));
        assert_eq!(LabelMap::default().nearest("pizza"), None);
    }

    #[test]
    fn boxes_are_clipped_to_the_picture() {
        let bbox = |[xmin, ymin, xmax, ymax]: [f32; 4]| BBox { xmin, ymin, xmax, ymax };
        assert_eq!(bbox([-1.0, 0.25, 0.5, f32::INFINITY]).clipped(), Some(bbox([0.0, 0.25, 0.5, 1.0])));
        assert_eq!(bbox([0.75, 0.5, 0.25, 0.0]).clipped(), Some(bbox([0.25, 0.0, 0.75, 0.5])));
        for outside in
            [[f32::NAN, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, f32::NAN], [1.0, 0.0, 2.0, 1.0], [0.5, 0.1, 0.5, 0.2]]
        {
            assert_eq!(bbox(outside).clipped(), None, "{outside:?}");
        }
    }
}
