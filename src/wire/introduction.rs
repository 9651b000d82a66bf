//! What a camera says of itself on one connection: records that hold until it says something else (wire.md section 7).

use std::sync::Arc;

use super::event::Limits;
use super::record::Record;
use crate::frame::{Geometry, LabelMap};

/// Longest name of a class, in characters: one that is continued has to end.
const LONGEST_NAME: usize = 256;

/// What a camera has said of itself since the connection was opened. A camera without records has said nothing.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Introduction {
    /// Version of the records (`@V`).
    pub version: Option<u32>,
    /// The application's name (`@V`).
    pub app: Option<String>,
    /// The camera's own number (`@I`).
    pub device_id: Option<String>,
    /// Width and height of the pictures in pixels (`@D`).
    pub size: Option<(u32, u32)>,
    /// Their layout or coding, such as `BGR888p` or `JPEG` (`@D`).
    pub format: Option<String>,
    /// Bytes from one row to the next, if rows are padded (`@D`).
    pub stride: Option<u32>,
    /// How payloads lie in memory that are pixels, in a layout that is known here (`@D`).
    #[serde(skip)]
    pub geometry: Option<Geometry>,
    /// Frames a second that the application is set to (`@R`).
    pub fps: Option<f32>,
    /// Which of several streams it is (`@S`).
    pub stream: Option<String>,
    /// What the table of names should be, and whether it is (`@C`).
    pub table: Option<LabelTable>,
    /// The names of the classes (`@L`), or those that came with detections.
    #[serde(skip)]
    pub labels: Option<Arc<LabelMap>>,
    /// Whether a name has come on this connection; those from before it may be another application's.
    #[serde(skip)]
    named: bool,
}

/// The camera's table of names, as it describes it itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LabelTable {
    /// CRC-32 of the names with line feeds between them.
    pub crc32: u32,
    /// Names in it.
    pub count: u32,
    /// Whether exactly these names have come. If not, no name is to be believed.
    pub complete: bool,
}

impl Introduction {
    /// Another connection to the same camera: its names stand until it says them anew.
    pub(super) fn again(&self) -> Self {
        Self { labels: self.labels.clone(), ..Self::default() }
    }

    /// Whether it holds for the connection, and not for a frame or a moment.
    pub(super) const fn concerns(record: &Record) -> bool {
        matches!(
            record,
            Record::Version { .. }
                | Record::DeviceId(_)
                | Record::Dimensions { .. }
                | Record::FrameRate(_)
                | Record::Label { .. }
                | Record::Labels { .. }
                | Record::Stream(_)
        )
    }

    /// Remembers what a record says.
    pub(super) fn learn(&mut self, record: &Record, limits: &Limits) {
        match record {
            Record::Version { version, app } => {
                self.version = Some(*version);
                self.app = Some(app.clone()).filter(|app| !app.is_empty());
            }
            Record::DeviceId(id) => self.device_id = Some(id.clone()),
            Record::Dimensions { width, height, format, stride } => {
                self.size = Some((*width, *height));
                self.format = Some(format.clone());
                self.stride = *stride;
                self.geometry = record.geometry();
            }
            Record::FrameRate(fps) => self.fps = Some(*fps),
            Record::Stream(stream) => self.stream = Some(stream.clone()),
            Record::Label { label, name } => self.name(*label, name, limits),
            Record::Labels { crc32, count } => self.check_names(*crc32, *count),
            _ => {}
        }
    }

    fn name(&mut self, label: u32, name: &str, limits: &Limits) {
        if !std::mem::replace(&mut self.named, true) {
            self.labels = None;
        }
        let names = Arc::make_mut(self.labels.get_or_insert_default());
        match (name.strip_prefix('+'), names.name(label)) {
            (Some(more), Some(begun)) => {
                let whole: String = begun.chars().chain(more.chars()).take(LONGEST_NAME).collect();
                names.insert(label, &whole);
            }
            (_, known) if known.is_some() || names.len() < limits.boxes => names.insert(label, name),
            _ => {}
        }
    }

    /// A table that is not the camera's would give wrong names to its boxes: then there are none, until it is sent
    /// again.
    fn check_names(&mut self, crc32: u32, count: u32) {
        let names = self.labels.as_ref().filter(|_| self.named);
        let complete = names.map_or(count == 0, |names| names.len() == count as usize && names.crc32() == Some(crc32));
        if !complete {
            self.labels = Some(Arc::new(LabelMap::unnamed()));
        } else if count == 0 {
            self.labels = None;
        }
        self.table = Some(LabelTable { crc32, count, complete });
    }

    /// Whether it has said anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == self.again()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &[&str]) -> Introduction {
        let mut introduction = Introduction::default();
        for line in lines {
            let line = format!("{line:32}");
            let record = super::super::record::parse(line.as_bytes().try_into().expect("32 bytes")).expect(&line);
            assert!(Introduction::concerns(&record), "{line}");
            introduction.learn(&record, &Limits::default());
        }
        introduction
    }

    const NAMES: [&str; 3] = ["@L 0 person", "@L 1 traffic", "@L 1 + light"];

    #[test]
    fn it_is_what_the_records_say() {
        let lines = ["@V 1 door", "@I 14442C10", "@D 640 352 NV12 704", "@R 12.5", "@S preview"];
        let door = said(&lines);
        assert_eq!(door.app.as_deref(), Some("door"));
        assert_eq!((door.size, door.stride, door.fps), (Some((640, 352)), Some(704), Some(12.5)));
        assert!(!door.is_empty() && said(&[]).is_empty());
        let json = serde_json::to_value(&door).expect("JSON");
        assert_eq!((&json["device_id"], &json["size"]), (&"14442C10".into(), &serde_json::json!([640, 352])));
    }

    #[test]
    fn a_table_of_names_is_believed_when_it_is_the_cameras() {
        let whole = said(&[&NAMES[..], &["@C abda5f13 2"]].concat());
        assert!(whole.table.expect("a table").complete);
        assert_eq!(whole.labels.expect("names").name(1), Some("traffic light"));
        // A name is missing; a name is another one; one too many; a hole in the numbers.
        for (names, what) in [
            (&NAMES[..1], "@C abda5f13 2"),
            (&["@L 0 person", "@L 1 traffic lamp"], "@C abda5f13 2"),
            (&["@L 0 person", "@L 1 traffic light", "@L 2 x"], "@C abda5f13 2"),
            (&["@L 0 person", "@L 2 traffic light"], "@C abda5f13 2"),
            (&[], "@C abda5f13 2"),
        ] {
            let torn = said(&[names, &[what]].concat());
            assert!(!torn.table.expect("a table").complete, "{names:?}");
            let names = torn.labels.expect("known to have none");
            assert_eq!((names.name(0), names.may_be_guessed()), (None, false));
        }
        // Said again, and whole.
        let again = said(&[&["@L 0 person", "@C abda5f13 2"], &NAMES[..], &["@C abda5f13 2"]].concat());
        assert!(again.table.expect("a table").complete);
    }

    #[test]
    fn names_of_the_application_before_are_gone_with_the_first_new_one() {
        let mut introduction = said(&["@L 0 person", "@L 7 truck"]).again();
        assert_eq!(introduction.labels.as_ref().and_then(|names| names.name(7)), Some("truck"), "until then");
        let limits = Limits::default();
        introduction.learn(&Record::Label { label: 0, name: "dog".to_owned() }, &limits);
        introduction.learn(&Record::Labels { crc32: crc32fast::hash(b"dog"), count: 1 }, &limits);
        assert!(introduction.table.expect("a table").complete, "{introduction:?}");
    }

    #[test]
    fn a_camera_may_have_no_names() {
        let none = said(&["@C 0 0"]);
        assert!(none.table.expect("a table").complete && none.labels.is_none());
    }
}
