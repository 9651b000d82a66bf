//! The camera's description of itself on one connection, collected from records (wire.md section 7).

use std::sync::Arc;

use super::limits::Limits;
use super::record::Record;
use crate::frame::{Geometry, LabelMap};

/// Longest class name in characters. Bounds names that continuation records make longer.
const MAX_NAME_CHARS: usize = 256;

/// Names that may be compared with summaries (`@C`) for each name received, and at first: a camera that sends a summary
/// with each frame must not have 10,000 names compared each time.
const CHECKED_NAMES_PER_NAME: u32 = 256;
const FREE_CHECKED_NAMES: u32 = 100_000;

/// The camera's description of itself since the connection was opened. Empty if the camera sends no records.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Introduction {
    /// Version of the extension (`@V`).
    pub version: Option<u32>,
    /// Name of the application (`@V`).
    pub app: Option<String>,
    /// Identifies the content of the application's package (`@A`).
    pub build: Option<String>,
    /// Device id, also called MXID (`@I`).
    pub device_id: Option<String>,
    /// Width and height in pixels (`@D`).
    pub size: Option<(u32, u32)>,
    /// Pixel format or coding, such as `BGR888p` or `JPEG` (`@D`).
    pub format: Option<String>,
    /// Bytes from row to row, if rows are padded (`@D`).
    pub stride: Option<u32>,
    /// Memory layout of raw payloads, if their format is known (`@D`).
    #[serde(skip)]
    pub geometry: Option<Geometry>,
    /// Configured frame rate in frames per second (`@R`).
    pub fps: Option<f32>,
    /// Name of the stream, for applications with several (`@S`).
    pub stream: Option<String>,
    /// The camera's label table, and whether it was received completely (`@C`).
    pub table: Option<LabelTable>,
    /// Class names, from `@L` records or from the detections.
    #[serde(skip)]
    pub labels: Option<Arc<LabelMap>>,
    /// Set once this connection has sent a name. Names from the previous one may be another application's.
    #[serde(skip)]
    has_names: bool,
    /// Set once a name has changed since [`Self::table`] was checked.
    #[serde(skip)]
    is_changed: bool,
    /// Names that may still be compared with summaries.
    #[serde(skip)]
    checks_left: ChecksLeft,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct ChecksLeft(u32);

impl Default for ChecksLeft {
    fn default() -> Self {
        Self(FREE_CHECKED_NAMES)
    }
}

/// The camera's summary of its class names (`@C`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LabelTable {
    /// CRC-32 of the names joined by line feeds.
    pub crc32: u32,
    /// Number of names.
    pub count: u32,
    /// `true` if exactly these names were received. If not, the names must not be used.
    pub complete: bool,
    /// CRC-32 of the names that were received, if there are as many as announced.
    #[serde(skip)]
    pub found: Option<u32>,
}

impl Introduction {
    /// Returns the state for the next connection to the same camera, which keeps the class names until the camera
    /// sends new ones.
    pub(super) fn for_next_connection(&self) -> Self {
        Self { labels: self.labels.clone(), ..Self::default() }
    }

    /// Returns whether a record describes the connection, rather than a frame or a moment.
    pub(super) const fn is_described_by(record: &Record) -> bool {
        matches!(
            record,
            Record::Version { .. }
                | Record::Build(_)
                | Record::DeviceId(_)
                | Record::Dimensions { .. }
                | Record::FrameRate(_)
                | Record::Label { .. }
                | Record::Labels { .. }
                | Record::Stream(_)
        )
    }

    /// Stores the contents of a record.
    pub(super) fn apply(&mut self, record: &Record, limits: &Limits) {
        match record {
            Record::Version { version, app } => {
                self.version = Some(*version);
                self.app = Some(app.clone()).filter(|app| !app.is_empty());
            }
            Record::Build(build) => self.build = Some(build.clone()),
            Record::DeviceId(id) => self.device_id = Some(id.clone()),
            Record::Dimensions { width, height, format, stride } => {
                self.size = Some((*width, *height));
                self.format = Some(format.clone());
                self.stride = *stride;
                self.geometry = record.geometry().ok().flatten();
            }
            Record::FrameRate(fps) => self.fps = Some(*fps),
            Record::Stream(stream) => self.stream = Some(stream.clone()),
            Record::Label { label, name } => self.add_name(*label, name, limits),
            Record::Labels { crc32, count } => self.check_names(*crc32, *count),
            _ => {}
        }
    }

    fn add_name(&mut self, label: u32, name: &str, limits: &Limits) {
        if !std::mem::replace(&mut self.has_names, true) {
            self.labels = None;
        }
        self.is_changed = true;
        self.checks_left.0 = (self.checks_left.0 + CHECKED_NAMES_PER_NAME).min(FREE_CHECKED_NAMES);
        let names = self.labels.get_or_insert_default();
        if names.name(label) == Some(name) {
            return;
        }
        let names = Arc::make_mut(names);
        match (name.strip_prefix('+'), names.name(label)) {
            (Some(more), Some(start)) => {
                let whole: String = start.chars().chain(more.chars()).take(MAX_NAME_CHARS).collect();
                names.insert(label, &whole);
            }
            (_, known) if known.is_some() || names.len() < limits.boxes => names.insert(label, name),
            _ => {}
        }
    }

    /// Drops the names unless they match the camera's summary: an incomplete table would give boxes wrong names.
    fn check_names(&mut self, crc32: u32, count: u32) {
        let is_known = |table: &LabelTable| table.complete && table.crc32 == crc32 && table.count == count;
        if !std::mem::take(&mut self.is_changed) && self.table.as_ref().is_some_and(is_known) {
            return;
        }
        let names = self.labels.as_ref().filter(|_| self.has_names);
        let len = names.map_or(0, |names| u32::try_from(names.len()).unwrap_or(u32::MAX));
        let affordable = self.checks_left.0.checked_sub(len);
        self.checks_left.0 = affordable.unwrap_or(self.checks_left.0);
        let is_checked = len == count && affordable.is_some();
        let found = names.filter(|_| is_checked).and_then(|names| names.crc32());
        let complete = names.map_or(count == 0, |_| found == Some(crc32));
        if !complete {
            self.labels = Some(Arc::new(LabelMap::unnamed()));
        } else if count == 0 {
            self.labels = None;
        }
        self.table = Some(LabelTable { crc32, count, complete, found });
    }

    /// Returns whether the camera has sent no description.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == self.for_next_connection()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn introduction(lines: &[&str]) -> Introduction {
        let mut introduction = Introduction::default();
        for line in lines {
            let line = format!("{line:32}");
            let record = super::super::record::parse(line.as_bytes().try_into().expect("32 bytes")).expect(&line);
            assert!(Introduction::is_described_by(&record), "{line}");
            introduction.apply(&record, &Limits::default());
        }
        introduction
    }

    const NAMES: [&str; 3] = ["@L 0 person", "@L 1 traffic", "@L 1 + light"];

    #[test]
    fn records_fill_the_introduction() {
        let lines = ["@V 1 door", "@I 14442C10", "@D 640 352 NV12 704", "@R 12.5", "@S preview"];
        let door = introduction(&lines);
        assert_eq!(door.app.as_deref(), Some("door"));
        assert_eq!((door.size, door.stride, door.fps), (Some((640, 352)), Some(704), Some(12.5)));
        assert!(!door.is_empty() && introduction(&[]).is_empty());
        let json = serde_json::to_value(&door).expect("JSON");
        assert_eq!((&json["device_id"], &json["size"]), (&"14442C10".into(), &serde_json::json!([640, 352])));
    }

    #[test]
    fn names_are_used_only_if_table_is_complete() {
        let whole = introduction(&[&NAMES[..], &["@C abda5f13 2"]].concat());
        assert!(whole.table.expect("a table").complete);
        assert_eq!(whole.labels.expect("names").name(1), Some("traffic light"));
        // A name is missing, differs, is extra, or has another number; no names at all.
        for (names, summary) in [
            (&NAMES[..1], "@C abda5f13 2"),
            (&["@L 0 person", "@L 1 traffic lamp"], "@C abda5f13 2"),
            (&["@L 0 person", "@L 1 traffic light", "@L 2 x"], "@C abda5f13 2"),
            (&["@L 0 person", "@L 2 traffic light"], "@C abda5f13 2"),
            (&[], "@C abda5f13 2"),
        ] {
            let incomplete = introduction(&[names, &[summary]].concat());
            assert!(!incomplete.table.expect("a table").complete, "{names:?}");
            let names = incomplete.labels.expect("an unnamed map");
            assert_eq!((names.name(0), names.may_be_guessed()), (None, false));
        }
        // The camera sends the table again, completely.
        let again = introduction(&[&["@L 0 person", "@C abda5f13 2"], &NAMES[..], &["@C abda5f13 2"]].concat());
        assert!(again.table.expect("a table").complete);
    }

    #[test]
    fn first_new_name_replaces_names_of_previous_connection() {
        let mut introduction = introduction(&["@L 0 person", "@L 7 truck"]).for_next_connection();
        assert_eq!(
            introduction.labels.as_ref().and_then(|names| names.name(7)),
            Some("truck"),
            "kept until the first new name"
        );
        let limits = Limits::default();
        introduction.apply(&Record::Label { label: 0, name: "dog".to_owned() }, &limits);
        introduction.apply(&Record::Labels { crc32: crc32fast::hash(b"dog"), count: 1 }, &limits);
        assert!(introduction.table.expect("a table").complete, "{introduction:?}");
    }

    #[test]
    fn empty_name_table_is_complete() {
        let none = introduction(&["@C 0 0"]);
        assert!(none.table.expect("a table").complete && none.labels.is_none());
    }
}
