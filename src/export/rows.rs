//! Detections -> lines: JSON, one for each frame, or CSV, one for each detection.

use std::borrow::Cow;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

use super::ExportError;
use super::frames::{Camera, Shot};
use super::place::NewFile;
use super::table::Table;
use crate::frame::{LabelMap, NamedDetection};

/// One detection: a row of CSV and Parquet. The names are those of the columns.
#[derive(Debug, Serialize)]
pub(super) struct Row<'a> {
    pub(super) camera: &'a str,
    /// Counts the frames of the camera in its file.
    pub(super) sequence: u32,
    pub(super) device_time_us: i64,
    pub(super) arrival_unix_ns: i64,
    pub(super) time_utc_ns: i64,
    pub(super) label: u32,
    pub(super) name: Cow<'a, str>,
    /// `None` when the camera sent no number.
    pub(super) confidence: Option<f32>,
    /// The corners are inside of the picture: 0..=1.
    pub(super) xmin: f32,
    pub(super) ymin: f32,
    pub(super) xmax: f32,
    pub(super) ymax: f32,
    /// Of the picture, in pixels, if that is known.
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
}

/// One frame: a line of JSON.
#[derive(Debug, Serialize)]
struct Line<'a> {
    camera: &'a str,
    sequence: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    camera_seq: Option<u64>,
    device_time_us: i64,
    arrival_unix_ns: i64,
    time_utc_ns: i64,
    width: Option<u32>,
    height: Option<u32>,
    detections: Vec<NamedDetection<'a>>,
}

/// The rows of a frame.
fn rows<'a>(shot: &'a Shot, camera: &'a Camera, names: &'a LabelMap) -> impl Iterator<Item = Row<'a>> {
    let frame = &*shot.frame;
    shot.seen.iter().map(move |detection| Row {
        camera: &camera.name,
        sequence: shot.sequence,
        device_time_us: frame.device_time.0,
        arrival_unix_ns: frame.received.unix_ns,
        time_utc_ns: shot.taken_ns,
        label: detection.label,
        name: names.title(detection.label),
        confidence: (!detection.confidence.is_nan()).then_some(detection.confidence),
        xmin: detection.bbox.xmin,
        ymin: detection.bbox.ymin,
        xmax: detection.bbox.xmax,
        ymax: detection.bbox.ymax,
        width: frame.geometry.map(|geometry| geometry.width),
        height: frame.geometry.map(|geometry| geometry.height),
    })
}

fn line<'a>(shot: &'a Shot, camera: &'a Camera, names: &'a LabelMap) -> Line<'a> {
    let frame = &*shot.frame;
    Line {
        camera: &camera.name,
        sequence: shot.sequence,
        camera_seq: frame.camera_seq,
        device_time_us: frame.device_time.0,
        arrival_unix_ns: frame.received.unix_ns,
        time_utc_ns: shot.taken_ns,
        width: frame.geometry.map(|geometry| geometry.width),
        height: frame.geometry.map(|geometry| geometry.height),
        detections: shot.seen.iter().map(|detection| detection.named(names)).collect(),
    }
}

/// A file of detections.
pub(super) enum Ledger {
    Jsonl(NewFile),
    Csv(Box<csv::Writer<NewFile>>),
    Parquet(Box<Table>),
}

impl Ledger {
    pub(super) fn jsonl(path: &Path) -> Result<Self, ExportError> {
        NewFile::create(path.to_owned()).map(Self::Jsonl)
    }

    pub(super) fn csv(path: &Path) -> Result<Self, ExportError> {
        let file = NewFile::create(path.to_owned())?;
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(file);
        // Written here, and not with the first row, so that a file without detections has it too.
        writer.write_record(COLUMNS).map_err(ExportError::format(path, "CSV"))?;
        Ok(Self::Csv(Box::new(writer)))
    }

    pub(super) fn parquet(path: &Path) -> Result<Self, ExportError> {
        Table::create(path).map(|table| Self::Parquet(Box::new(table)))
    }

    /// Adds a frame.
    pub(super) fn write(&mut self, shot: &Shot, camera: &Camera) -> Result<(), ExportError> {
        let names = camera.names(&shot.frame);
        match self {
            Self::Jsonl(file) => {
                let refused =
                    |error: serde_json::Error| ExportError::Io { path: file.path().to_owned(), source: error.into() };
                let mut text = serde_json::to_vec(&line(shot, camera, names)).map_err(refused)?;
                text.push(b'\n');
                let path = file.path().to_owned();
                file.write_all(&text).map_err(ExportError::io(&path))
            }
            Self::Csv(writer) => {
                for row in rows(shot, camera, names) {
                    let written = writer.serialize(row);
                    written.map_err(ExportError::format(writer.get_ref().path(), "CSV"))?;
                }
                Ok(())
            }
            Self::Parquet(table) => rows(shot, camera, names).try_for_each(|row| table.write(&row)),
        }
    }

    /// Gives the file its name. Returns its bytes.
    pub(super) fn finish(self) -> Result<u64, ExportError> {
        match self {
            Self::Jsonl(file) => file.finish(),
            Self::Csv(writer) => {
                let path = writer.get_ref().path().to_owned();
                let file = writer.into_inner().map_err(|error| ExportError::io(&path)(error.into_error()))?;
                file.finish()
            }
            Self::Parquet(table) => table.finish(),
        }
    }
}

/// The columns of CSV, which are the fields of [`Row`] in their order.
const COLUMNS: [&str; 14] = [
    "camera",
    "sequence",
    "device_time_us",
    "arrival_unix_ns",
    "time_utc_ns",
    "label",
    "name",
    "confidence",
    "xmin",
    "ymin",
    "xmax",
    "ymax",
    "width",
    "height",
];
